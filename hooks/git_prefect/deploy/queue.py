"""What a push leaves behind: an entry for each ref that is to be registered, and a watcher that sees to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from .. import git
from ..core.errors import ExitCode, UsageError
from ..core.model import WARNING, RefUpdate
from ..git import process
from ..hooks import validate
from ..report import text
from ..report.invocation import executable, git_prefect, typed_here
from . import annotated_tags, pending, push_notices, recall, removed_flows, watcher
from .selection import (
    add_target,
    count_flows,
    project_for,
    refuse_unclonable,
    stay_elsewhere,
    storage_for,
    target_for,
)
from .source_tree import settings_at

if TYPE_CHECKING:
    from .pending import Entry


def queue(
    repository: git.Repository, updates: Sequence[RefUpdate], project: str | None, inside_push: bool = False
) -> int:
    """Write down what is to be registered once the push has arrived, and leave a watcher that sees to it.

    With `inside_push` the trigger is put in place where it can stand, so that branches are registered before
    `git push` ends.
    """
    lines: list[str] = []
    pusher = process.pushing_process()
    inside_push = inside_push and pusher is not None and not _in_ci() and _trigger_can_stand(repository)
    queued: list[Entry] = []
    moves: list[tuple[str, str]] = []
    told_soon = set()
    failures = pending.entries(repository)
    for update in updates:
        if update.commit is None or update.kind == "other":
            continue
        if pending.find(repository, update, pusher):
            # The work of git's own hook, which pre-commit runs before us.
            told_soon.add((update.remote, update.ref))
            continue
        expected = _expected(repository, update, project, lines)
        if expected is None:
            continue
        tracking = git.tracking_ref(repository, update.remote, update.ref)
        before = git.commit_of(repository, tracking) if tracking else None
        if expected.flows or expected.remarks or _has_registered(repository, update):
            told_live = inside_push and before != update.commit and not _is_registered(repository, update)
            if told_live and tracking:
                moves.append((update.commit, tracking))
                told_soon.add((update.remote, update.ref))
            lines += [_promise(update, expected, told_live and bool(tracking)), *(f"  {one}" for one in expected.remarks)]
        queued.append(pending.record(repository, update, before, pusher, project))
    if not _in_ci() and (queued or failures):
        listener = None
        if moves and pusher:
            # Where it cannot stand (a folder that is read-only, a file system without sockets) the watcher serves alone.
            from ..git import trigger

            with suppress(OSError):
                listener = trigger.put_in_place(repository, pusher.pid, moves, executable())
        watcher.leave(repository, queued, listener)
    # What becomes of a ref that is told in this very push makes up for what was wrong with it before.
    waiting = [one for one in failures if (one.remote, one.ref) not in told_soon]
    told = push_notices.news(repository, [*_failures(waiting), *_refusals(repository), *lines])
    if told:
        print(text.fitted("\n".join(told)))
    return ExitCode.OK


def _trigger_can_stand(repository: git.Repository) -> bool:
    from ..git import trigger

    return trigger.can_stand(repository)


def _has_registered(repository: git.Repository, update: RefUpdate) -> bool:
    """Whether this clone has registered a flow from the ref before, which may be gone now."""
    ref = (update.remote, update.ref)
    return any((one["remote"], one["ref"]) == ref and one.get("flows") for one in pending.settled(repository))


def _is_registered(repository: git.Repository, update: RefUpdate) -> bool:
    """Whether the last push of this ref was registered, and this one changes nothing of that: there is no news."""
    ref = (update.remote, update.ref)
    mine = [one for one in pending.settled(repository) if (one["remote"], one["ref"]) == ref]
    if any((one.remote, one.ref) == ref for one in pending.entries(repository)):
        return False
    if not mine or mine[-1]["result"] not in ("registered", "nothing to register"):
        return False
    return not recall.differ(repository, mine[-1]["commit"], update.commit or "")


def newest_tags(repository: git.Repository, updates: Sequence[RefUpdate]) -> tuple[list[RefUpdate], list[RefUpdate]]:
    """Of several tags that lead to one project, the highest version; and the others, which are not registered."""
    from ..core.targets import target_of
    from ..prefect_api.ownership import is_older

    newest: dict[str, RefUpdate] = {}
    for update in updates:
        if update.kind == "tag":
            target = target_of(settings_at(repository, update.commit, update.remote).settings.target, update)
            project = target.project if target else update.ref
            if project not in newest or is_older(newest[project].name, update.name):
                newest[project] = update
    chosen = [one for one in updates if one.kind != "tag" or one in newest.values()]
    return chosen, [one for one in updates if one not in chosen]


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
    for line in pending.untold(repository):
        ref = RefUpdate(line["remote"], "", line["ref"], line["commit"], None, None, "push")
        reasons = [flow.get("reason", "") for flow in line.get("flows", []) if flow["action"] == "failed"]
        told = "; ".join(dict.fromkeys(reasons)) or line.get("reason", "")
        lines.append(f"not registered: {text.place(ref)} at {text.short(line['commit'])}: {told}")
    return lines


class _Expected(NamedTuple):
    """What is to be registered of a ref once it has arrived."""

    flows: int
    project: str
    remarks: Sequence[str] = ()
    """What else there is to say of it. pre-commit hides what the hooks before have said, so all of it is said here."""


def _expected(
    repository: git.Repository, update: RefUpdate, project: str | None, lines: list[str]
) -> _Expected | None:
    """What a ref is to be registered with; None when it is not, and what there is to say of that goes to `lines`.

    Raises:
        UsageError: it could never be registered: its settings, its templates, its remote.
    """
    where = text.place(update)
    if annotated_tags.refused(repository, update):
        if not push_notices.is_refused(repository, update, push_notices.CHECK_PUSHED):
            lines.append(f"{where}: nothing is queued, no agent can run an annotated tag [annotated-tag]")
        return None
    known = recall.recall(repository, update) if project is None else None
    if known and known.project:
        return _Expected(known.flows, known.project, _of_the_tag(repository, update))
    source = None if known else settings_at(repository, update.commit, update.remote)
    target = target_for(source.settings, update, project) if source else None
    if source is None or target is None:
        lines += _no_target(repository, update)
        return None
    refuse_unclonable(repository, update, storage_for(repository, update, source.settings), source.settings)
    if source.settings.runtime:
        from ..prefect_api.run_configs import check_runtimes

        commit = update.commit or ""
        check_runtimes(source.settings.runtime, lambda path: git.read_files(repository, commit, [path]).get(path))
    found = validate.validate(repository, update, source, same_push=True)
    if found.refused and push_notices.VALIDATE not in os.environ.get("SKIP", "").split(","):
        errors = text.plural(len(found.refused), "error")
        if not push_notices.is_refused(repository, update, push_notices.VALIDATE):
            lines.append(
                f"{where}: nothing is queued: {errors} in what this push changes or breaks: {git_prefect('validate')}"
            )
        return None
    remarks = _of_the_tag(repository, update)
    if found.refused:
        remarks.append(f"left out: {', '.join(sorted({one.path or '' for one in found.refused}))}")
    remarks += [validate.older(found)] if found.older else []
    base = validate.base_of(repository, update)
    changed = git.changed_paths(repository, base, update.commit or "")
    remarks += [
        f"{text.headline(one)}\n    hint: {typed_here(one.hint)}"
        for one in found.remarks
        if one.code == "environment-broken" or (one.path in changed and one.severity == WARNING)
    ]
    all_are_new = source.origin in changed and _has_no_settings(repository, base, update.remote)
    remarks += stay_elsewhere(
        [file for file in found.files if all_are_new or file.path in changed], source.settings
    )
    names = {flow.name for file in found.files for flow in file.flows}
    remarks += removed_flows.by_change(repository, update, target, names)
    count = count_flows(repository, update, source.settings, found.files)
    return _Expected(count, project_for(repository, update, target, source.settings), remarks)


def _has_no_settings(repository: git.Repository, base: str | None, remote: str) -> bool:
    with suppress(UsageError):
        return base is None or settings_at(repository, base, remote).origin == "defaults"
    return False


def _of_the_tag(repository: git.Repository, update: RefUpdate) -> list[str]:
    if not annotated_tags.is_annotated(update):
        return []
    beside = annotated_tags.companion(repository, update)
    return [f"it is annotated: the lightweight tag {beside} is pushed beside it, for agents"]


def _no_target(repository: git.Repository, update: RefUpdate) -> list[str]:
    """That a ref is not registered; nothing where the push changes nothing that could be."""
    if update.remote_commit and not recall.differ(repository, update.remote_commit, update.commit or ""):
        return []
    explained = git_prefect("register", "--explain", "--ref", update.name)
    return [
        f"{text.place(update)}: not registered, no target takes it [no-target]\n"
        f"  hint: {add_target(repository, update)}; which target takes what: {explained}"
    ]


def _promise(update: RefUpdate, expected: _Expected, told_live: bool) -> str:
    flows, project = expected.flows, expected.project
    what = (
        f"{text.plural(flows, 'flow')} → project {project}"
        if flows
        else f"no flow of its own; project {project} is compared"
    )
    once = f"{text.place(update)}: {what}, once {update.remote} has {text.short(update.commit)}."
    if _in_ci():
        return f"{once} CI is set, so nothing waits for that: {git_prefect('register', '--ref', update.name)}"
    return once if told_live else f"{once} What became of it: {git_prefect('status')}"


def _in_ci() -> bool:
    return os.environ.get("CI", "") not in ("", "0", "false")


def resume(repository: git.Repository) -> None:
    """Leave a watcher when a push waits whose own is gone, or whose time to be tried again has come."""
    from ..git import trigger

    trigger.take_away(repository)
    due = [one for one in pending.entries(repository) if pending.is_due(one) and not pending.is_being_pushed(one)]
    if due and not _in_ci():
        watcher.leave(repository)
