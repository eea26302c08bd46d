"""Settle pending pushes: is the commit on the remote, and if so, register it. Run by the watcher, and by every command."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

from msgspec.structs import asdict, replace

from .. import git
from ..core import state_files
from ..core.errors import GitPrefectError, NotAuthorised, OutOfReach, UnusableCommit, UsageError
from ..core.fingerprints import of_prefect_configuration
from ..core.model import Finding, RefUpdate
from ..core.results import CHANGES, Registration
from ..git import remotes, trigger
from ..git.ls_remote import ask_remote, fetch_commits
from ..git.remote_urls import redact
from ..prefect_api.ownership import is_older
from ..prefect_api.queries import Api
from ..report import causes, outcomes, text
from ..report.invocation import git_prefect
from . import pending, second_load
from .pending import Entry
from .registration import Planned, confirmed, register, remote_deployment, verified


class NotOnRemote(Exception):
    """The remote does not have what was pushed; the text says why."""


Tell = Callable[[str, bool], None]
"""Gets lines for a person at the terminal of the push, and whether they say that something is wrong."""


def _nobody(_: str, __: bool) -> None:
    """Where nobody watches."""


def deliver(
    repository: git.Repository,
    just_pushed: frozenset[str] = frozenset(),
    due_only: bool = True,
    wait: bool = True,
    tell: Tell = _nobody,
) -> bool:
    """Settle the pushes that have ended, the newest of each ref first; False when another process is at it.

    `just_pushed` are the entries whose push arrived or ended under our eyes: for them the tracking ref that the
    push moved is proof enough. With `due_only`, what failed lately waits for its time. `tell` gets what a person at
    the terminal of the push would want to read, as it happens.
    """
    trigger.take_away(repository)
    if not pending.entries(repository):
        return True
    with pending.delivery_lock(repository, wait) as held:
        if not held:
            return False
        arrivals: dict[tuple[str, str], str] = {}
        undecided = set()
        for entry in reversed(pending.entries(repository)):
            ref = (entry.remote, entry.ref)
            if ref in arrivals:
                pending.close(
                    repository, entry, "superseded", {"reason": f"by the push of {text.short(arrivals[ref])}"}
                )
            elif ref in undecided or _has_to_wait(entry, just_pushed, due_only):
                # Until the newest push is known to have arrived, an older one may be what the remote has.
                undecided.add(ref)
            else:
                try:
                    if _deliver_one(repository, entry, entry.id in just_pushed, tell):
                        arrivals[ref] = entry.commit
                except GitPrefectError as error:
                    undecided.add(ref)
                    _postpone(repository, entry, error.sentence, tell, f"{_place(entry)}: ")
                except Exception:
                    undecided.add(ref)
                    _postpone(repository, entry, _crashed(repository), tell, f"{_place(entry)}: ")
    return True


def deliver_at_once(repository: git.Repository, wait: bool = True) -> bool:
    """As `deliver`, for a person who asks: what waits for its time is tried now, where the API answers."""
    early = any(not pending.is_due(entry) for entry in pending.entries(repository))
    return deliver(repository, due_only=not (early and _api_answers()), wait=wait)


def _api_answers() -> bool:
    """Whether it does; an attempt without it would only make the next one wait for longer."""
    try:
        Api().registered([], [])
    except GitPrefectError:
        return False
    return True


def _place(entry: Entry) -> str:
    ref = RefUpdate(entry.remote, entry.url, entry.ref, entry.commit, None, None, "push")
    return f"{text.place(ref)} at {text.short(entry.commit)}"


def _has_to_wait(entry: Entry, just_pushed: frozenset[str], due_only: bool) -> bool:
    if entry.id not in just_pushed and pending.is_being_pushed(entry):
        return True
    return due_only and not pending.is_due(entry)


def _postpone(repository: git.Repository, entry: Entry, error: str, tell: Tell, head: str = "  ") -> None:
    """Keep an entry, to be tried again. Without a head it stands below the line that tells it is being registered."""
    pending.postpone(repository, entry, error)
    tell(
        f"{head}not registered yet: {error}\n"
        f"  hint: it is tried again; now: {git_prefect('register', '--pending')}",
        True,
    )


def _deliver_one(repository: git.Repository, entry: Entry, just_pushed: bool, tell: Tell) -> bool:
    """Settle one push; whether it had arrived.

    Raises:
        GitPrefectError: the remote cannot tell whether it has arrived.
    """
    try:
        update = on_remote(repository, entry, just_pushed)
    except NotOnRemote as reason:
        pending.close(repository, entry, "not arrived", {"reason": str(reason)})
        tell(f"{_place(entry)}: not arrived: {reason}", True)
        return False
    tell(f"{text.place(update)} at {text.short(update.commit)}: registering", False)
    try:
        _register(repository, entry, update, tell)
    except UnusableCommit as error:
        tell(outcomes.below_its_heading(pending.close(repository, entry, "refused", {"reason": error.sentence})), True)
    except GitPrefectError as error:
        _postpone(repository, entry, error.sentence, tell)
    except Exception:
        _postpone(repository, entry, _crashed(repository), tell)
    return True


def _crashed(repository: git.Repository) -> str:
    path = Path(repository.state_dir, "crash.log")
    state_files.replace(path, redact(traceback.format_exc()))
    return f"a bug of git-prefect's; the traceback is in {path}"


def on_remote(repository: git.Repository, entry: Entry, just_pushed: bool) -> RefUpdate:
    """The ref as the remote has it, if that is the pushed commit or descends from it.

    Right after its push, the tracking ref that git moved tells, and nothing is asked. Later the remote
    is asked: others may have pushed since, and a branch registers what its HEAD on the remote is.

    Raises:
        NotOnRemote: the remote lacks the ref, or has something else.
        OutOfReach, NotAuthorised: the remote does not answer, or refuses the login.
    """
    update = RefUpdate(
        entry.remote, entry.url, entry.ref, entry.commit, entry.pushed_object, entry.tracking_before, "push"
    )
    configured = git.setting(repository, f"remote.{entry.remote}.url") is not None
    if not configured and "/" not in entry.remote:
        raise NotOnRemote(f"the remote {entry.remote!r} is no longer configured here")
    tracking = git.tracking_ref(repository, entry.remote, entry.ref)
    moved = tracking and entry.tracking_before != entry.commit
    moved = moved and git.commit_of(repository, tracking or "") == entry.commit
    fetched, pushed = remotes.fetch_url(repository, update), remotes.push_urls(repository, entry.remote)
    # git moves the tracking ref as soon as any of several push URLs has accepted; agents clone from the fetch URL.
    if just_pushed and moved and fetched == entry.url and len(pushed) <= 1 and not _may_be_renamed(repository, update):
        return update
    try:
        answer = ask_remote(repository, entry.remote, entry.ref)
    except (NotAuthorised, OutOfReach) as error:
        if configured:
            raise
        again = git_prefect("register", "--remote", entry.remote, "--ref", update.name)
        raise NotOnRemote(f"pushed by URL, and {error.message}; once it has arrived: {again}") from error
    theirs = answer.commit(entry.ref)
    if moved and fetched not in (pushed or [entry.url]):
        _wait_for_mirror(repository, update, theirs, entry.url)
    if theirs is None:
        raise NotOnRemote(f"{text.place(update)} does not exist: the push was a dry run, failed, or was undone")
    if not git.has_whole(repository, [theirs]):
        fetch_commits(repository, entry.remote, {entry.ref: theirs})
    update = replace(update, remote_head=answer.head or "")
    if theirs == entry.commit:
        return replace(update, pushed_object=answer.refs[entry.ref])
    if update.kind == "branch" and git.is_ancestor(repository, entry.commit, theirs):
        return replace(update, commit=theirs, pushed_object=theirs)
    raise NotOnRemote(f"{text.place(update)} is at {text.short(theirs)}: the push was rejected, or overwritten since")


def _may_be_renamed(repository: git.Repository, update: RefUpdate) -> bool:
    """Whether a branch may be the remote's new default branch, which this clone does not know yet."""
    return update.ref in ("refs/heads/main", "refs/heads/master") and update.name != git.default_branch(repository, update.remote)


def _wait_for_mirror(repository: git.Repository, update: RefUpdate, theirs: str | None, pushed_to: str) -> None:
    """See that the URL that is fetched from has caught up with the one that was pushed to.

    Raises:
        OutOfReach: it lacks the ref, or has an older commit of it.
    """
    behind = theirs is None or (theirs != update.commit and _is_older(repository, theirs, update.commit or ""))
    if behind:
        has = f"is at {text.short(theirs)}" if theirs else "does not exist yet"
        raise OutOfReach(
            f"{text.place(update)} {has} at the URL that is fetched from; the push went to {pushed_to}",
            "agents clone from the fetch URL: see `git remote -v`",
        )


def _is_older(repository: git.Repository, commit: str, other: str) -> bool:
    return git.commit_of(repository, commit) is not None and git.is_ancestor(repository, commit, other)


def _register(repository: git.Repository, entry: Entry, update: RefUpdate, tell: Tell) -> None:
    # A person who waits at the end of the push does not wait for a second connection.
    done = register(
        repository, remote_deployment(repository, update, entry.project), Api(), look_again=tell is _nobody,
        announce=lambda planned: _announce(planned, update, tell),
    )  # fmt: skip
    planned, rows = done.planned, done.rows
    update = planned.deployment.update
    detail = _logged(planned, rows, verified(repository, planned))
    # A refusal of the plan stands until something else is pushed; what the API or the interpreter failed at may not.
    refused = [row for row, one in zip(rows, planned.plan) if one.action == "failed"]
    failed = [row for row, one in zip(rows, planned.plan) if row.action == "failed" and one.action != "failed"]
    newer = _newer_tags(planned) if entry.attempts else ""
    if newer:
        back = git_prefect("register", "--ref", update.name)
        reason = f"{newer} was registered while this waited; to go back to it: {back}"
        tell(outcomes.below_its_heading(pending.close(repository, entry, "nothing to register", {"reason": reason})), False)
        return
    waiting = [f"{row.flow}: {row.reason}" for row in failed]
    if not detail["flows"]:
        # Beside what is registered, it is left out like any other file.
        waiting += [f"{one.message}; {one.hint}" for one in planned.left_out if one.code == "environment-broken"]
    if waiting:
        pending.log(repository, {"result": "failed", "ref": entry.ref, "remote": entry.remote, **detail})
        _postpone(repository, entry, "; ".join(waiting), tell)
        return
    result = "refused" if refused else "registered" if detail["flows"] else "nothing to register"
    line = pending.close(repository, entry, result, detail)
    # What stays in another storage was told before the push, and so were the flows that a first load leaves out.
    differing = [f"left out: {one}" for one in causes.remarks(one for one in planned.left_out if one.code == second_load.CODE)]
    is_problem = bool(refused or differing or line.get("unclonable") or planned.remarks)
    tell(outcomes.below_its_heading({**line, "notes": [*differing, *causes.remarks(planned.remarks)]}), is_problem)


def _logged(planned: Planned, rows: Sequence[Registration], unclonable: Sequence[Finding]) -> dict[str, Any]:
    """What the log keeps of a registration."""
    detail: dict[str, Any] = {
        "commit": planned.deployment.update.commit,
        "flows": [_told(row) for row in rows if row.action != "skipped"],
        "api": of_prefect_configuration(),
    }
    if planned.left_out:
        detail["left_out"] = causes.headlines(planned.left_out)
    if planned.notes or planned.remarks:
        detail["notes"] = [*planned.notes, *causes.remarks(planned.remarks)]
    if unclonable:
        detail["unclonable"] = causes.remarks(unclonable)
    return detail


def _newer_tags(planned: Planned) -> str:
    """The newer tags that all flows of a release are registered from by now; empty when something else is there."""
    refused = [one for one in planned.plan if one.action == "failed"]
    active = [planned.registered.newest(one.project, one.flow) for one in refused]
    tags = {str(one.storage.get("tag")) for one in active if one}
    update = planned.deployment.update
    older = update.kind == "tag" and len(refused) == len(planned.plan)
    return ", ".join(sorted(tags)) if older and all(is_older(update.name, tag) for tag in tags) else ""


def look_again(repository: git.Repository, entries: Sequence[Entry]) -> None:
    """Let the branches that were registered inside their push wait once more if the remote has moved on meanwhile.

    Whoever moved them may have registered before us, and have been overwritten.
    """
    last = {(line["remote"], line["ref"]): line for line in pending.log_lines(repository)}
    waiting = {one.id for one in pending.entries(repository)}
    for entry in entries:
        # The last line of one that waits is of an earlier push.
        line = None if entry.id in waiting else last.get((entry.remote, entry.ref))
        if line is None or not any(flow.get("action") in CHANGES for flow in line.get("flows", ())):
            continue
        update = RefUpdate(entry.remote, entry.url, entry.ref, line["commit"], line["commit"], None, "push")
        try:
            now = confirmed(repository, update) if update.kind == "branch" else update
        except (NotAuthorised, OutOfReach, UsageError):
            continue
        if now.commit != update.commit:
            pending.record(repository, now, None, None, entry.project)


def _announce(planned: Planned, told: RefUpdate, tell: Tell) -> None:
    """Tell which commit is registered, where a branch has moved on since that was told."""
    update = planned.deployment.update
    if update.commit != told.commit:
        tell(f"{text.place(update)} at {text.short(update.commit)}: registering", False)


def _told(row: Registration) -> dict[str, Any]:
    return {key: value for key, value in asdict(row).items() if key != "ref" and value}
