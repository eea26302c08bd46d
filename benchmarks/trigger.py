"""What the native hook and its trigger cost: a rebase, a push that changes nothing registered, one that is held.

`python benchmarks/trigger.py [--repeat 7]` measures on a remote on this disk.
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
from typing import Callable

from push import FLOW, SETTINGS, git
from table import Row, shown

from git_prefect.devserver.process import running
from git_prefect.git import open_repository, trigger

COMMITS = 20


def seconds(action: Callable[[], object]) -> float:
    """Seconds that something takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def adopted(place: Path) -> Path:
    """A clone with one flow that the remote has, the native hook, and a branch to rebase."""
    subprocess.run(["git", "init", "--quiet", "--bare", str(place / "remote.git")], check=True)
    subprocess.run(["git", "clone", "--quiet", str(place / "remote.git"), str(place / "clone")], capture_output=True)
    clone = place / "clone"
    git(clone, "config", "user.name", "x")
    git(clone, "config", "user.email", "x@example.com")
    (clone / "flow.py").write_text(FLOW.format(number=0))
    (clone / "pyproject.toml").write_text(SETTINGS + "create-project = true\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "a flow")
    git(clone, "push", "--quiet", "origin", "HEAD:refs/heads/main")
    subprocess.run([Path(sys.prefix, "bin", "git-prefect"), "install"], cwd=clone, check=True, capture_output=True)
    git(clone, "switch", "--quiet", "--orphan", "root")
    git(clone, "commit", "--quiet", "--allow-empty", "-m", "another root")
    git(clone, "switch", "--quiet", "-c", "rebased", "root")
    for number in range(COMMITS):
        (clone / f"file{number}").write_text("1\n")
        git(clone, "add", "--all")
        git(clone, "commit", "--quiet", "-m", str(number))
    git(clone, "switch", "--quiet", "root")
    (clone / "upstream").write_text("1\n")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "upstream")
    git(clone, "switch", "--quiet", "-C", "main", "origin/main")
    return clone


def rebase(clone: Path) -> float:
    """Seconds of a rebase of 20 commits, which is undone after it."""
    git(clone, "switch", "--quiet", "-C", "again", "rebased")
    taken = seconds(lambda: git(clone, "rebase", "--quiet", "root"))
    git(clone, "switch", "--quiet", "main")
    return taken


def commit(clone: Path, name: str, content: str) -> None:
    """One more commit."""
    (clone / name).write_text(content)
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "-m", "more")


def held(clone: Path) -> float:
    """Seconds from git's own last line of a push to its end."""
    with subprocess.Popen(
        ["git", "push", "origin", "main"], cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as push:
        assert push.stdout
        arrived = 0.0
        for line in push.stdout:
            if " -> " in line:
                arrived = time.perf_counter()
    return time.perf_counter() - arrived


def rows(repeat: int = 7) -> Iterator[Row]:
    """A rebase beside one without the trigger, pushes beside one without hooks."""
    with tempfile.TemporaryDirectory() as place, running() as api:
        os.environ.update(HOME=place, PREFECT__BACKEND="server", PREFECT__SERVER__ENDPOINT=api)
        os.environ.pop("CI", None)
        clone = adopted(Path(place))
        repository = open_repository(str(clone))
        idle, standing = [], []
        for _ in range(repeat):
            idle.append(rebase(clone))
            assert not (clone / ".git" / "hooks" / trigger.NAME).exists()
            moves = [("1" * 40, "refs/remotes/origin/main")]
            listener = trigger.put_in_place(repository, os.getpid(), moves, "false")
            standing.append(rebase(clone))
            trigger.take_away(repository, os.getpid())
            listener.close()
        commit(clone, "flow.py", FLOW.format(number=1))
        git(clone, "push", "--quiet", "origin", "main")
        plain, quiet, waits = [], [], []
        for number in range(repeat):
            commit(clone, "README", f"{number}\n")
            plain.append(seconds(lambda: git(clone, "push", "--quiet", "--no-verify", "origin", "main")))
            commit(clone, "README", f"{number} again\n")
            quiet.append(seconds(lambda: git(clone, "push", "--quiet", "origin", "main")))
            subprocess.run([Path(sys.prefix, "bin", "git-prefect"), "status"], cwd=clone, capture_output=True)
            commit(clone, "flow.py", FLOW.format(number=number + 2))
            waits.append(held(clone))
        python = min(seconds(lambda: subprocess.run([sys.executable, "-c", "import prefect"])) for _ in range(3))
    yield Row(f"rebase of {COMMITS} commits while a push waits", min(standing), "nothing waits", min(idle))
    yield Row("git push of no flow, native hook", min(quiet), "git push --no-verify", min(plain))
    yield Row("held at the end of a push with a changed flow", min(waits), "import prefect", python)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=int, default=7)
    for line in shown(rows(parser.parse_args().repeat)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
