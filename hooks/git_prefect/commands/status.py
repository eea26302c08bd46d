"""git prefect status: what became of the pushes, and what still waits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from .. import settle
from ..errors import ExitCode
from ..model import RefUpdate, Registration, Report, ReportedRef
from ..push import git, pending
from ..report import text
from ..report.command import git_prefect
from ..report.options import Parser, reporting, show


def main(argv: Sequence[str]) -> int:
    """Settle what waits and is due, then tell what became of each ref; exit code 1 when a push is not registered."""
    parser = Parser(
        prog="git prefect status",
        description="What became of the pushes from this clone, and what still waits.",
        epilog="Exit codes: 0 well, 1 a push could not be registered yet, 2 usage.",
    )
    options = reporting(parser).parse_args(argv)
    repository = git.open_repository()
    settle.settle(repository, wait=False)
    return show(report(repository), options)


def report(repository: git.Repository, command: str = "status") -> Report:
    """What waits, then the last outcome of each ref, newest first."""
    waiting = pending.entries(repository)
    last = _last(repository)
    told = [*map(_waiting, waiting), *map(_settled, last)]
    bad = any(entry.error for entry in waiting) or any(_is_bad(line) for line in last)
    return Report(
        command,
        ExitCode.FINDINGS if bad else ExitCode.OK,
        tuple(ref for ref, _ in told),
        registrations=tuple(row for _, rows in told for row in rows),
        summary=() if told else ("no push from this clone has been registered yet",),
    )


def _is_bad(line: dict[str, Any]) -> bool:
    return line["result"] in ("failed", "refused") or bool(line.get("left_out") or line.get("unclonable"))


def _last(repository: git.Repository) -> list[dict[str, Any]]:
    """The last outcome of each ref that does not wait, newest first."""
    told = {(entry.remote, entry.ref) for entry in pending.entries(repository)}
    last = []
    for line in reversed(pending.settled(repository)):
        if (line["remote"], line["ref"]) not in told and line["result"] != "superseded":
            told.add((line["remote"], line["ref"]))
            last.append(line)
    return last


def _waiting(entry: pending.Entry) -> tuple[ReportedRef, list[Registration]]:
    update = _update(entry.remote, entry.ref, entry.commit)
    head = f"{text.place(update)} at {text.short(entry.commit)}"
    if entry.error:
        tries = text.plural(entry.attempts, "time")
        state = (
            f"not registered yet, tried {tries}: {entry.error}\n"
            f"  hint: try now with {git_prefect('register', '--pending')}"
        )
    else:
        state = "being pushed" if pending.is_being_pushed(entry) else "being registered"
    row = Registration(entry.ref, "", "", entry.project or "", "queued", None, (), entry.error)
    return _ref(update, f"{head}: {state}"), [row]


def _settled(line: dict[str, Any]) -> tuple[ReportedRef, list[Registration]]:
    update = _update(line["remote"], line["ref"], line.get("commit"))
    reason = line.get("reason", "")
    head = f"{text.place(update)} at {text.short(update.commit)}: {line['result']} {_ago(line['time'])}"
    rows = [
        Registration(
            update.ref, flow["flow"], flow["path"], flow["project"], flow["action"], flow.get("version"),
            tuple(flow.get("changes", ())), flow.get("reason", ""), flow.get("storage", ""), flow.get("url", ""),
        )
        for flow in line.get("flows", [])
    ]  # fmt: skip
    if reason:
        action = "failed" if _is_bad(line) else "skipped"
        rows.append(Registration(update.ref, "", "", "", action, None, (), reason))
    more = [f"  left out: {one}" for one in line.get("left_out", [])]
    more += [f"  {one}" for key in ("unclonable", "notes") for one in line.get(key, [])]
    return _ref(update, "\n".join([f"{head}: {reason}" if reason else head, *more])), rows


def _ago(moment: float) -> str:
    seconds = max(0, int(time.time() - moment))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{text.plural(seconds // size, unit)} ago"
    return f"{seconds} s ago"


def _ref(update: RefUpdate, heading: str) -> ReportedRef:
    return ReportedRef(update.name, update.kind, update.commit, update.source, None, heading)


def _update(remote: str, ref: str, commit: str | None) -> RefUpdate:
    return RefUpdate(remote, "", ref, commit, None, None, "push")
