"""The pushed tree as raw blobs, in a folder of its own, updated incrementally.

A private bare repository borrows the objects of the user's and writes what dulwich writes in an
agent: no LFS download, no line-end conversion, no `ident`, no sparse checkout. It is not a linked
worktree, so nothing of it shows in `git worktree list` or `git status`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ..core import state_files
from ..core.errors import TO_PUSH_MEANWHILE, UsageError
from ..core.git_environment import clean_environment
from .partial_clone import fetch_missing
from .repository import Repository, run_git

ATTRIBUTES = "* -text -eol -filter -ident -working-tree-encoding\n"
"""Raw blobs, whatever the repository's own .gitattributes ask for: info/attributes wins over them."""

READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What the system says of a folder that this user may not write."""


@contextmanager
def snapshot_of(repository: Repository, tree: str) -> Iterator[Path]:
    """The folder that holds exactly the files of `tree`, for as long as the context lasts.

    A lock is held meanwhile: two pushes at once take turns. Submodules are empty folders, as for an agent.

    In a git directory that is read-only, as where a container mounts it, it is a temporary folder, written anew.

    Raises:
        UsageError: the folder cannot be written (a full disk).
        PromisorOutOfReach: a partial clone lacks files of the tree, and they could not be fetched.
    """
    # A repository that borrows objects cannot fetch them: the one that it borrows from has to.
    fetch_missing(repository, tree)
    home = Path(repository.state_dir, "snapshot")
    with ExitStack() as held:
        try:
            try:
                lock = state_files.open_lock(home / "lock")
            except OSError as error:
                if error.errno not in READ_ONLY:
                    raise
                home = Path(held.enter_context(TemporaryDirectory(prefix="git-prefect-")))
                lock = state_files.open_lock(home / "lock")
            held.enter_context(lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder = _written(repository, home, tree)
        except (OSError, subprocess.CalledProcessError) as error:
            said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else str(error)
            raise UsageError(
                f"{home}: the pushed commit could not be written there ({said})",
                f"free some space or mend the permissions, or remove {home}, then try again; {TO_PUSH_MEANWHILE}",
            ) from error
        yield folder


def _written(repository: Repository, home: Path, tree: str) -> Path:
    bare, folder = home / "repository.git", home / "tree"
    if not (bare / "info" / "attributes").exists():
        _create(repository, bare)
    # A repository may have been moved since.
    alternates, objects = bare / "objects" / "info" / "alternates", f"{Path(repository.common_dir, 'objects')}\n"
    if not alternates.exists() or alternates.read_text() != objects:
        state_files.replace(alternates, objects)
    (bare / "index.lock").unlink(missing_ok=True)
    state_files.make_folder(folder)
    _git(bare, folder, "read-tree", "--reset", "-u", tree)
    _git(bare, folder, "clean", "-ffdxq")
    return folder


def _create(repository: Repository, bare: Path) -> None:
    """An empty bare repository with the same object format that borrows the user's objects."""
    length = len(run_git(repository, "hash-object", "-t", "tree", os.devnull).strip())
    _git(
        None,
        None,
        "init",
        "--quiet",
        "--bare",
        f"--object-format={'sha1' if length == 40 else 'sha256'}",
        str(bare),
    )
    for key, value in (
        ("core.bare", "false"), ("core.autocrlf", "false"), ("core.symlinks", "true"), ("core.fileMode", "true"),
        ("core.sparseCheckout", "false"), ("core.hooksPath", os.devnull), ("core.fsmonitor", "false"), ("gc.auto", "0"),
    ):  # fmt: skip
        _git(None, None, f"--git-dir={bare}", "config", key, value)
    state_files.replace(bare / "info" / "attributes", ATTRIBUTES)


def _git(bare: Path | None, folder: Path | None, *arguments: str) -> None:
    place = [f"--git-dir={bare}", f"--work-tree={folder}"] if bare else []
    environment = {
        **clean_environment(os.environ),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "0",
        "GIT_ATTR_NOSYSTEM": "1",
    }
    environment.pop("GIT_CONFIG_PARAMETERS", None)
    subprocess.run(
        ["git", *place, *arguments], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=True, umask=0o077,
    )  # fmt: skip
