"""A machine that is short of something: commands of a user run on it, with what they print and their exit code."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from ..end_to_end.conftest import Team, api, flow_file, native, shell

__all__ = ["api", "native", "shell"]


@pytest.fixture
def usual_checks() -> None:
    """Here each flow file is loaded for the first time: what a load meets on such a machine counts."""


PAST_PERMISSIONS = "-dac_override,-dac_read_search,-fowner"


class Ran(NamedTuple):
    """What became of a command."""

    code: int
    output: str

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.output}"


def run(folder: Path, *command: str, bugs: bool = False, **environ: str | None) -> Ran:
    """Run a command; a variable that is None is not set. What no user may ever see fails the test, but for provoked bugs."""
    variables = {name: value for name, value in {**os.environ, **environ}.items() if value is not None}
    result = subprocess.run(
        command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    assert "Traceback" not in result.stdout and (bugs or "bug of ours" not in result.stdout), result.stdout
    return Ran(result.returncode, result.stdout.strip())


def ordinary(*command: str) -> tuple[str, ...]:
    """A command as a user runs it who may not pass permissions by, as root does."""
    if os.geteuid():
        return command
    if not shutil.which("setpriv"):
        pytest.skip("root passes permissions by, and there is no setpriv to give that up")
    return ("setpriv", f"--bounding-set={PAST_PERMISSIONS}", *command)


class Disk(NamedTuple):
    """A small disk that is mounted on a folder, and seen only by the commands that run on it."""

    place: Path
    holder: int

    def run(self, folder: Path, *command: str, **environ: str | None) -> Ran:
        """Run a command that sees the disk."""
        enter = ("nsenter", f"--target={self.holder}", "--user", "--mount", "--preserve-credentials")
        return run(folder, *enter, "sh", "-c", 'cd "$0" && exec "$@"', str(folder), *command, **environ)

    def fill(self, free: int) -> None:
        """Leave only so many KB of it."""
        said = self.run(Path("/"), "df", "--output=avail", "--block-size=1024", str(self.place)).output
        size = (int(said.split()[-1]) - free) * 1024
        done = self.run(Path("/"), "sh", "-c", f'head -c {size} /dev/zero > "$0"', str(self.place / "filler"))
        assert done.code == 0, done

    def empty(self) -> None:
        """Take away what fills it."""
        assert self.run(Path("/"), "rm", str(self.place / "filler")).code == 0


@contextmanager
def disk(place: Path) -> Iterator[Disk]:
    """Mount a disk of 4 MB on a folder, with what is in there; in a name space of its own, as any user may."""
    mount = (
        'cp -a "$0/." "$1" && mount -t tmpfs -o size=4m,mode=700 tmpfs "$0" && cp -a "$1/." "$0" && echo ready && read _'
    )
    copy = place.parent / "on the disk"
    copy.mkdir()
    with subprocess.Popen(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, str(place), str(copy)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as holder:  # fmt: skip
        assert holder.stdin and holder.stdout
        said = holder.stdout.readline()
        if said != b"ready\n":
            pytest.skip(f"no disk can be mounted here: {said.decode().strip()}")
        try:
            yield Disk(place, holder.pid)
        finally:
            holder.stdin.close()
    shutil.rmtree(copy)


def change(team: Team, number: int) -> str:
    """Commit another structure of the flow `etl`; the commit, short."""
    return team.clone.commit({"flows/etl.py": flow_file().replace("extract", f"extract_{number}")})[:7]


def told(ran: Ran) -> Ran:
    """Without the flows' pages, and how long ago things were."""
    lines = [line for line in ran.output.splitlines() if "/flow/" not in line]
    return Ran(ran.code, re.sub(r"\d+ s ago", "N s ago", "\n".join(lines)))


def pushed(team: Team, before: str, after: str, project: str, version: int, number: int) -> str:
    """What a push of another structure prints, when all is well."""
    names = [f"extract_{one}-1" if one else "extract-1" for one in (number - 1, number)]
    return "\n".join([
        f"origin/feature/x: 1 flow → project {project}, once origin has {after}.",
        f"To {team.remote}",
        f"   {before}..{after}  feature/x -> feature/x",
        f"origin/feature/x at {after}: registering",
        f"  registered: etl → {project}, version {version}",
        f"    task renamed: {names[0]} → {names[1]}",
    ])  # fmt: skip


@pytest.fixture
def begun(native: Team) -> Team:
    """A team whose feature/x is registered."""
    native.clone.commit({"flows/etl.py": flow_file()})
    native.push("origin", "feature/x")
    return native
