"""What waits, and how each push from this clone ended, as a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from .. import git
from ..core.errors import ExitCode
from ..core.model import RefUpdate
from ..core.results import Registration, Report, ReportedRef
from ..report import outcomes, text
from ..report.invocation import git_prefect, typed_here
from ..report.status_table import ago, span
from . import pending


def report_of_pushes(
    repository: git.Repository,
    is_gone: Callable[[str, str], bool] | None = None,
    command: str = "status",
    told: Sequence[str] = (),
) -> Report:
    """What waits, then the last outcome of each ref, newest first.

    With `is_gone`, which tells whether a remote lacks a ref, only the newest outcome and what went wrong is told: what
    is well shows in the table, and what became of a ref that is gone since is over. Reasons that are `told` above are
    not told again.
    """
    waiting = pending.entries(repository)
    last = _last(repository)
    if is_gone is not None:
        over = [line for line in last if line["result"] != "not arrived" and is_gone(line["remote"], line["ref"])]
        last = [line for line in last if line not in over and (line is last[0] or _is_bad(line) or line.get("left_out"))]
    pushes = [*(_waiting(entry, told) for entry in waiting), *map(_settled, last)]
    bad = any(entry.error for entry in waiting) or any(_is_bad(line) for line in last)
    return Report(
        command,
        ExitCode.FINDINGS if bad else ExitCode.OK,
        tuple(ref for ref, _ in pushes),
        registrations=tuple(row for _, rows in pushes for row in rows),
        summary=() if pushes else ("no push from this clone has been registered yet",),
    )


def _is_bad(line: dict[str, Any]) -> bool:
    return line["result"] in ("failed", "refused") or bool(line.get("unclonable"))


def _last(repository: git.Repository) -> list[dict[str, Any]]:
    """The last outcome of each ref that does not wait, newest first."""
    told = {(entry.remote, entry.ref) for entry in pending.entries(repository)}
    last = []
    for line in reversed(pending.log_lines(repository)):
        if (line["remote"], line["ref"]) not in told and line["result"] != "superseded":
            told.add((line["remote"], line["ref"]))
            last.append(line)
    return last


def _waiting(entry: pending.Entry, told: Sequence[str]) -> tuple[ReportedRef, list[Registration]]:
    update = _update(entry.remote, entry.ref, entry.commit)
    head = f"{text.place(update)} at {text.short(entry.commit)}"
    if entry.error:
        tries = text.plural(entry.attempts, "time")
        reason = ", for the reason above" if entry.error in told else f": {typed_here(entry.error)}"
        state = (
            f"not registered yet, tried {tries}{reason}\n  next retry: {_next_retry(entry)}\n"
            f"  hint: try now with {git_prefect('register', '--pending')}"
        )
    else:
        state = "being pushed" if pending.is_being_pushed(entry) else "being registered"
    row = Registration(entry.ref, "", "", entry.project or "", "queued", None, (), entry.error)
    return _ref(update, f"{head}: {state}"), [row]


def _next_retry(entry: pending.Entry) -> str:
    seconds = pending.seconds_until_due(entry)
    if not seconds:
        return "by the next push or command"
    return f"by a push or command in {span(seconds)} or later; by {git_prefect('status')} as soon as the API is back"


def _settled(line: dict[str, Any]) -> tuple[ReportedRef, list[Registration]]:
    update = _update(line["remote"], line["ref"], line.get("commit"))
    reason = line.get("reason", "")
    head = f"{text.place(update)} at {text.short(update.commit)}: {line['result']} {ago(line['time'])}"
    rows = outcomes.rows(line)
    if reason:
        action = "failed" if _is_bad(line) else "skipped"
        rows.append(Registration(update.ref, "", "", "", action, None, (), reason))
    return _ref(update, "\n".join([f"{head}: {reason}" if reason else head, *outcomes.remarks(line)])), rows


def _ref(update: RefUpdate, heading: str) -> ReportedRef:
    return ReportedRef(update.name, update.kind, update.commit, update.source, None, heading)


def _update(remote: str, ref: str, commit: str | None) -> RefUpdate:
    return RefUpdate(remote, "", ref, commit, None, None, "push")
