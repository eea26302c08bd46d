"""What a push leaves behind: an entry for each ref that is to be registered, and a watcher that sees to them."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress

from .. import git
from ..core.errors import ExitCode
from ..core.model import RefUpdate
from ..git import process, remotes, trigger
from ..report import text
from ..report.invocation import executable, git_prefect, typed_here
from . import pending, push_notices, watcher_process
from .gate import Admission, Decision, in_ci, promise
from .pending import Entry


def is_queued(repository: git.Repository, update: RefUpdate) -> bool:
    """Whether another hook of this very push has queued the ref: git's own, which pre-commit runs before us."""
    return pending.find(repository, update, process.pushing_process()) is not None


def enqueue(repository: git.Repository, decisions: Sequence[Decision], inside_push: bool = False) -> int:
    """Write down what is to be registered once the push has arrived, and leave a watcher that sees to it.

    With `inside_push` the trigger is put in place where it can stand, so that branches are registered before
    `git push` ends.
    """
    pusher = process.pushing_process()
    inside_push = inside_push and pusher is not None and not in_ci() and trigger.can_stand(repository)
    failures = pending.entries(repository)
    # What becomes of a ref that is told in this very push makes up for what was wrong with it before.
    told_soon = {(one.remote, one.ref) for one in failures if pusher and one.pusher == pusher}
    lines: list[str] = []
    queued: list[Entry] = []
    moves: list[tuple[str, str]] = []
    for decision in decisions:
        update = decision.update
        if not isinstance(decision, Admission):
            lines += announcement(repository, decision)
            continue
        tracking = git.tracking_ref(repository, update.remote, update.ref)
        before = git.commit_of(repository, tracking) if tracking else None
        told_live = bool(inside_push and tracking and before != update.commit and _is_worth_a_line(repository, decision))
        # With several, what the first of them moves proves nothing: the remote is asked once the push has ended.
        told_live = told_live and len(remotes.push_urls(repository, update.remote)) <= 1
        if told_live and tracking:
            moves.append((update.commit or "", tracking))
            told_soon.add((update.remote, update.ref))
        lines += announcement(repository, decision, told_live)
        queued.append(pending.record(repository, update, before, pusher, decision.project_by_hand))
    if not in_ci() and (queued or failures):
        listener = None
        if moves and pusher:
            # Where it cannot stand (a folder that is read-only, a file system without sockets) the watcher serves alone.
            with suppress(OSError):
                listener = trigger.put_in_place(repository, pusher.pid, moves, executable())
        _leave_watcher(repository, queued, listener)
    waiting = [one for one in failures if (one.remote, one.ref) not in told_soon]
    told = push_notices.news(repository, [*_failures(waiting), *_refusals(repository), *lines])
    if told:
        print(text.fitted("\n".join(told)))
    return ExitCode.OK


def announcement(repository: git.Repository, decision: Decision, told_live: bool = False) -> list[str]:
    """What is said of a ref: nothing where it has no flow of its own and never had one, or where nothing changes.

    `git push --quiet` is told what is wrong only.
    """
    quiet = process.is_quiet(process.pushing_arguments())
    if not isinstance(decision, Admission):
        return [] if quiet and not decision.is_problem else list(decision.lines)
    if decision.unchanged:
        return [f"{text.place(decision.update)}: {decision.existing}"] if decision.existing else []
    remarks = decision.problems if quiet else decision.remarks
    if not _is_worth_a_line(repository, decision) or (quiet and not remarks):
        return []
    return [promise(decision, told_live), *(f"  {one}" for one in remarks)]


def has_news(repository: git.Repository) -> bool:
    """Whether the next hook that queues a push has more to say: pushes that wait, and refusals nobody was told of."""
    return bool(pending.entries(repository) or pending.unreported_refusals(repository))


def _is_worth_a_line(repository: git.Repository, admitted: Admission) -> bool:
    if admitted.unchanged:
        return False
    return bool(admitted.flows or admitted.remarks or _has_registered(repository, admitted.update))


def _has_registered(repository: git.Repository, update: RefUpdate) -> bool:
    """Whether this clone has registered a flow from the ref before, which may be gone now."""
    ref = (update.remote, update.ref)
    return any((one["remote"], one["ref"]) == ref and one.get("flows") for one in pending.log_lines(repository))


def _failures(waiting: Sequence[Entry]) -> list[str]:
    """What went wrong after earlier pushes and still waits, in words for the next one."""
    lines = []
    for entry in waiting:
        if entry.error:
            ref = RefUpdate(entry.remote, entry.url, entry.ref, entry.commit, None, None, "push")
            lines.append(
                f"not registered yet: {text.place(ref)} at {text.short(entry.commit)}: {typed_here(entry.error)}\n"
                f"  hint: it is tried again with this push; now: {git_prefect('register', '--pending')}"
            )
    return lines


def _refusals(repository: git.Repository) -> list[str]:
    """What was refused after an earlier push, told once."""
    lines = []
    for line in pending.report_refusals(repository):
        ref = RefUpdate(line["remote"], "", line["ref"], line["commit"], None, None, "push")
        reasons = [flow.get("reason", "") for flow in line.get("flows", []) if flow["action"] == "failed"]
        told = "; ".join(dict.fromkeys(reasons)) or line.get("reason", "")
        lines.append(f"not registered: {text.place(ref)} at {text.short(line['commit'])}: {told}")
    return lines


def _leave_watcher(repository: git.Repository, queued: Sequence[Entry] = (), listener: socket.socket | None = None) -> None:
    """Start a watcher. `queued` are the entries of the push that goes on, `listener` is where its trigger calls.

    Its stdio is closed and it has a session of its own: a child that held the hook's output would
    stall pre-commit, and with it the push.
    """
    descriptor = listener.fileno() if listener else watcher_process.NO_LISTENER
    subprocess.Popen(
        watcher_process.command(repository.common_dir, repository.top or "", [one.id for one in queued], descriptor),
        # `python -m` puts the working directory on sys.path: a `json.py` in the user's repository must not be ours.
        cwd=repository.state_dir,
        env=watcher_process.environment(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=[descriptor] if listener else [],
    )


def resume(repository: git.Repository) -> None:
    """Leave a watcher when a push waits whose own is gone, or whose time to be tried again has come."""
    trigger.take_away(repository)
    due = [one for one in pending.entries(repository) if pending.is_due(one) and not pending.is_being_pushed(one)]
    if due and not in_ci():
        _leave_watcher(repository)
