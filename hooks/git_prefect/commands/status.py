"""git prefect status: what waits, what became of the pushes, and what Prefect holds of this repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable

from .. import git
from ..core.errors import ExitCode, GitPrefectError
from ..core.model import ERROR, Finding, RefUpdate
from ..core.results import Registration, Report, ReportedRef
from ..deploy import delivery, drift, pending
from ..git import remotes
from ..report import outcomes, text
from ..report.invocation import git_prefect, typed_here
from ..report.options import Parser, reporting, show
from ..report.status_table import ago


def main(argv: Sequence[str]) -> int:
    """Settle what waits and is due, then tell how pushes and registered flows stand; exit code 1 when something is wrong.

    Without the API or the remote, what can be told without them is told, and the exit code is 3 or 4.
    """
    parser = Parser(
        prog="git prefect status",
        description="What waits, what became of the pushes from this clone, and every flow that Prefect holds of this "
        "repository: ref, project, version, schedule, last run, and how it differs from what the remote has now.",
        epilog="Exit codes: 0 well, 1 a push could not be registered, or registered flows whose next run fails, 2 usage, "
        "3 not authorised, 4 the API or the remote is out of reach (the queue is told all the same).",
    )
    parser.add_argument("--remote", help="default: the one that git push would use")
    options = reporting(parser).parse_args(argv)
    repository = git.open_repository()
    delivery.settle(repository, wait=False)
    remote = remotes.named_remote(repository, options.remote) if options.remote else remotes.default_remote(repository)
    return show(report(repository, remote), options)


def report(repository: git.Repository, remote: str) -> Report:
    """Pushes and registered flows, with what is wrong with either."""
    asked = drift.ask(repository, remote)
    troubles = list(asked.troubles)
    try:
        registered = drift.standing(repository, remote, asked)
    except GitPrefectError as error:
        troubles.append(error)
        registered = drift.standing(repository, remote, asked._replace(remote=None))
    found = [one for flow in registered for one in flow.drift]
    gone = None
    if asked.remote and not troubles:
        living = asked.remote.refs
        gone = lambda other, ref: other == remote and ref not in living  # noqa: E731
    pushes = of_pushes(repository, gone, told=[error.sentence for error in troubles])
    wrong = pushes.exit or any(one.severity == ERROR for one in found)
    return pushes._replace(
        exit=max((error.exit_code for error in troubles), default=ExitCode.FINDINGS if wrong else ExitCode.OK),
        findings=(*map(_trouble, troubles), *found),
        registered=tuple(registered),
        summary=() if registered or asked.api_trouble else ("Prefect holds no flow of this repository",),
    )


def _trouble(error: GitPrefectError) -> Finding:
    return Finding(ExitCode(error.exit_code).word, ERROR, error.message, error.hint)


def of_pushes(
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
    for line in reversed(pending.settled(repository)):
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
            f"not registered yet, tried {tries}{reason}\n"
            f"  hint: try now with {git_prefect('register', '--pending')}"
        )
    else:
        state = "being pushed" if pending.is_being_pushed(entry) else "being registered"
    row = Registration(entry.ref, "", "", entry.project or "", "queued", None, (), entry.error)
    return _ref(update, f"{head}: {state}"), [row]


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
