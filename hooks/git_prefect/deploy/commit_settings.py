"""The settings of a commit or of the work tree, with what this machine overrides."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Mapping
from contextlib import suppress

from .. import git
from ..core import settings
from ..core.errors import UnusableCommit, UsageError
from ..core.model import RefUpdate
from ..core.settings import Source, missing_import_root
from ..flows.discovery import SUBMODULE


def settings_at(repository: git.Repository, commit: str | None, remote: str) -> Source:
    """The settings of a commit (None: of the work tree), with what this machine overrides.

    They are those of the root of the repository, else of the only folder that has any. A commit without settings, such as
    an old tag, has those of the remote's default branch.

    Raises:
        UnusableCommit: the commit's settings cannot be used, or several folders have some.
        UsageError: the settings of this machine cannot be used.
    """
    machine = git.machine_settings(repository)
    source = _of_tree(repository, commit, machine)
    _check_import_roots(repository, commit, source)
    if source.origin != "defaults" or commit is None:
        return source
    default = git.default_branch(repository, remote)
    elsewhere = default and git.commit_of(repository, f"refs/remotes/{remote}/{default}")
    if not elsewhere or elsewhere == commit:
        return source
    borrowed = _of_tree(repository, elsewhere, machine)
    if borrowed.origin == "defaults":
        return source
    return Source(borrowed.settings, f"{borrowed.origin} of {remote}/{default}")


def _of_tree(repository: git.Repository, commit: str | None, machine: Mapping[str, str]) -> Source:
    """The settings that a commit (None: the work tree) has itself."""
    root = settings.read(_read(repository, commit, settings.FILES), machine)
    if root.origin != "defaults":
        return root
    folders: dict[str, dict[str, bytes]] = {}
    for path, content in _read(repository, commit, _below_root(repository, commit)).items():
        folders.setdefault(posixpath.dirname(path), {})[posixpath.basename(path)] = content
    found = [settings.read(files, machine, folder) for folder, files in sorted(folders.items())]
    found = [one for one in found if one.origin != "defaults"]
    if len(found) > 1:
        raise UnusableCommit(
            f"settings in several folders, and none in the root: {', '.join(one.origin for one in found)}; "
            "a repository has one set of them, so no flow is registered",
            "keep one of them, or write the settings of all into .git-prefect.toml in the root",
        )
    return found[0] if found else root


def _check_import_roots(repository: git.Repository, commit: str | None, source: Source) -> None:
    """Refuse settings with an import root that their own commit (None: the work tree) does not have.

    Raises:
        UnusableCommit: one is no folder there, as git has it: symlinks are followed, submodules are left to their images.
    """
    roots = [root for root in source.settings.import_roots if posixpath.normpath(root) != "."]
    if commit is None:
        missing = [root for root in roots if not os.path.isdir(os.path.join(repository.top or ".", root))]
    else:
        missing = [root for root in roots if not _is_folder(repository, commit, posixpath.normpath(root))]
    if missing:
        where = "the work tree" if commit is None else "this commit"
        raise missing_import_root(source, missing[0], where)


def _is_folder(repository: git.Repository, commit: str, path: str) -> bool:
    asked = f"{commit}:{path}\n".encode("utf-8", "surrogateescape")
    kind = git.run_git(repository, "cat-file", "--batch-check=%(objecttype)", "--follow-symlinks", stdin=asked).strip()
    if kind == b"tree":
        return True
    submodules = [one.path for one in git.tree_entries(repository, commit) if one.mode == SUBMODULE]
    return any(f"{path}/".startswith(f"{one}/") for one in submodules)


def _below_root(repository: git.Repository, commit: str | None) -> list[str]:
    """Paths of the files in folders that may have settings; in the work tree, of all that git does not ignore."""
    if commit is not None:
        paths = [one.path for one in git.tree_entries(repository, commit)]
    elif repository.top is None:
        return []
    else:
        paths = git.work_tree_paths(repository)
    return [path for path in paths if "/" in path and posixpath.basename(path) in settings.FILES]


def _read(repository: git.Repository, commit: str | None, paths: Iterable[str]) -> dict[str, bytes]:
    """Content by path of those files that a commit (None: the work tree) has."""
    if commit is not None:
        return git.read_files(repository, commit, paths)
    files = {}
    for path in paths:
        with suppress(FileNotFoundError, IsADirectoryError), open(os.path.join(repository.top or ".", path), "rb") as file:
            files[path] = file.read()
    return files


def uncommitted_settings(repository: git.Repository, update: RefUpdate) -> Source | None:
    """The settings of the work tree if the ref is checked out and its commit has others or none; None otherwise."""
    at_work = update.source == "active branch" or update.commit == git.commit_of(repository, "HEAD")
    if repository.top is None or not at_work:
        return None
    try:
        here = settings_at(repository, None, update.remote)
    except UsageError:
        return None
    if here.origin == "defaults":
        return None
    committed = git.read_files(repository, update.commit or "", [here.origin]).get(here.origin)
    with open(os.path.join(repository.top, here.origin), "rb") as file:
        return here if file.read() != committed else None


def has_settings(repository: git.Repository, commit: str | None, remote: str) -> bool:
    """Whether a commit has settings, usable or not."""
    try:
        return commit is not None and settings_at(repository, commit, remote).origin != "defaults"
    except UsageError:
        return True
