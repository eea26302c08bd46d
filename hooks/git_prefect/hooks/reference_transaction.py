"""Called by the trigger inside `git push`, right after the remote accepted a branch: shows what the watcher does.

The push is held for 10 s at most, all its refs together; then the watcher goes on by itself.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ..core.errors import ExitCode, UsageError
from ..deploy.trigger_call import DONE, HOLD
from ..git import process
from ..git.trigger import in_folder
from ..report import text
from ..report.invocation import git_prefect


def main(argv: Sequence[str]) -> int:
    """Show what the watcher at a socket tells, until it has done. Never fails: the push has arrived.

    Raises:
        UsageError: it was not called as the trigger does.
    """
    if len(argv) != 1:
        raise UsageError(
            "arrived is called by git, inside a push that waits to be registered",
            f"to register what waits now: {git_prefect('register', '--pending')}",
        )
    place = Path(argv[0])
    try:
        watcher = _connect(place)
    except OSError:
        # It is gone, or the time is used up: whatever waits is taken up when the push has ended.
        return ExitCode.OK
    with watcher:
        try:
            done = _show(watcher)
        except KeyboardInterrupt:
            done = False
    if not done:
        # Further branches of this push are not waited for.
        place.unlink(missing_ok=True)
    if not done and not process.is_quiet(process.pushing_arguments()):
        print(f"git-prefect: it goes on in the background; what became of it: {git_prefect('status')}", file=sys.stderr)
    return ExitCode.OK


def _connect(place: Path) -> socket.socket:
    watcher = socket.socket(socket.AF_UNIX)
    with in_folder(place.parent):
        watcher.connect(place.name)
    return watcher


def _show(watcher: socket.socket) -> bool:
    """Print what comes; False when the time is up. The first line tells how much of it is left."""
    deadline = time.monotonic() + HOLD
    lines = b""
    left: float | None = None
    while True:
        watcher.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            received = watcher.recv(65536)
        except OSError:
            return False
        lines += received
        if left is None and b"\n" in lines:
            told, _, lines = lines.partition(b"\n")
            left = float(told)
            deadline += left - HOLD
        whole, newline, lines = lines.rpartition(b"\n")
        if left is not None and newline:
            print(text.fitted(whole.decode("utf-8", "replace"), sys.stderr), file=sys.stderr, flush=True)
        if not received:
            return lines == DONE
