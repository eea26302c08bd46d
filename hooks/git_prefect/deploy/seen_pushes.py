"""What our hooks have seen: a line for each ref of a push, so that `git prefect doctor` finds pushes that went past them.

A line is `<seconds since the epoch> <who> <commit> <ref> <remote>`. `who` is the hook, or `doctor` for a push that was
reported: its ref is the tracking ref. `<seconds> install` says since when git's own hook is in place.
"""

from __future__ import annotations

import os
import time

from ..core import state_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    # The fast path of a push has no time for its import.
    from ..core.model import RefUpdate

INSTALLED, REPORTED = "install", "doctor"
NO_REF = "-"
"""Commit and ref where git's own hook was run for a push that has nothing to send."""

LIMIT = 200_000
"""Bytes after which the older half is dropped."""


def path_of(state_dir: str) -> str:
    """The file."""
    return os.path.join(state_dir, "seen-pushes")


def note(state_dir: str, who: str, *push: str) -> None:
    """Keep that a hook has seen a push: commit, ref and remote. No push fails for it.

    A line begins with its line break, so that one that was torn does not spoil the next.
    """
    path = path_of(state_dir)
    try:
        state_files.append(path, " ".join((f"\n{int(time.time())}", who, *push)).encode("utf-8", "surrogateescape"))
        if os.path.getsize(path) > LIMIT:
            _shorten(path)
    except OSError:
        pass


def note_update(state_dir: str, who: str, update: RefUpdate) -> None:
    """As `note`, of a ref update; a deletion leaves no trace that could be compared."""
    if update.commit:
        note(state_dir, who, update.commit, update.ref, update.remote)


def _shorten(path: str) -> None:
    with open(path, "rb") as file:
        content = file.read()
    state_files.replace(path, content[content.index(b"\n", len(content) // 2) :])


def forget(state_dir: str) -> None:
    """Drop what was seen: from now on the hook is not there on purpose."""
    try:
        os.unlink(path_of(state_dir))
        # Where nothing else is kept, nothing is left.
        os.rmdir(state_dir)
    except OSError:
        pass
