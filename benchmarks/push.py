"""What a push that touches no flow costs: the three hooks, as pre-commit calls them, beside Python's own start.

`python benchmarks/push.py [--repeat 15]`: real pushes of a branch whose flows are registered, in a repository of a hundred
flows. The goal is 8 times `python -c pass` for the three together, of which 3 is what cannot be saved.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from table import Row, shown

from git_prefect.devserver.process import running

HOOKS = ("validate", "check-pushed", "register")
COMMAND = str(Path(sys.prefix, "bin", "git-prefect"))
GOAL = 8
"""Times `python -c pass` for the three hooks together."""

FLOW = "from prefect import Flow, task\n\n@task\ndef one(): ...\n\nwith Flow('flow-{number}') as flow:\n    one()\n"
SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"
[[tool.git-prefect.target]]
branch = "**"
project = "dev"
"""

HOOK = """\
#!/bin/sh
read -r local commit ref known
export PRE_COMMIT=1 PRE_COMMIT_REMOTE_NAME=$1 PRE_COMMIT_REMOTE_URL=$2 PRE_COMMIT_LOCAL_BRANCH=$local
export PRE_COMMIT_REMOTE_BRANCH=$ref PRE_COMMIT_FROM_REF=$known PRE_COMMIT_TO_REF=$commit
'{python}' '{place}/timer.py' '{command}' '{place}/taken.json'
"""

TIMER = """\
import json, subprocess, sys, time
command, out = sys.argv[1:]
taken = []
for call in ([sys.executable, "-c", "pass"], *([command, hook] for hook in ("validate", "check-pushed", "register"))):
    started = time.perf_counter()
    subprocess.run(call, check=True, capture_output=True)
    taken.append(time.perf_counter() - started)
json.dump(taken, open(out, "w"))
"""
"""Seconds of Python's own start, and of each hook, in the middle of a push."""


def git(folder: Path, *arguments: str) -> str:
    """What git prints."""
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def adopted(place: Path, files: int) -> Path:
    """A clone with flow files that the remote has, and the three hooks in its pre-push hook, as pre-commit runs them."""
    subprocess.run(["git", "init", "--quiet", "--bare", str(place / "remote.git")], check=True)
    subprocess.run(["git", "clone", "--quiet", str(place / "remote.git"), str(place / "clone")], capture_output=True)
    clone = place / "clone"
    (clone / "flows").mkdir()
    for number in range(files):
        (clone / "flows" / f"flow_{number}.py").write_text(FLOW.format(number=number))
    (clone / "pyproject.toml").write_text(SETTINGS + "create-project = true\n")
    (place / "timer.py").write_text(TIMER)
    hook = clone / ".git" / "hooks" / "pre-push"
    hook.write_text(HOOK.format(python=sys.executable, place=place, command=COMMAND))
    hook.chmod(0o755)
    return clone


def push(clone: Path) -> list[float]:
    """Seconds of Python's start and of each hook, in a push of one more commit; what it queued is registered by then."""
    (clone / "README").write_text(f"{time.time()}\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "more")
    git(clone, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    subprocess.run([COMMAND, "register", "--pending"], cwd=clone, check=True, capture_output=True)
    taken: list[float] = json.loads((clone.parent / "taken.json").read_text())
    return taken


def rows(repeat: int = 15, files: int = 100) -> Iterator[Row]:
    """Each hook, and the three together, in a repository of so many registered flows, beside `python -c pass`."""
    with tempfile.TemporaryDirectory() as place, running() as api:
        os.environ.update(HOME=place, PREFECT__BACKEND="server", PREFECT__SERVER__ENDPOINT=api)
        # As installed: pip compiles a package once, and an editable one is compiled by its first run.
        for name in ("CI", "PYTHONDONTWRITEBYTECODE"):
            os.environ.pop(name, None)
        clone = adopted(Path(place), files)
        # The first registers all flows, and leaves the record that the others are answered from.
        pushes = [push(clone) for _ in range(repeat + 1)][1:]
    best = [min(taken[position] for taken in pushes) for position in range(4)]
    for hook, seconds in zip(HOOKS, best[1:]):
        yield Row(f"no flow touched, {files} files: {hook}", seconds, "python -c pass", best[0])
    yield Row(f"no flow touched, {files} files: the three hooks", sum(best[1:]), "python -c pass", best[0], GOAL)


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
