"""The durable record of pushes that wait for their arrival: one file each, under the common git directory.

An entry is written before the transfer and taken away when it is settled, whichever way it went.
What was settled is a line of the log. Both carry a format number: two versions of git-prefect may
share a repository, and one leaves alone what it does not understand.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from ..core import state_files
from ..core.json_shape import Name, loads
from ..core.model import RefUpdate
from ..git import Repository
from ..git.process import Process, is_running

FORMAT = 1
ENTRY = {
    "format": int, "id": Name, "created": float, "remote": Name, "url": Name, "ref": Name, "commit": Name,
    "pushed_object": Name, "tracking_before": (Name, None), "pusher": ({"pid": int, "started": str}, None),
    "project": (str, None), "attempts": int, "not_before": float, "error": str,
}  # fmt: skip
LINE = {
    "format": int, "time": float, "result": str, "ref": Name, "remote": Name, "commit": Name, "reason?": str,
    "flows?": [
        {"flow": str, "path": str, "project": str, "action": str, "version?": int, "changes?": [str], "reason?": str,
         "storage?": str, "url?": str, "overrides?": [str]}
    ],
    "left_out?": [str], "unclonable?": [str], "notes?": [str],
}  # fmt: skip
"""A line of the log: what became of a push, and of each of its flows."""

LOG_LIMIT = 1_000_000
"""Bytes after which the log is begun anew; the one before is kept beside it."""

FIRST_RETRY, LAST_RETRY = 30.0, 3600.0
"""Seconds before a failed registration is tried again: doubled each time, up to the last."""


class Entry(NamedTuple):
    """A push that waits: what is pushed, by which process, and what has been tried."""

    id: str
    created: float
    """Seconds since the epoch, as all times here."""
    remote: str
    url: str
    ref: str
    commit: str
    pushed_object: str
    tracking_before: str | None
    """What the tracking ref of the branch was before the push; None when there was none."""
    pusher: Process | None
    project: str | None
    attempts: int = 0
    not_before: float = 0.0
    error: str = ""
    """Why the last attempt failed; empty before the first."""


def _folder(repository: Repository) -> str:
    return os.path.join(repository.state_dir, "pending")


def _file(folder: str, entry_id: str) -> str:
    return os.path.join(folder, f"{entry_id}.json")


def record(
    repository: Repository,
    update: RefUpdate,
    tracking_before: str | None,
    pusher: Process | None,
    project: str | None,
) -> Entry:
    """Write the entry of a push that is about to happen; it is on disk when this returns.

    pre-commit's hook and our own may both see the same ref of one push: it is written down once.
    """
    assert update.commit and update.pushed_object, "a deletion registers nothing"
    known = find(repository, update, pusher)
    if known:
        return known
    now = time.time()
    entry = Entry(
        f"{time.time_ns():020d}-{os.getpid()}", now, update.remote, update.url, update.ref, update.commit,
        update.pushed_object, tracking_before, pusher, project,
    )  # fmt: skip
    _write(repository, entry)
    return entry


def find(repository: Repository, update: RefUpdate, pusher: Process | None) -> Entry | None:
    """The entry that the same `git push` has of this ref already; None also when the push cannot be seen."""
    wanted = (update.remote, update.ref, update.commit, pusher)
    if pusher is None:
        return None
    same = (one for one in entries(repository) if (one.remote, one.ref, one.commit, one.pusher) == wanted)
    return next(same, None)


def _write(repository: Repository, entry: Entry) -> None:
    document = {"format": FORMAT, **entry._asdict(), "pusher": entry.pusher and entry.pusher._asdict()}
    path = _file(_folder(repository), entry.id)
    state_files.replace(path, json.dumps(document, indent=1), durable=True)


def entries(repository: Repository) -> list[Entry]:
    """The pushes that wait, oldest first; files that are torn or of another format are passed over."""
    try:
        names = sorted(name for name in os.listdir(_folder(repository)) if name.endswith(".json"))
    except FileNotFoundError:
        return []
    found = (_read(os.path.join(_folder(repository), name)) for name in names)
    return [entry for entry in found if entry is not None]


def _read(path: str) -> Entry | None:
    try:
        with open(path, "rb") as file:
            document = loads(file.read(), ENTRY)
        # Its name leads back to its file.
        if document is None or document.pop("format") != FORMAT or path != _file(os.path.dirname(path), document["id"]):
            return None
        pusher = document.pop("pusher")
        return Entry(pusher=Process(**pusher) if pusher else None, **document)
    except (OSError, TypeError):
        return None


def is_being_pushed(entry: Entry) -> bool:
    """Whether the `git push` of this entry is still running."""
    return entry.pusher is not None and is_running(entry.pusher)


def postpone(repository: Repository, entry: Entry, error: str) -> Entry:
    """Keep an entry whose attempt failed, to be tried again later: after 30 s, doubled each time, 1 h at most."""
    wait = min(LAST_RETRY, FIRST_RETRY * 2 ** min(entry.attempts, 10))
    later = entry._replace(attempts=entry.attempts + 1, not_before=time.time() + wait, error=error)
    _write(repository, later)
    return later


def is_due(entry: Entry) -> bool:
    """Whether it is time to try an entry again. One that were to wait for longer than any was written by a wrong clock."""
    return not 0 < entry.not_before - time.time() <= LAST_RETRY


def close(repository: Repository, entry: Entry, result: str, detail: dict[str, Any]) -> dict[str, Any]:
    """Take an entry away and log what became of it: first the log, so that a kill in between loses nothing.

    The line of the log.
    """
    line = {"result": result, "ref": entry.ref, "remote": entry.remote, "commit": entry.commit, **detail}
    log(repository, line)
    with suppress(FileNotFoundError):
        os.unlink(_file(_folder(repository), entry.id))
    return line


def log(repository: Repository, line: dict[str, Any]) -> None:
    """Append a line to the log, one JSON object with its time."""
    path = os.path.join(repository.state_dir, "log.jsonl")
    if os.path.exists(path) and os.path.getsize(path) > LOG_LIMIT:
        os.replace(path, os.path.join(repository.state_dir, "log.1.jsonl"))
    state_files.append_line(path, json.dumps({"format": FORMAT, "time": time.time(), **line}))


def settled(repository: Repository) -> list[dict[str, Any]]:
    """The lines of the log, oldest first; torn ones are passed over."""
    try:
        with open(os.path.join(repository.state_dir, "log.jsonl"), "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return []
    lines = (loads(line, LINE) for line in content.splitlines())
    return [line for line in lines if line and line["format"] == FORMAT]


@contextmanager
def settling(repository: Repository, wait: bool) -> Iterator[bool]:
    """Hold the lock under which entries are settled; whether it was had (always, when waiting for it)."""
    with state_files.open_lock(os.path.join(repository.state_dir, "settle.lock")) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def untold(repository: Repository) -> list[dict[str, Any]]:
    """The refusals in the log that no push has told yet; from now on they are told."""
    marker = os.path.join(repository.state_dir, "told")
    try:
        with open(marker, encoding="utf-8") as file:
            told = float(file.read())
    except (OSError, ValueError):
        told = 0.0
    lines = settled(repository)
    # By their order, not by their times: a clock may be set back. What is not there any more was before all of these.
    begin = max((number for number, line in enumerate(lines, 1) if line["time"] == told), default=0)
    lines = [line for line in lines[begin:] if line["result"] == "refused"]
    if lines:
        # Where it cannot be written they are told again.
        with suppress(OSError):
            state_files.replace(marker, str(lines[-1]["time"]))
    return lines
