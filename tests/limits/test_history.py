"""A repository with a long and heavy history: no more of it is read or copied than where the pushed commits begin."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..end_to_end.conftest import Team, flow_file, running_agent
from .conftest import change, pushed, run, told

RECENT = 20
"""Commits before the tip of main that are there in any case: git itself looks at a few."""


def history(commits: int, size: int) -> Iterator[bytes]:
    """What `git fast-import` makes so many commits of, each with a file that no compression makes smaller."""
    for number in range(commits):
        yield b"commit refs/heads/main\ncommitter Ada <ada@example.com> %d +0000\ndata 0\n" % (1_600_000_000 + number)
        yield b"from refs/heads/main^0\n" * (number == 0)
        yield b"M 100644 inline data.bin\ndata %d\n%b\n" % (size, os.urandom(size))


def give_history(team: Team, commits: int, size: int) -> None:
    """Put a history below the team's branch, here and on the remote."""
    with subprocess.Popen(
        ["git", "-c", "core.compression=0", "fast-import", "--quiet"], cwd=team.remote, stdin=subprocess.PIPE
    ) as made:
        assert made.stdin
        for part in history(commits, size):
            made.stdin.write(part)
    assert made.returncode == 0
    team.clone.git("config", "gc.auto", "0")
    team.clone.git("fetch", "--quiet", "origin")
    team.clone.git("branch", "--quiet", "--force", "main", "origin/main")
    team.clone.git("reset", "--quiet", "--hard", "origin/main")


def forget(team: Team) -> None:
    """Take away what is older than the last commits of main: whatever asks for it now ends in an error of git's."""
    first = f"origin/main~{RECENT}"
    kept = [line.split()[0] for line in team.clone.git("rev-list", "--objects", f"{first}^..origin/main").splitlines()]
    tree = team.clone.git("ls-tree", "-r", "-t", "--object-only", first).split()
    store = team.clone.path / ".git" / "objects"
    pack = store.parent / "kept"
    subprocess.run(
        ["git", "pack-objects", "--quiet", str(pack)], cwd=team.clone.path, input="\n".join([*kept, *tree]), text=True,
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.rmtree(store)
    (store / "pack").mkdir(parents=True)
    for path in store.parent.glob("kept-*"):
        path.rename(store / "pack" / path.name.replace("kept", "pack"))
    assert "Failed to traverse" in team.clone.git("rev-list", "--count", "--all", check=False)


def kept(team: Team) -> int:
    """Bytes that we keep below the git directory."""
    return sum(path.lstat().st_size for path in Path(team.clone.repository.state_dir).rglob("*") if path.is_file())


def push_twice(team: Team) -> None:
    """Push a flow, then another structure of it; whatever else there is to ask of the repository is asked."""
    project, here = f"{team.project}-feature--x", team.clone.path
    first = team.clone.commit({"flows/etl.py": flow_file()})[:7]
    assert told(run(here, "git", "push", "origin", "feature/x")) == (0, "\n".join([
        f"origin/feature/x: 1 flow → project {project}, once origin has {first}.",
        f"To {team.remote}",
        " * [new branch]      feature/x -> feature/x",
        f"origin/feature/x at {first}: registering",
        f"  registered: etl → {project}, version 1",
    ]))  # fmt: skip
    second = change(team, 1)
    assert told(run(here, "git", "push", "origin", "feature/x")) == (0, pushed(team, first, second, project, 2, 1))
    assert run(here, "git", "prefect", "check-pushed") == (0, f"origin/feature/x is at {second}, as here: agents run this code")
    assert run(here, "git", "prefect", "validate").code == 0
    assert told(run(here, "git", "prefect", "register")).output.endswith("\n0 registered, 1 unchanged")
    assert told(run(here, "git", "prefect", "status")).output.startswith(f"origin/feature/x at {second}: registered N s ago")


def test_nothing_of_the_history_is_read(native: Team) -> None:
    give_history(native, commits=2000, size=1000)
    forget(native)
    push_twice(native)
    # The file of the last commit is in the tree that is loaded.
    assert kept(native) < 100_000


@pytest.mark.slow
def test_a_history_of_a_gigabyte(native: Team) -> None:
    try:
        give_history(native, commits=1000, size=2**20)
        objects = native.clone.path / ".git" / "objects"
        assert sum(path.stat().st_size for path in objects.rglob("*.pack")) > 10**9
        push_twice(native)
        assert kept(native) < 2**20 + 100_000
        with running_agent(native):
            printed = subprocess.run(
                ["prefect", "run", "--name", "etl", "--project", f"{native.project}-feature--x", "--watch"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
            ).stdout  # fmt: skip
        assert "Flow run succeeded!" in printed
    finally:
        for place in (native.clone.path, native.remote):
            shutil.rmtree(place)
