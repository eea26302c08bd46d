"""The settings that the next push brings, where the work tree has others than the commit."""

from __future__ import annotations

import shlex

import msgspec

from ... import git
from ...core.model import RefUpdate
from ...core.results import Check
from ...core.settings import FILES, Keys, Settings, Source
from ..commit_settings import settings_at
from .settings_origins import shown

PATHSPECS = tuple(f":(top,glob)**/{name}" for name in FILES)
"""The files that may have settings, wherever they are."""


def next_settings(repository: git.Repository, update: RefUpdate, committed: Source | None) -> Source | None:
    """The settings of the work tree, if the ref is checked out and they are not those of its commit; None otherwise.

    `committed` is None where those of the commit cannot be used.

    Raises:
        UsageError: those of the work tree cannot be used.
    """
    at_work = update.source == "active branch" or update.commit == git.commit_of(repository, "HEAD")
    if repository.top is None or not at_work:
        return None
    if committed is None and not git.ask(repository, "status", "--porcelain", "--", *PATHSPECS):
        return None
    here = settings_at(repository, None, update.remote)
    # A commit without settings has those of the default branch, and so has the next one.
    if here.origin == "defaults" and (committed is None or " of " in committed.origin):
        return None
    return None if committed and here.settings == committed.settings else here


def changes(source: Source, committed: Source | None) -> Check:
    """What the next settings change, a line for each key, and how they get into a push."""
    before = committed.settings if committed else Settings()
    lines = []
    for field in msgspec.structs.fields(Keys):
        old, new = getattr(before, field.name), getattr(source.settings, field.name)
        if old != new:
            lines.append(f"{field.encode_name} = {shown(field.encode_name, new)}")
    if source.origin == "defaults":
        gone = committed.origin if committed else "the file"
        return Check("next-settings", (f"{gone} is gone here: with the next commit there are no settings",))
    file = shlex.quote(source.origin)
    lines.append(f"they count once they are committed and pushed: git add {file} && git commit")
    return Check("next-settings", (f"{source.origin}, as it is here", *lines))

