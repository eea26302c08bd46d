"""Real git repositories for tests."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from git_prefect.git import Repository, open_repository


class Clone(NamedTuple):
    """A clone with a work tree."""

    path: Path

    def git(self, *arguments: str, check: bool = True, **environ: str) -> str:
        """What git prints, stdout and stderr together."""
        result = subprocess.run(
            ["git", *arguments],
            cwd=self.path,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if check and result.returncode:
            raise AssertionError(f"git {' '.join(arguments)}: exit {result.returncode}\n{result.stdout}")
        return result.stdout.strip()

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files of the work tree."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def commit(self, files: Mapping[str, str | bytes], message: str = "change") -> str:
        """Write and commit files; the commit."""
        self.write(files)
        self.git("add", "--", *files)
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.head()

    def head(self, name: str = "HEAD") -> str:
        """The commit that a name leads to."""
        return self.git("rev-parse", f"{name}^{{commit}}")

    @property
    def repository(self) -> Repository:
        """The same, as git-prefect sees it."""
        return open_repository(str(self.path))


def bare_remote(path: Path) -> Path:
    """An empty bare repository."""
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(path)], check=True)
    return path


def clone(remote: Path, path: Path) -> Clone:
    """A clone of a bare repository."""
    subprocess.run(["git", "clone", "--quiet", str(remote), str(path)], check=True, capture_output=True)
    return Clone(path)


CHECKS = ("verdicts", "interpreters.json", "second-loads.json")
"""What our state has of earlier checks: a first load takes as long as all the rest of a push."""


def keep_checks(made: Clone, place: Path) -> None:
    """Copy what a clone knows of the flow files that were checked there."""
    state = made.repository.state_dir
    place.mkdir(parents=True, exist_ok=True)
    for name in CHECKS:
        source = Path(state, name)
        if source.is_dir():
            shutil.copytree(source, place / name, dirs_exist_ok=True)
        elif source.exists():
            shutil.copy2(source, place / name)


def know_checks(made: Clone, place: Path) -> None:
    """Give a clone what another has kept; nothing, where nothing is."""
    if place.exists():
        shutil.copytree(place, made.repository.state_dir, dirs_exist_ok=True)


@contextmanager
def known_checks(made: Clone, place: Path) -> Iterator[None]:
    """Within the block a clone knows what others have kept at the place; what it then knows is kept there."""
    know_checks(made, place)
    yield
    keep_checks(made, place)
