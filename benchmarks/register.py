"""Registering flows beside `prefect register` against the same API, in one run, as ratios.

`python benchmarks/register.py [--flows 1,10,100] [--latency 0,50]`; 500 flows take some minutes more.

Both commands are run as a person runs them, from the start of the process to its end, on the same flow files; each
flow has three tasks and a schedule. `prefect register -p flows/` loads the files into one process and sends a query and
a mutation for each flow. `git prefect register` asks the remote, loads each file in a process of its own, plans,
registers and reads back. `first` is that with nothing known of the files; `pushed` is what happens after a push, whose
hook has loaded them already: that is what the design's goals are about (50 ms: 10 x, nothing changed: 20 x).
The API is the development API, in a process of its own, which adds the latency to each request; what it takes to
register a flow there is in both columns. `requests` are those of each command.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import requests

from git_prefect.devserver.process import running

FLOW = """\
from datetime import timedelta

from prefect import Flow, Parameter, task
from prefect.schedules import IntervalSchedule


@task
def extract(source):
    return [source]


@task
def load(rows):
    print(rows)


with Flow("flow-{number}", schedule=IntervalSchedule(interval=timedelta(days=1))) as flow:
    rows = extract(Parameter("source", default={number}))
    load(rows){more}
"""
SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"
[[tool.git-prefect.target]]
branch = "**"
project = "ours"
create-project = true
"""
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

    def forget(self) -> None:
        """Forget what is known of the files."""
        shutil.rmtree(self.clone / ".git" / "git-prefect", ignore_errors=True)

    def timed(self, *command: str, expect: str) -> tuple[float, int]:
        """Seconds that a command takes, and the requests that it makes; what it prints has to have `expect`."""
        requests.delete(f"{self.url}/_requests", timeout=60)
        started = time.perf_counter()
        result = subprocess.run(command, cwd=self.clone, env=self.environ, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        if result.returncode or expect not in result.stdout:
            raise SystemExit(f"{' '.join(command)}: exit {result.returncode}, no {expect!r}\n{result.stdout}{result.stderr}")
        return seconds, requests.get(f"{self.url}/_requests", timeout=60).json()["requests"]

    def theirs(self, expect: str) -> tuple[float, int]:
        """`prefect register`."""
        return self.timed(
            str(Path(sys.prefix, "bin", "prefect")), "register", "--project", "theirs", "-p", "flows/", expect=expect
        )

    def ours(self, expect: str, project: str = "ours") -> tuple[float, int]:
        """`git prefect register`."""
        command = (str(Path(sys.prefix, "bin", "git-prefect")), "register", "--ref", "main", "--project", project)
        return self.timed(*command, expect=expect)


def measure(flows: int, latency: float) -> None:
    """Print a line for new, changed and unchanged flows."""
    with tempfile.TemporaryDirectory() as place, running("--latency", str(latency)) as url:
        bench = Bench(Path(place), flows, url)
        subprocess.run(
            [str(Path(sys.prefix, "bin", "prefect")), "create", "project", "theirs"],
            env=bench.environ, check=True, capture_output=True,
        )  # fmt: skip
        for situation in ("new", "changed", "unchanged"):
            if situation == "changed":
                bench.write("\n    load(rows)")
            done = f"{flows} registered"
            theirs = bench.theirs(f"{flows} skipped" if situation == "unchanged" else done)
            expect = f"{flows} unchanged" if situation == "unchanged" else done
            # As the hook of the push would have done, and as the push would find it.
            bench.ours("", f"check-{uuid.uuid4().hex}") if situation != "unchanged" else None
            pushed = bench.ours(expect)
            bench.forget()
            if situation == "new":
                first = bench.ours(done, f"first-{uuid.uuid4().hex}")
            elif situation == "changed":
                first = (float("nan"), 0)
            else:
                first = bench.ours(expect)
            show(flows, latency, situation, theirs, first, pushed)


def show(
    flows: int, latency: float, situation: str, theirs: tuple[float, int], first: tuple[float, int], pushed: tuple[float, int]
) -> None:
    """One line of the table."""
    goal = f"goal {GOALS[situation]:3} x" if (flows, latency) == (100, 50) else ""
    print(
        f"{flows:5} {latency:4.0f} ms  {situation:10}{theirs[0]:8.2f} s {theirs[1]:5}"
        f"{pushed[0]:9.2f} s {pushed[1]:5} {theirs[0] / pushed[0]:7.1f} x {goal:11}"
        f"{first[0]:9.2f} s {theirs[0] / first[0]:7.1f} x",
        flush=True,
    )


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flows", default="1,10,100", help="default: 1,10,100; with 500 it takes minutes more")
    parser.add_argument("--latency", default="0,50", help="milliseconds of each request; default: 0,50")
    options = parser.parse_args()
    print("flows latency             prefect register   git prefect register, pushed              first")
    print("                             time  requests      time  requests                time")
    for latency in map(float, options.latency.split(",")):
        for flows in map(int, options.flows.split(",")):
            measure(flows, latency)
    return 0


if __name__ == "__main__":
    sys.exit(main())
