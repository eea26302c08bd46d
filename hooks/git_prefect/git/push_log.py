"""The pushes that git itself has noted in this clone: the reflogs of the tracking refs, which it moves at each push."""

from __future__ import annotations

import msgspec

from .repository import GitError, Repository, run_git

BY_PUSH = "update by push"


class LoggedPush(msgspec.Struct, frozen=True):
    """A branch of a remote that a push has moved."""

    tracking_ref: str
    """Full name."""
    commit: str
    time: int
    """Seconds since the epoch, the same for all refs of one push."""
    is_oldest: bool
    """Whether the reflog has nothing before it: the push may have made the branch."""


def pushes(repository: Repository) -> list[LoggedPush]:
    """Every push that a reflog has, the newest first; none where git keeps no reflogs. A deletion takes its reflog along."""
    command = ("log", "--walk-reflogs", "--remotes", "--no-show-signature", "--date=unix", "--format=%H%x00%gD%x00%gs")
    try:
        lines = run_git(repository, *command).decode("utf-8", "surrogateescape").split("\n")[:-1]
    except GitError:
        return []
    found: dict[LoggedPush, None] = {}
    known = set()
    for line in reversed(lines):
        commit, selector, message = line.split("\0", 2)
        ref, _, moment = selector.rpartition("@{")
        if ref.endswith("/HEAD"):
            # Where it has no reflog of its own, git shows that of the branch it leads to.
            continue
        if message == BY_PUSH:
            found[LoggedPush(ref, commit, int(moment.rstrip("}")), ref not in known)] = None
        known.add(ref)
    return list(reversed(found))
