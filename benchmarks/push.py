"""What a push that touches no flow costs: the three hooks, as pre-commit calls them, beside Python's own start.

`python benchmarks/push.py [--repeat 15]`; the goal is 150 ms for the three together.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from table import Row, shown

HOOKS = ("validate", "check-pushed", "register")
GOAL = 0.15
"""Seconds for the three hooks together."""

FLOW = "from prefect import Flow, task\n\n@task\ndef one(): ...\n\nwith Flow('flow-{number}') as flow:\n    one()\n"
SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"
[[tool.git-prefect.target]]
branch = "**"
project = "dev"
"""


def git(folder: Path, *arguments: str) -> str:
    """What git prints."""
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def pushed(place: Path, files: int) -> Path:
    """A clone with flow files that the remote has, and one more commit that touches none."""
    subprocess.run(["git", "init", "--quiet", "--bare", str(place / "remote.git")], check=True)
    subprocess.run(["git", "clone", "--quiet", str(place / "remote.git"), str(place / "clone")], capture_output=True)
    clone = place / "clone"
    (clone / "flows").mkdir()
    for number in range(files):
        (clone / "flows" / f"flow_{number}.py").write_text(FLOW.format(number=number))
    (clone / "pyproject.toml").write_text(SETTINGS)
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "flows")
    git(clone, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    (clone / "README").write_text("more\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "no flow")
    return clone


def best(repeat: int, clone: Path, environ: dict[str, str], *command: str) -> float:
    """Seconds of the quickest of some runs."""
    seconds = []
    for _ in range(repeat):
        started = time.perf_counter()
        subprocess.run(command, cwd=clone, env=environ, check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def rows(repeat: int = 15, files: int = 100) -> Iterator[Row]:
    """Each hook, and the three together, in a repository of so many flow files."""
    with tempfile.TemporaryDirectory() as place:
        clone = pushed(Path(place), files)
        environ = {
            **os.environ,
            "HOME": place,
            "CI": "1",
            "PRE_COMMIT": "1",
            "PRE_COMMIT_LOCAL_BRANCH": "refs/heads/main",
            "PRE_COMMIT_REMOTE_BRANCH": "refs/heads/main",
            "PRE_COMMIT_REMOTE_NAME": "origin",
            "PRE_COMMIT_REMOTE_URL": f"{place}/remote.git",
            "PRE_COMMIT_FROM_REF": git(clone, "rev-parse", "HEAD~1"),
            "PRE_COMMIT_TO_REF": git(clone, "rev-parse", "HEAD"),
        }
        # As installed: pip compiles a package once, and an editable one is compiled by its first run.
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        command = str(Path(sys.prefix, "bin", "git-prefect"))
        # A push of the same flow files has gone before.
        for hook in HOOKS:
            subprocess.run([command, hook], cwd=clone, env=environ, check=True, capture_output=True)
        python = best(repeat, clone, environ, sys.executable, "-c", "pass")
        taken = {hook: best(repeat, clone, environ, command, hook) for hook in HOOKS}
    for hook, seconds in taken.items():
        yield Row(f"no flow touched, {files} files: {hook}", seconds, "python -c pass", python)
    yield Row(f"no flow touched, {files} files: the three hooks", sum(taken.values()), "the goal", GOAL, 1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--files", type=int, default=100, help="flow files of the repository")
    options = parser.parse_args()
    for line in shown(rows(options.repeat, options.files)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
