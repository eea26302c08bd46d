"""One project is registered into by one process at a time, on one machine and for one user, whichever clone it works for.

Prefect has no locks of its own: parallel first registrations of one flow leave several flow groups, parallel further
ones leave every version archived.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import msgspec

from ..core import state_files
from ..core.errors import GitPrefectError, UsageError
from ..core.json_input import decode

LONGEST_WAIT = 300.0
"""Seconds to wait for another process."""

_POLL = 0.2


class _Holder(msgspec.Struct):
    """What a lock's file says of the process that holds it."""

    pid: int
    what: str


class StillRegistering(GitPrefectError):
    """Another process has been registering into the same project for longer than we wait."""


@contextmanager
def project_lock(address: str, project: str, what: str, longest_wait: float = LONGEST_WAIT) -> Iterator[bool]:
    """Hold the lock of a project at an API; `what` tells others what it is held for. Whether another had to be waited for.

    From before the plan's query until what was registered is read back, so that no plan is out of date when it is
    carried out. The tenant is not in the lock's name: it would cost a request, and two tenants that have a project of
    one name only wait for each other. The system takes the lock from a process that dies.

    Raises:
        StillRegistering: it was not had in `longest_wait` seconds.
        UsageError: the folder of the locks cannot be written.
    """
    key = hashlib.sha256(f"{address.rstrip('/')} {project}".encode()).hexdigest()[:32]
    path = _folder() / f"{key}.lock"
    try:
        opened = state_files.open_lock(path)
    except OSError as error:
        raise UsageError(
            f"{path.parent}: {error.strerror}, so registrations cannot be kept apart from those of other processes",
            "set XDG_STATE_HOME to a folder that can be written",
        ) from error
    with opened as file:
        waited = _wait(file, project, longest_wait)
        # Only for others to read: on a full disk the lock holds without it.
        with suppress(OSError):
            os.ftruncate(file.fileno(), 0)
            os.pwrite(file.fileno(), json.dumps({"pid": os.getpid(), "what": what}).encode(), 0)
        yield waited


def _wait(file: IO[str], project: str, longest_wait: float) -> bool:
    deadline = time.monotonic() + longest_wait
    told = False
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return told
        except BlockingIOError:
            pass
        if time.monotonic() >= deadline:
            raise StillRegistering(
                f"project {project!r} is still being registered into by {_holder(file)}, after {longest_wait:.0f} s",
                "try again when it has ended",
            )
        if not told:
            print(f"waiting for {_holder(file)}, which registers into project {project!r}", file=sys.stderr, flush=True)
            told = True
        time.sleep(_POLL)


def _holder(file: IO[str]) -> str:
    file.seek(0)
    told = decode(file.read(), _Holder)
    return f"process {told.pid} ({told.what})" if told else "another process"


def _folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME")
    if state and os.path.isabs(state):
        return Path(state, "git-prefect", "locks")
    home = os.path.expanduser("~")
    if os.path.isabs(home) and os.path.isdir(home) and os.access(home, os.W_OK):
        return Path(home, ".local", "state", "git-prefect", "locks")
    # A daemon or a container without a home: the same folder for all processes of this user.
    return Path(tempfile.gettempdir(), f"git-prefect-{os.getuid()}", "locks")
