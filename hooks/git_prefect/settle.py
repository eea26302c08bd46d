"""Settle what waits: did the push arrive, and if so, register it. Run by the watcher, and by every command."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import GitPrefectError, OutOfReach, UnusableCommit
from .model import RefUpdate, Registration
from .push import git, pending, process, refs
from .push.lsremote import ask_remote, fetch_commit
from .push.remotes import redact
from .register import apply_plan, one_at_a_time, plan_ref
from .report import text
from .report.command import git_prefect
from .validate import settings_at

if TYPE_CHECKING:
    from .push.pending import Entry

LONGEST_PUSH = 24 * 3600.0
"""Seconds that a watcher waits for its push to end."""

UNSEEN_PUSH = 60.0
"""Seconds that it waits where there is no `git push` to be seen, before it asks the remote."""


class NotArrived(Exception):
    """The remote does not have what was pushed; the text says why."""


def main(argv: Sequence[str]) -> int:
    """The watcher: wait until the push of some entries has ended, then settle what waits.

    `argv` is the common git directory, the work tree of the push (it may be gone by then), and the entries.
    """
    common, top, *queued = argv
    repository = _open(common, top)
    for entry in pending.entries(repository):
        if entry.id in queued:
            _wait_for_push(repository, entry)
    settle(_open(common, top), just_pushed=frozenset(queued), due_only=not queued)
    return 0


def _open(common: str, top: str) -> git.Repository:
    """The repository by the work tree of the push, or, when that is gone by now, by its main one."""
    places = (top, os.path.dirname(common), common)
    return git.open_repository(next(place for place in places if os.path.isdir(place)))


def _wait_for_push(repository: git.Repository, entry: Entry) -> None:
    if entry.pusher:
        process.wait_for_end(entry.pusher, LONGEST_PUSH)
        return
    # No git above the hook (an editor that pushes by itself): the tracking ref will tell, or else the remote.
    tracking = git.tracking_ref(repository, entry.remote, entry.ref)
    deadline = time.monotonic() + UNSEEN_PUSH
    while time.monotonic() < deadline and (not tracking or git.commit_of(repository, tracking) != entry.commit):
        time.sleep(0.5)


def settle(
    repository: git.Repository,
    just_pushed: frozenset[str] = frozenset(),
    due_only: bool = True,
    wait: bool = True,
) -> bool:
    """Settle the pushes that have ended, the newest of each ref first; False when another process is at it.

    `just_pushed` are the entries whose push ended under our eyes: for them the tracking ref that the
    push moved is proof enough. With `due_only`, what failed lately waits for its time.
    """
    if not pending.entries(repository):
        return True
    with pending.settling(repository, wait) as held:
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
            elif ref in undecided or pending.is_being_pushed(entry) or (due_only and entry.not_before > time.time()):
                # Until the newest push is known to have arrived, an older one may be what the remote has.
                undecided.add(ref)
            else:
                try:
                    if _settle_one(repository, entry, entry.id in just_pushed):
                        arrivals[ref] = entry.commit
                except GitPrefectError as error:
                    undecided.add(ref)
                    pending.postpone(repository, entry, _sentence(error))
                except Exception:
                    undecided.add(ref)
                    pending.postpone(repository, entry, _crashed(repository))
    return True


def _settle_one(repository: git.Repository, entry: Entry, just_pushed: bool) -> bool:
    """Settle one push; whether it had arrived.

    Raises:
        GitPrefectError: the remote cannot tell whether it has arrived.
    """
    try:
        update = arrived(repository, entry, just_pushed)
    except NotArrived as reason:
        pending.close(repository, entry, "not arrived", {"reason": str(reason)})
        return False
    try:
        _register(repository, entry, update)
    except UnusableCommit as error:
        pending.close(repository, entry, "refused", {"reason": _sentence(error)})
    except GitPrefectError as error:
        pending.postpone(repository, entry, _sentence(error))
    except Exception:
        pending.postpone(repository, entry, _crashed(repository))
    return True


def _sentence(error: GitPrefectError) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message


def _crashed(repository: git.Repository) -> str:
    path = Path(repository.state_dir, "crash.log")
    pending.write_durably(path, redact(traceback.format_exc()))
    return f"a bug of git-prefect's; the traceback is in {path}"


def arrived(repository: git.Repository, entry: Entry, just_pushed: bool) -> RefUpdate:
    """The ref as the remote has it, if that is the pushed commit or descends from it.

    Right after its push, the tracking ref that git moved tells, and nothing is asked. Later the remote
    is asked: others may have pushed since, and a branch registers what its HEAD on the remote is.

    Raises:
        NotArrived: the remote lacks the ref, or has something else.
        OutOfReach: the remote does not answer.
    """
    update = RefUpdate(
        entry.remote, entry.url, entry.ref, entry.commit, entry.pushed_object, entry.tracking_before, "push"
    )
    configured = git.setting(repository, f"remote.{entry.remote}.url") is not None
    if not configured and "/" not in entry.remote:
        raise NotArrived(f"the remote {entry.remote!r} is no longer configured here")
    tracking = git.tracking_ref(repository, entry.remote, entry.ref)
    moved = tracking and entry.tracking_before != entry.commit
    moved = moved and git.commit_of(repository, tracking or "") == entry.commit
    # A push URL of its own is another repository than the one that agents clone from.
    if just_pushed and moved and refs.fetch_url(repository, update) == entry.url:
        return update
    try:
        answer = ask_remote(repository, entry.remote, entry.ref)
    except OutOfReach as error:
        if configured:
            raise
        again = git_prefect("register", "--remote", entry.remote, "--ref", update.name)
        raise NotArrived(f"pushed by URL, and {error.message}; once it has arrived: {again}") from error
    theirs = answer.commit(entry.ref)
    if theirs is None and moved and refs.fetch_url(repository, update) != entry.url:
        raise OutOfReach(
            f"{text.place(update)} does not exist yet at the URL that is fetched from; the push went to {entry.url}",
            "agents clone from the fetch URL: see `git remote -v`",
        )
    if theirs is None:
        raise NotArrived(f"{text.place(update)} does not exist: the push was a dry run, failed, or was undone")
    if git.commit_of(repository, theirs) is None:
        fetch_commit(repository, entry.remote, entry.ref)
    if theirs == entry.commit:
        return update._replace(pushed_object=answer.refs[entry.ref])
    if update.kind == "branch" and git.is_ancestor(repository, entry.commit, theirs):
        return update._replace(commit=theirs, pushed_object=theirs)
    raise NotArrived(f"{text.place(update)} is at {text.short(theirs)}: the push was rejected, or overwritten since")


def _register(repository: git.Repository, entry: Entry, update: RefUpdate) -> None:
    from .registration.api import Api

    source = settings_at(repository, update.commit, update.remote)
    api = Api()
    with one_at_a_time(repository, update, source, api, entry.project):
        planned = plan_ref(repository, update, source, api, entry.project)
        rows = apply_plan(api, planned)
    detail: dict[str, Any] = {
        "commit": update.commit,
        "flows": [_told(row) for row in rows if row.action != "skipped"],
    }
    if planned.left_out:
        detail["left_out"] = [text.headline(one) for one in planned.left_out]
    if planned.notes:
        detail["notes"] = planned.notes
    # A refusal of the plan stands until something else is pushed; what the API or the interpreter failed at may not.
    refused = [row for row, one in zip(rows, planned.plan) if one.action == "failed"]
    failed = [row for row, one in zip(rows, planned.plan) if row.action == "failed" and one.action != "failed"]
    waiting = [f"{row.flow}: {row.reason}" for row in failed]
    waiting += [f"{one.message}; {one.hint}" for one in planned.left_out if one.code == "environment-broken"]
    if waiting:
        pending.log(repository, {"result": "failed", "ref": entry.ref, "remote": entry.remote, **detail})
        pending.postpone(repository, entry, "; ".join(waiting))
        return
    result = "refused" if refused else "registered" if detail["flows"] else "nothing to register"
    pending.close(repository, entry, result, detail)


def _told(row: Registration) -> dict[str, Any]:
    return {key: value for key, value in row._asdict().items() if key != "ref" and value}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
