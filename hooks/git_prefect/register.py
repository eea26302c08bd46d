"""prefect-register: plan, confirm on the remote, register; in a push, leave it to when the push has arrived."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from . import recall
from .check_pushed import annotated_tag
from .errors import ExitCode, UnusableCommit, UsageError
from .model import ERROR, WARNING, CheckedFile, Finding, GitStorage, PlannedFlow, RefUpdate, Registration
from .push import git, pending, process, refs
from .report import text
from .report.command import git_prefect
from .scope import concerned_paths, count_flows, project_for, registrable, storage_for
from .validate import base_of, check, settings_at, tree_of_commit, validate

if TYPE_CHECKING:
    from argparse import Namespace

    from .push.pending import Entry
    from .registration.api import Api, Registered
    from .registration.plan import Wanted
    from .settings import Settings, Source, Target


class Planned(NamedTuple):
    """What registering a ref would do, and all that carrying it out needs."""

    update: RefUpdate
    target: Target
    plan: list[PlannedFlow]
    registered: Registered
    left_out: list[Finding]
    """Why flows are left out: errors of flow files, and an interpreter that could not check them."""
    notes: list[str]
    """What else a person has to know, a line each: flows that stay in another storage, images that are lost."""


def main(argv: Sequence[str]) -> int:
    """The hook `prefect-register`, and `git prefect register`: exit code 1 when a flow could not be registered.

    In a push nothing is registered: the push has not arrived yet. It is written down, and a watcher
    registers it once the remote has the commit.
    """
    repository = git.open_repository()
    if refs.in_push(os.environ):
        project = _arguments(argv).project if argv else None
        return queue(repository, refs.from_pre_commit(repository, os.environ), project)
    options = _arguments(argv)
    if options.pending:
        return _pending_now(repository)
    if "PRE_COMMIT" in os.environ and not process.asked_for_stage("manual"):
        print(
            f"nothing is being pushed, so nothing is queued; to register what the remote has: {git_prefect('register')}"
        )
        return ExitCode.OK
    from . import settle
    from .registration.api import Api

    settle.settle(repository, wait=False)
    remote = refs.named_remote(repository, options.remote) if options.remote else refs.default_remote(repository)
    update = confirmed(repository, refs.by_hand(repository, os.environ, options.ref, remote))
    source = settings_at(repository, update.commit, remote)
    api = Api()
    planned = plan_ref(repository, update, source, api, options.project)
    print(f"{text.place(update)} at {text.short(update.commit)} (from {update.source}), settings: {source.origin}")
    if planned.left_out:
        print(text.findings(planned.left_out))
    for note in planned.notes:
        print(note)
    if options.dry_run:
        from .registration.apply import check_project

        for one in planned.plan[:1]:
            check_project(api, planned.registered, planned.target, one.project)
            if one.project not in planned.registered.project_ids:
                print(f"would create project {one.project}")
        print(text.plan(planned.plan))
        refused = any(one.action == "failed" for one in planned.plan)
        return ExitCode.FINDINGS if planned.left_out or refused else ExitCode.OK
    rows = apply_plan(api, planned)
    print(text.registrations(rows))
    return ExitCode.FINDINGS if planned.left_out or any(row.action == "failed" for row in rows) else ExitCode.OK


def _arguments(argv: Sequence[str]) -> Namespace:
    from argparse import ArgumentParser

    parser = ArgumentParser(
        prog="git prefect register",
        description="Register the flows of a branch (followed) or tag (pinned) as the remote has it now.",
        epilog="Exit codes: 0 all registered or unchanged, 1 something was not, 2 usage or settings, "
        "3 not authorised, 4 API or remote out of reach.",
    )
    parser.add_argument("--ref", help="branch or tag; default: BUILD_TAG, GIT_BRANCH, else the active branch")
    parser.add_argument("--remote", help="default: the one that git push would use")
    parser.add_argument("--project", help="register here, whatever the targets say")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
    parser.add_argument("--pending", action="store_true", help="only settle the pushes that wait, now")
    parser.add_argument("files", nargs="*", help="ignored: pre-commit names files")
    return parser.parse_args(argv)


def confirmed(repository: git.Repository, update: RefUpdate) -> RefUpdate:
    """The ref as the remote has it now: that is what agents run, and what is registered.

    Raises:
        UsageError: the remote lacks it, or has a tag that no agent can run.
        OutOfReach: the remote does not answer.
    """
    from .push.lsremote import ask_remote, fetch_commit

    answer = ask_remote(repository, update.remote, update.ref)
    theirs = answer.commit(update.ref)
    if theirs is None:
        raise UsageError(
            f"{text.place(update)} does not exist, and agents clone from there [not-on-remote]",
            f"push it first: git push {update.remote} {update.name}",
        )
    found = update._replace(commit=theirs, pushed_object=answer.refs[update.ref])
    for one in annotated_tag(repository, found):
        raise UsageError(f"{one.message} [{one.code}]", one.hint)
    if git.commit_of(repository, theirs) is None:
        fetch_commit(repository, update.remote, update.ref)
    return found


def target_for(settings: Settings, update: RefUpdate, project: str | None) -> Target | None:
    """The target that takes a ref, with the project given by hand in place of its own."""
    from . import settings as tables
    from .registration.targets import target_of

    found = target_of(settings.target, update)
    if project is None:
        return found
    if found is None:
        branch, tag = (update.name, None) if update.kind == "branch" else (None, update.name)
        return tables.Target(project=project, branch=branch, tag=tag)
    return tables.with_project(found, project)


def plan_ref(
    repository: git.Repository, update: RefUpdate, source: Source, api: Api, project: str | None = None
) -> Planned:
    """Plan the registration of a ref whose commit the remote has. Changes nothing.

    Raises:
        UsageError: no target takes the ref, or no agent can clone this remote as it is set.
        OutOfReach, NotAuthorised: the API.
    """
    from .push.lsremote import ask_remote
    from .registration import storage
    from .registration.plan import Wanted, plan

    assert update.commit, "a deletion registers nothing"
    settings = source.settings
    target = target_for(settings, update, project)
    if target is None:
        raise UnusableCommit(
            f"{update.name}: no target takes this {update.kind}, so it is not registered [no-target]",
            f'add a [[tool.git-prefect.target]] with {update.kind} = "{update.name}" and a project, or use --project',
        )
    where = storage_for(repository, update, settings)
    _refuse_unclonable(repository, update, where)
    files = check(
        repository, tree_of_commit(repository, update.commit), settings, where=where, with_flows=True, same_push=True
    )
    commit = update.commit
    configs = storage.run_configs(settings.runtime, lambda path: git.read_files(repository, commit, [path]).get(path))
    concerned = concerned_paths(repository, update, settings)
    name = project_for(repository, update, target, settings)
    wanted = [
        Wanted(
            file.path, flow.name,
            storage.with_storage(
                flow, storage.git_storage(where, update, file.path, flow.name),
                storage.run_config_of(flow, file.path, settings.runtime, configs, target.labels),
            ),
            concerned is None or file.path in concerned,
        )
        for file in registrable(files, settings) for flow in file.flows
    ]  # fmt: skip
    registered = api.registered([name], [one.flow for one in wanted])
    planned = plan(wanted, registered, target, name, update, None)
    if any(one.action == "failed" for one in planned):
        # Whether the branch that holds a name is gone is worth a question only when one is held.
        planned = plan(wanted, registered, target, name, update, ask_remote(repository, update.remote).refs)
    left_out = [one for file in files for one in file.findings if one.severity == ERROR or file.unchecked]
    notes = [*_stay_elsewhere(files, settings), *_lose_their_image(files, wanted)]
    return Planned(update, target, planned, registered, left_out, notes)


def _stay_elsewhere(files: Sequence[CheckedFile], settings: Settings) -> list[str]:
    if settings.storage == "replace":
        return []
    return [
        f'left out: {one.flow} ({file.path}) has a storage of its own; `storage = "replace"` moves it to git [other-storage]'
        for file in files
        for one in file.findings
        if one.code == "other-storage"
    ]


def _lose_their_image(files: Sequence[CheckedFile], wanted: Sequence[Wanted]) -> list[str]:
    """Flows whose Docker storage brought the image that they ran in, and that now have none."""
    docker = {
        flow.name for file in files for flow in file.flows if (flow.declared_storage or {}).get("type") == "Docker"
    }
    return [
        f"warning: {one.flow} ({one.path}) ran in the image of its Docker storage, and nothing names one now; give its "
        "files a [[tool.git-prefect.runtime]] with an image"
        for one in wanted
        if one.flow in docker and not one.serialized["run_config"].get("image")
    ]


def _refuse_unclonable(repository: git.Repository, update: RefUpdate, where: GitStorage) -> None:
    from .push.remotes import why_not_clonable

    url = refs.fetch_url(repository, update)
    obstacle = why_not_clonable(url, where)
    if obstacle:
        raise UnusableCommit(
            f"{url}: Prefect's Git storage cannot say where this remote is: {obstacle}",
            "set `clone-url-secret` to the name of a Prefect secret that holds the whole clone URL",
        )


def apply_plan(api: Api, planned: Planned) -> list[Registration]:
    """Carry a plan out; what became of each flow, as the API holds it afterwards."""
    from .registration.apply import apply

    return apply(api, planned.plan, planned.registered, planned.target, planned.update)


def _pending_now(repository: git.Repository) -> int:
    from . import settle
    from .commands.status import queue

    settle.settle(repository, due_only=False)
    print(queue(repository))
    return ExitCode.FINDINGS if any(one.error for one in pending.entries(repository)) else ExitCode.OK


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
    print("\n".join(lines))
    return ExitCode.OK


def newest_tags(repository: git.Repository, updates: Sequence[RefUpdate]) -> tuple[list[RefUpdate], list[RefUpdate]]:
    """Of several tags that lead to one project, the highest version; and the others, which are not registered."""
    from .registration.plan import is_older
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
        lines.append(f"{where}: not registered, no target takes it [no-target]")
        return []
    if known and known.project:
        lines.append(_promise(update, known.flows, known.project))
        return [_written_down(repository, update, project)]
    source = settings_at(repository, update.commit, update.remote)
    target = target_for(source.settings, update, project)
    if target is None:
        lines.append(
            f"{where}: not registered, no target takes it [no-target]; to change that, add to pyproject.toml: "
            f'[[tool.git-prefect.target]] with {update.kind} = "{update.name}" and a project'
        )
        return []
    _refuse_unclonable(repository, update, storage_for(repository, update, source.settings))
    if source.settings.runtime:
        from .registration.storage import templates

        commit = update.commit or ""
        templates(source.settings.runtime, lambda path: git.read_files(repository, commit, [path]).get(path))
    found = validate(repository, update, source, same_push=True)
    if found.refused and "prefect-validate" not in os.environ.get("SKIP", "").split(","):
        errors = text.plural(len(found.refused), "error")
        lines.append(f"{where}: nothing is queued: {errors} in what this push changes; see {git_prefect('validate')}")
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
        f"  {note}" for note in _stay_elsewhere([file for file in found.files if file.path in changed], source.settings)
    ]
    return [entry]


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
