"""Registering flows beside `prefect register` against the same API, in one run, as ratios.

`python benchmarks/register.py [--flows 1,10,100] [--latency 0,50]`; 500 flows take some minutes more.

Both commands are run as a person runs them, from the start of the process to its end, on the same flow files; each
flow has three tasks. `prefect register -p flows/` loads the files into one process and sends a query and
a mutation for each flow. `git prefect register` asks the remote, plans, registers and reads back; the files have been
loaded by the hook of the push, as after every push. The API is the development API, in a process of its own, which adds
the latency to each request; how many requests there were stands beside the times.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import requests
from table import Row, shown

from git_prefect.devserver.process import running

FLOW = """\
from prefect import Flow, Parameter, task


@task
def extract(source):
    return [source]


@task
def load(rows):
    print(rows)


with Flow("flow-{number}") as flow:
    rows = extract(Parameter("source", default={number}))
    load(rows){more}
"""
SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"
[[tool.git-prefect.target]]
branch = "**"
project = "main"
create-project = true
"""
PREFECT, GIT_PREFECT = (str(Path(sys.prefix, "bin", name)) for name in ("prefect", "git-prefect"))
GOALS = {"new": 10, "changed": 10, "unchanged": 20}
"""How many times faster than `prefect register`, for 100 flows and 50 ms."""


class Bench:
    """A repository with flows, its remote, and an API."""

    def __init__(self, place: Path, flows: int, url: str) -> None:
        self.clone, self.url, self.flows = place / "clone", url, flows
        subprocess.run(["git", "init", "--quiet", "--bare", str(place / "remote.git")], check=True)
        self.environ = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "PREFECT_", "XDG_"))},
            "HOME": str(place),
            "PREFECT__BACKEND": "server",
            "PREFECT__SERVER__ENDPOINT": url,
            "GIT_PREFECT_PYTHON": sys.executable,
        }
        # As installed: pip compiles a package once, and an editable one is compiled by its first run.
        self.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        subprocess.run(
            ["git", "clone", "--quiet", str(place / "remote.git"), str(self.clone)], check=True, capture_output=True
        )
        (self.clone / "flows").mkdir()
        (self.clone / "pyproject.toml").write_text(SETTINGS)
        self.write("")

    def write(self, more: str) -> None:
        """Write all flow files, commit and push."""
        for number in range(self.flows):
            (self.clone / "flows" / f"flow_{number}.py").write_text(FLOW.format(number=number, more=more))
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        for command in (["add", "--all"], [*identity, "commit", "--quiet", "-m", "flows"], ["push", "--quiet", "origin", "HEAD:main"]):  # fmt: skip
            subprocess.run(["git", *command], cwd=self.clone, env=self.environ, check=True, capture_output=True)

    def timed(self, *command: str, expect: str) -> tuple[float, int]:
        """Seconds that a command takes, and the requests that it makes; what it prints has to have `expect`."""
        requests.delete(f"{self.url}/_requests", timeout=60)
        started = time.perf_counter()
        result = subprocess.run(command, cwd=self.clone, env=self.environ, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if result.returncode or expect not in result.stdout:
            raise SystemExit(
                f"{' '.join(command)}: exit {result.returncode}, no {expect!r}\n{result.stdout}{result.stderr}"
            )
        return seconds, requests.get(f"{self.url}/_requests", timeout=60).json()["requests"]

    def theirs(self, expect: str, project: str) -> tuple[float, int]:
        """`prefect register`."""
        return self.timed(PREFECT, "register", "--project", project, "-p", "flows/", expect=expect)

    def ours(self, expect: str, project: str) -> tuple[float, int]:
        """`git prefect register`."""
        return self.timed(GIT_PREFECT, "register", "--ref", "main", "--project", project, expect=expect)

    def run(self, *command: str) -> None:
        """Run what is not measured."""
        subprocess.run(command, cwd=self.clone, env=self.environ, check=True, capture_output=True)


def measure(flows: int, latency: float, repeat: int) -> Iterator[Row]:
    """New, changed and unchanged flows."""
    done, same = f"{flows} registered", f"{flows} unchanged"

    def shown_as(situation: str, ours: Sequence[Taken], theirs: Sequence[Taken]) -> Row:
        goal = 1 / GOALS[situation] if (flows, latency) == (100, 50) else None
        what = f"{flows} {situation} flow{'s' if flows > 1 else ''}, {latency:.0f} ms round trip"
        return Row(
            f"{what}; {min(ours)[1]} requests",
            min(ours)[0],
            f"prefect register; {min(theirs)[1]}",
            min(theirs)[0],
            goal,
        )

    with tempfile.TemporaryDirectory() as place, running("--latency", str(latency)) as url:
        bench = Bench(Path(place), flows, url)
        theirs, ours = [], []
        for number in range(repeat):
            bench.run(PREFECT, "create", "project", f"theirs-{number}")
            theirs.append(bench.theirs(done, f"theirs-{number}"))
            bench.run(GIT_PREFECT, "validate", "--ref", "main")
            ours.append(bench.ours(done, f"ours-{number}"))
        yield shown_as("new", ours, theirs)
        theirs, ours = [], []
        for number in range(repeat):
            bench.write("\n    load(rows)" * (number + 1))
            theirs.append(bench.theirs(done, "theirs-0"))
            bench.run(GIT_PREFECT, "validate", "--ref", "main")
            ours.append(bench.ours(done, "ours-0"))
        yield shown_as("changed", ours, theirs)
        theirs, ours = [], []
        for _ in range(repeat):
            theirs.append(bench.theirs(f"{flows} skipped", "theirs-0"))
            ours.append(bench.ours(same, "ours-0"))
        yield shown_as("unchanged", ours, theirs)


Taken = tuple[float, int]
"""Seconds and requests."""


def rows(sizes: Sequence[int] = (1, 10, 100), latencies: Sequence[float] = (0, 50), repeat: int = 3) -> Iterator[Row]:
    """Whole commands, from the start of the process to its end; milliseconds of latency."""
    for latency in latencies:
        for flows in sizes:
            yield from measure(flows, latency, repeat)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flows", default="1,10,100", help="default: 1,10,100; with 500 it takes minutes more")
    parser.add_argument("--latency", default="0,50", help="milliseconds of each request; default: 0,50")
    parser.add_argument("--repeat", type=int, default=3, help="the quickest of so many runs counts; default: 3")
    options = parser.parse_args()
    sizes, latencies = ([int(one) for one in text.split(",")] for text in (options.flows, options.latency))
    for line in shown(rows(sizes, latencies, options.repeat)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
