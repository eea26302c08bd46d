"""The settings of a commit or of the work tree, with what this machine overrides."""

from __future__ import annotations

import os
from contextlib import suppress

from .. import git
from ..core import settings
from ..core.errors import UsageError
from ..core.model import RefUpdate
from ..core.settings import Source


def settings_at(repository: git.Repository, commit: str | None, remote: str) -> Source:
    """The settings of a commit (None: of the work tree), with what this machine overrides.

    A commit without settings, such as an old tag, has those of the remote's default branch.

    Raises:
        UnusableCommit: the commit's settings cannot be used.
        UsageError: the settings of this machine cannot be used.
    """
    machine = git.machine_settings(repository)
    if commit is None:
        files = {}
        for name in settings.FILES:
            with suppress(FileNotFoundError, IsADirectoryError), open(os.path.join(repository.top or ".", name), "rb") as file:
                files[name] = file.read()
    else:
        files = git.read_files(repository, commit, settings.FILES)
    source = settings.read(files, machine)
    if source.origin != "defaults" or commit is None:
        return source
    default = git.default_branch(repository, remote)
    elsewhere = default and git.commit_of(repository, f"refs/remotes/{remote}/{default}")
    if not elsewhere or elsewhere == commit:
        return source
    borrowed = settings.read(git.read_files(repository, elsewhere, settings.FILES), machine)
    if borrowed.origin == "defaults":
        return source
    return Source(borrowed.settings, f"{borrowed.origin} of {remote}/{default}")


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
