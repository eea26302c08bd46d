"""The durable record of pushes that wait for their arrival: one file each, under the common git directory.

An entry is written before the transfer and taken away when it is settled, whichever way it went.
What was settled is a line of the log. Both carry a format number: two versions of git-prefect may
share a repository, and one leaves alone what it does not understand.
"""

from __future__ import annotations

import fcntl
import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Optional

import msgspec
from msgspec.structs import asdict, replace

from ..core import state_files
from ..core.fingerprints import of_prefect_configuration
from ..core.json_input import Name, Seconds, checked, decode
from ..core.model import RefUpdate
from ..git import Repository
from ..git.process import Process, is_running

FORMAT = 1


class LoggedFlow(msgspec.Struct):
    """What a line of the log says of one flow."""

    flow: str
    path: str
    project: str
    action: str
    version: int = 0
    changes: list[str] = []
    reason: str = ""
    storage: str = ""
    url: str = ""
    overrides: list[str] = []


class LogLine(msgspec.Struct):
    """A line of the log: how a push ended, and what was done with each of its flows. Read as a dictionary."""

    format: int
    time: Seconds
    result: str
    ref: Name
    remote: Name
    commit: Name
    reason: str = ""
    flows: list[LoggedFlow] = []
    left_out: list[str] = []
    unclonable: list[str] = []
    notes: list[str] = []
    api: str = ""
    """Of which API it was registered: a fingerprint of Prefect's configuration."""


LOG_LIMIT = 1_000_000
"""Bytes after which the log is begun anew; the one before is kept beside it."""

FIRST_RETRY, LAST_RETRY = 30.0, 3600.0
"""Seconds before a failed registration is tried again: doubled each time, up to the last."""


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A push that waits: what is pushed, by which process, and what has been tried."""

    id: Name
    created: Seconds
    """Seconds since the epoch, as all times here."""
    remote: Name
    url: Name
    ref: Name
    commit: Name
    pushed_object: Name
    tracking_before: Optional[Name]
    """What the tracking ref of the branch was before the push; None when there was none."""
    pusher: Optional[Process]
    project: Optional[str]
    """The project that was named by hand."""
    attempts: int = 0
    not_before: Seconds = 0.0
    error: str = ""
    """Why the last attempt failed; empty before the first."""
    format: int = FORMAT


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
    document = {"format": FORMAT, **asdict(entry), "pusher": asdict(entry.pusher) if entry.pusher else None}
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
            entry = decode(file.read(), Entry)
    except OSError:
        return None
    # Its name leads back to its file.
    known = entry is not None and entry.format == FORMAT and path == _file(os.path.dirname(path), entry.id)
    return entry if known else None


def is_being_pushed(entry: Entry) -> bool:
    """Whether the `git push` of this entry is still running."""
    return entry.pusher is not None and is_running(entry.pusher)


def postpone(repository: Repository, entry: Entry, error: str) -> Entry:
    """Keep an entry whose attempt failed, to be tried again later: after 30 s, doubled each time, 1 h at most."""
    wait = min(LAST_RETRY, FIRST_RETRY * 2 ** min(entry.attempts, 10))
    later = replace(entry, attempts=entry.attempts + 1, not_before=time.time() + wait, error=error)
    _write(repository, later)
    return later


def is_due(entry: Entry) -> bool:
    """Whether it is time to try an entry again. One that were to wait for longer than any was written by a wrong clock."""
    return not 0 < entry.not_before - time.time() <= LAST_RETRY


def seconds_until_due(entry: Entry) -> int:
    """Whole seconds until it is time to try an entry again; 0 when it is."""
    return 0 if is_due(entry) else math.ceil(entry.not_before - time.time())


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


def log_lines(repository: Repository) -> list[dict[str, Any]]:
    """The lines of the log, oldest first; torn ones are passed over."""
    try:
        with open(os.path.join(repository.state_dir, "log.jsonl"), "rb") as file:
            content = file.read()
    except FileNotFoundError:
        return []
    lines = (checked(line, LogLine) for line in content.splitlines())
    return [line for line in lines if line and line["format"] == FORMAT]


def last_registration(repository: Repository, update: RefUpdate) -> dict[str, Any] | None:
    """The last line of the log of a ref, if it was registered then with the API that Prefect is set to now.

    None also while a push of the ref waits: what it registers is not known yet.
    """
    ref = (update.remote, update.ref)
    if any((one.remote, one.ref) == ref for one in entries(repository)):
        return None
    mine = [one for one in log_lines(repository) if (one["remote"], one["ref"]) == ref]
    if not mine or mine[-1]["result"] not in ("registered", "nothing to register"):
        return None
    return mine[-1] if mine[-1].get("api") == of_prefect_configuration() else None


@contextmanager
def delivery_lock(repository: Repository, wait: bool) -> Iterator[bool]:
    """Hold the lock under which entries are settled; whether it was had (always, when waiting for it)."""
    with state_files.open_lock(os.path.join(repository.state_dir, "settle.lock")) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def unreported_refusals(repository: Repository) -> list[dict[str, Any]]:
    """The refusals in the log that no push was told of yet."""
    lines = log_lines(repository)
    told = _told(repository)
    # By their order, not by their times: a clock may be set back. What is not there any more was before all of these.
    begin = max((number for number, line in enumerate(lines, 1) if line["time"] == told), default=0)
    return [line for line in lines[begin:] if line["result"] == "refused"]


def report_refusals(repository: Repository) -> list[dict[str, Any]]:
    """The refusals in the log that no push was told of yet; from now on they count as told."""
    lines = unreported_refusals(repository)
    if lines:
        # Where it cannot be written they are told again.
        with suppress(OSError):
            state_files.replace(_marker(repository), str(lines[-1]["time"]))
    return lines


def _marker(repository: Repository) -> str:
    return os.path.join(repository.state_dir, "told")


def _told(repository: Repository) -> float:
    try:
        with open(_marker(repository), encoding="utf-8") as file:
            return float(file.read())
    except (OSError, ValueError):
        return 0.0
