"""Real git repositories for tests."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
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
