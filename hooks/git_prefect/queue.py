"""What a push leaves behind: an entry for each ref that is to be registered, and a watcher that sees to them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import recall
from .check_pushed import annotated_tag
from .errors import ExitCode
from .model import WARNING, RefUpdate
from .push import git, pending, process
from .report import text
from .report.command import git_prefect
from .scope import count_flows, project_for, refuse_unclonable, stay_elsewhere, storage_for, target_for
from .validate import base_of, settings_at, validate

if TYPE_CHECKING:
    from .push.pending import Entry


def queue(repository: git.Repository, updates: Sequence[RefUpdate], project: str | None) -> int:
    """Write down what is to be registered once the push has arrived, and leave a watcher that sees to it."""
    lines = [*untold_failures(repository), *_refusals(repository)]
    queued = [
        entry
        for update in updates
        if update.commit is not None and update.kind != "other"
        for entry in _queue_one(repository, update, project, lines)
    ]
    if not _in_ci() and (queued or pending.entries(repository)):
        leave_watcher(repository, queued)
    if lines:
        print("\n".join(lines))
    return ExitCode.OK


def newest_tags(repository: git.Repository, updates: Sequence[RefUpdate]) -> tuple[list[RefUpdate], list[RefUpdate]]:
    """Of several tags that lead to one project, the highest version; and the others, which are not registered."""
    from .registration.holders import is_older
    from .registration.targets import target_of

    newest: dict[str, RefUpdate] = {}
    for update in updates:
        if update.kind == "tag":
            target = target_of(settings_at(repository, update.commit, update.remote).settings.target, update)
            project = target.project if target else update.ref
            if project not in newest or is_older(newest[project].name, update.name):
                newest[project] = update
    chosen = [one for one in updates if one.kind != "tag" or one in newest.values()]
    return chosen, [one for one in updates if one not in chosen]


def untold_failures(repository: git.Repository) -> list[str]:
    """What went wrong after earlier pushes and still waits, in words for the next one."""
    lines = []
    for entry in pending.entries(repository):
        if entry.error:
            ref = RefUpdate(entry.remote, entry.url, entry.ref, entry.commit, None, None, "push")
            lines.append(
                f"not registered yet: {text.place(ref)} at {text.short(entry.commit)}: {entry.error}\n"
                f"  hint: it is tried again with this push; now: {git_prefect('register', '--pending')}"
            )
    return lines


def _refusals(repository: git.Repository) -> list[str]:
    """What was refused after an earlier push, told once."""
    lines = []
    for line in pending.untold(repository):
        ref = RefUpdate(line["remote"], "", line["ref"], line["commit"], None, None, "push")
        reasons = [flow["reason"] for flow in line.get("flows", []) if flow["action"] == "failed"]
        told = "; ".join(dict.fromkeys(reasons)) or line.get("reason", "")
        lines.append(f"not registered: {text.place(ref)} at {text.short(line['commit'])}: {told}")
    return lines


def _queue_one(repository: git.Repository, update: RefUpdate, project: str | None, lines: list[str]) -> list[Entry]:
    """Write down one push and say so in `lines`; its entry, or none when it is not to be registered.

    Raises:
        UsageError: it could never be registered: its settings, its templates, its remote.
    """
    where = text.place(update)
    if annotated_tag(repository, update):
        lines.append(f"{where}: nothing is queued, no agent can run an annotated tag [annotated-tag]")
        return []
    known = recall.recall(repository, update) if project is None else None
    if known and known.project is None:
        lines.append(_no_target(update))
        return []
    if known and known.project:
        lines.append(_promise(update, known.flows, known.project))
        return [_written_down(repository, update, project)]
    source = settings_at(repository, update.commit, update.remote)
    target = target_for(source.settings, update, project)
    if target is None:
        lines.append(_no_target(update))
        return []
    refuse_unclonable(repository, update, storage_for(repository, update, source.settings), source.settings)
    if source.settings.runtime:
        from .registration.runtimes import check_runtimes

        commit = update.commit or ""
        check_runtimes(source.settings.runtime, lambda path: git.read_files(repository, commit, [path]).get(path))
    found = validate(repository, update, source, same_push=True)
    if found.refused and "prefect-validate" not in os.environ.get("SKIP", "").split(","):
        errors = text.plural(len(found.refused), "error")
        lines.append(
            f"{where}: nothing is queued: {errors} in what this push changes or breaks; see {git_prefect('validate')}"
        )
        return []
    entry = _written_down(repository, update, project)
    count = count_flows(repository, update, source.settings, found.files)
    lines.append(_promise(update, count, project_for(repository, update, target, source.settings)))
    if found.refused:
        lines.append(f"  left out: {', '.join(sorted({one.path or '' for one in found.refused}))}")
    # pre-commit hides what a hook that passed has said; this one's output is always shown.
    base = base_of(repository, update)
    changed = git.changed_paths(repository, base, update.commit or "")
    lines += [f"  {text.headline(one)}" for one in found.remarks if one.path in changed and one.severity == WARNING]
    lines += [
        f"  {text.headline(one)}\n    hint: {one.hint}" for one in found.remarks if one.code == "environment-broken"
    ]
    lines += [
        f"  {note}" for note in stay_elsewhere([file for file in found.files if file.path in changed], source.settings)
    ]
    return [entry]


def _no_target(update: RefUpdate) -> str:
    return (
        f"{text.place(update)}: not registered, no target takes it [no-target]; to change that, add to pyproject.toml: "
        f'[[tool.git-prefect.target]] with {update.kind} = "{update.name}" and a project'
    )


def _promise(update: RefUpdate, flows: int, project: str) -> str:
    what = (
        f"{text.plural(flows, 'flow')} → project {project}"
        if flows
        else f"no flow of its own; project {project} is compared"
    )
    once = f"{text.place(update)}: {what}, once {update.remote} has {text.short(update.commit)}."
    if _in_ci():
        return f"{once} CI is set, so nothing waits for that: {git_prefect('register', '--ref', update.name)}"
    return f"{once} What became of it: {git_prefect('status')}"


def _in_ci() -> bool:
    return os.environ.get("CI", "") not in ("", "0", "false")


def _written_down(repository: git.Repository, update: RefUpdate, project: str | None) -> Entry:
    tracking = git.tracking_ref(repository, update.remote, update.ref)
    before = git.commit_of(repository, tracking) if tracking else None
    return pending.record(repository, update, before, process.pushing_process(), project)


def resume(repository: git.Repository) -> None:
    """Leave a watcher when a push waits whose own is gone, or whose time to be tried again has come."""
    now = time.time()
    due = [one for one in pending.entries(repository) if one.not_before <= now and not pending.is_being_pushed(one)]
    if due and not _in_ci():
        leave_watcher(repository)


def leave_watcher(repository: git.Repository, queued: Sequence[Entry] = ()) -> None:
    """Start a process that outlives this hook and settles what waits once its push has ended.

    Its stdio is closed and it has a session of its own: a child that held the hook's output would
    stall pre-commit, and with it the push.
    """
    environment = {
        name: value for name, value in git.clean_environment(os.environ).items() if not name.startswith("PRE_COMMIT")
    }
    subprocess.Popen(
        [
            sys.executable,
            "-m",
            "git_prefect.settle",
            repository.common_dir,
            repository.top or "",
            *(one.id for one in queued),
        ],
        # `python -m` puts the working directory on sys.path: a `json.py` in the user's repository must not be ours.
        cwd=repository.state_dir,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
