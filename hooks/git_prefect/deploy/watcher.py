"""The watcher: a process that outlives the hook of a push, and settles what waits once the push has arrived or ended."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from .. import git
from ..core.errors import UsageError
from ..git import process, remotes, trigger
from ..git.process import Process
from . import pending
from .delivery import deliver, look_again
from .pending import Entry
from .trigger_call import DONE, HOLD

LONGEST_PUSH = 24 * 3600.0
"""Seconds that a watcher waits for its push to end."""

UNSEEN_PUSH = 60.0
"""Seconds that it waits where there is no `git push` to be seen, before it asks the remote."""


def main(argv: Sequence[str]) -> int:
    """Wait until the push of some entries has arrived or ended, then settle what waits.

    `argv` is the common git directory, the work tree of the push (it may be gone by then), the descriptor of the
    listening socket or -1, and the entries.
    """
    common, top, descriptor, *queued = argv
    repository = _open(common, top)
    entries = [entry for entry in pending.entries(repository) if entry.id in queued]
    pusher = next((entry.pusher for entry in entries if entry.pusher), None)
    tried = False
    if pusher and int(descriptor) >= 0:
        with socket.socket(fileno=int(descriptor)) as listener:
            tried = _serve(common, top, pusher, entries, listener)
    deadline = time.monotonic() + UNSEEN_PUSH
    for entry in entries:
        _wait_for_push(repository, entry, deadline)
    repository = _open(common, top)
    if pusher:
        trigger.take_away(repository, pusher.pid)
    if int(descriptor) >= 0:
        look_again(repository, entries)
    # A push takes up what failed before it; what has just failed inside the push has its time to wait.
    deliver(repository, just_pushed=frozenset(queued), due_only=tried or not queued)
    return 0


def _open(common: str, top: str) -> git.Repository:
    """The repository by the work tree of the push, or, when that is gone or going, by its main one."""
    for place in (top, os.path.dirname(common)):
        # `git worktree remove` takes the contents first: for a moment a folder is left that is no repository, or in another.
        with suppress(UsageError, OSError):
            found = git.open_repository(place)
            if os.path.samefile(found.common_dir, common):
                return found
    return git.open_repository(common)


def _wait_for_push(repository: git.Repository, entry: Entry, deadline: float) -> None:
    if entry.pusher:
        process.wait_for_end(entry.pusher, LONGEST_PUSH)
        return
    # No git above the hook (an editor that pushes by itself): the tracking ref will tell, or else the remote.
    tracking = git.tracking_ref(repository, entry.remote, entry.ref)
    while time.monotonic() < deadline and (not tracking or git.commit_of(repository, tracking) != entry.commit):
        time.sleep(0.5)


def _serve(common: str, top: str, pusher: Process, entries: Sequence[Entry], listener: socket.socket) -> bool:
    """Settle inside the push what the trigger reports, and tell it, until the push has ended or nothing is left.

    Whether there was anything to settle.
    """
    # While the push is under way; registering needs it a moment later.
    import prefect  # noqa: F401

    left, tried, waits = HOLD, False, True
    while waits:
        connection = _call(listener, pusher)
        if connection is None:
            return tried
        began = time.monotonic()
        repository = _open(common, top)
        with connection:
            audience = Audience(connection, quiet=process.is_quiet(process.arguments_of(pusher)))
            audience.send(f"{left:.3f}\n".encode())
            arrived = frozenset(entry.id for entry in entries if _has_arrived(repository, entry))
            if len(arrived) == len(entries):
                # It has no more to tell. Once the push has ended, another git may have looked it up, and fail without it.
                trigger.take_away(repository, pusher.pid)
            deliver(repository, just_pushed=arrived, due_only=tried, tell=audience.tell)
            tried = True
            if audience.listens:
                pending.report_refusals(repository)
            waits = bool({entry.id for entry in entries} & {entry.id for entry in pending.entries(repository)})
            if not waits:
                trigger.take_away(repository, pusher.pid)
            audience.send(DONE)
        left = max(0.1, left - (time.monotonic() - began))
    return tried


def _call(listener: socket.socket, pusher: Process) -> socket.socket | None:
    """The next call of the trigger; None when the push has ended without one."""
    while process.is_running(pusher):
        # The end of the push is nothing to be woken by on every system, and half a second late is early enough.
        ready, _, _ = select.select([listener], [], [], 0.5)
        if ready:
            return listener.accept()[0]
    return None


def _has_arrived(repository: git.Repository, entry: Entry) -> bool:
    """Whether it is known by now what became of a ref: git moves the tracking refs when the remote has answered for all.

    A branch that has a tracking ref is settled when that moves; tags and others have none, and the remote is asked.
    """
    if len(remotes.push_urls(repository, entry.remote)) > 1:
        # The first that accepts moves the tracking ref; the others are asked when the push has ended.
        return False
    tracking = git.tracking_ref(repository, entry.remote, entry.ref)
    return tracking is None or git.commit_of(repository, tracking) == entry.commit != entry.tracking_before


class Audience:
    """Whoever watches at the terminal of the push; it may leave at any time."""

    def __init__(self, connection: socket.socket, quiet: bool) -> None:
        self._connection = connection
        self._quiet = quiet
        self._heading = ""
        self.listens = True

    def tell(self, lines: str, is_problem: bool) -> None:
        """Have lines shown, while somebody listens; of a push that is quiet only what is wrong, below its heading."""
        if not self._quiet:
            self.send(f"{lines}\n".encode())
        elif is_problem:
            self.send(f"{self._heading}{lines}\n".encode())
            self._heading = ""
        else:
            self._heading = f"{lines}\n"

    def send(self, content: bytes) -> None:
        """Send bytes as they are, while somebody listens."""
        if self.listens:
            try:
                self._connection.sendall(content)
            except OSError:
                self.listens = False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
