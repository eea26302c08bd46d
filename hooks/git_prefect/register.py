"""prefect-register: plan, confirm on the remote, register; in a push, leave it to when the push has arrived."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Callable, NamedTuple

from . import queue, unseen
from .errors import ExitCode, OutOfReach, UsageError
from .findings import finding
from .model import ERROR, CheckedFile, Finding, RefUpdate
from .push import git, pending, process, refs
from .report import text
from .report.command import git_prefect
from .scope import (
    concerned_paths,
    destination,
    explain,
    no_longer_defined,
    refuse_unclonable,
    registrable,
    stay_elsewhere,
    storage_for,
    unknown_base,
    who_registers,
)
from .validate import check, reported_flows, settings_at, tree_of_commit

if TYPE_CHECKING:
    from argparse import Namespace

    from .registration.api import Api, Registered
    from .registration.plan import Circumstances, Wanted
    from .results import Graph, PlannedFlow, Registration, Report
    from .settings import Settings, Source, Target


class Planned(NamedTuple):
    """What registering a ref would do, and all that carrying it out needs."""

    given: Circumstances
    files: list[CheckedFile]
    """Those of the ref that its registration concerns."""
    plan: list[PlannedFlow]
    registered: Registered
    left_out: list[Finding]
    """Why flows are left out: errors of flow files, and an interpreter that could not check them."""
    remarks: list[Finding]
    """What else a person has to know before runs go wrong: images that are lost, a clone that is too shallow."""
    notes: list[str]
    """A line for each flow that stays in another storage."""
    parallel: int
    """Flows that are registered at once."""


def main(argv: Sequence[str]) -> int:
    """The hook `prefect-register`, and `git prefect register`: exit code 1 when a flow could not be registered.

    In a push nothing is registered: the push has not arrived yet. It is written down, and a watcher
    registers it once the remote has the commit.
    """
    if refs.in_push(os.environ):
        repository = git.open_repository()
        project = _arguments(argv).project if argv else None
        updates = refs.from_pre_commit(repository, os.environ)
        code = queue.queue(repository, updates, project)
        for line in unseen.news(repository, updates[0]):
            print(line)
        return code
    options = _arguments(argv)
    repository = git.open_repository()
    if options.pending:
        return _pending_now(repository, options)
    if "PRE_COMMIT" in os.environ and not process.asked_for_stage("manual"):
        print(
            f"nothing is being pushed, so nothing is queued; to register what the remote has: {git_prefect('register')}"
        )
        return ExitCode.OK
    from . import settle
    from .annotated import as_agents_clone_it
    from .registration.api import Api
    from .report.options import show

    if not options.explain:
        _import_prefect_meanwhile()
    settle.settle(repository, wait=False)
    remote = refs.named_remote(repository, options.remote) if options.remote else refs.default_remote(repository)
    update = refs.by_hand(repository, os.environ, options.ref, remote)
    if options.explain:
        return show(_explained(repository, update), options)
    update = as_agents_clone_it(repository, confirmed(repository, update), push=not options.dry_run)
    source = settings_at(repository, update.commit, remote)
    api = Api()
    if options.dry_run:
        planned = plan_ref(repository, update, source, api, options.project)
        rows = [would_be(one, update.ref) for one in planned.plan]
    else:
        planned, rows, source = register_ref(repository, update, api, options.project, announce=_announce)
    unclonable = [] if options.dry_run else verified(repository, planned, source.settings)
    report = _report(planned, rows, source.origin, options.dry_run, unclonable)
    if not options.dry_run and options.format == "text" and _is_announced_there(planned):
        report = _without_what_was_announced(report)
    return show(report._replace(root=repository.top or ""), options)


def _import_prefect_meanwhile() -> None:
    """Begin to import Prefect, which takes most of a second, while git and the remote are asked."""
    from threading import Thread

    def load() -> None:
        import gc

        # An import leaves little to collect, and looking for it takes a sixth of its time.
        gc.disable()
        # What is wrong with it is told where it is needed.
        with suppress(Exception):
            import prefect  # noqa: F401
        gc.freeze()
        gc.enable()

    Thread(target=load, daemon=True).start()


def verified(repository: git.Repository, planned: Planned, settings: Settings) -> list[Finding]:
    """With the setting `verify-clone`: why an agent would not get what is registered now."""
    if not settings.verify_clone or not planned.plan:
        return []
    from .clone_check import check_clone

    found = check_clone(repository, planned.given.update, settings, planned.files).finding
    return [found] if found else []


def _announce(planned: Planned, settings: str) -> None:
    """Show on stderr what will be done, before it is; nothing where nothing will."""
    from .report import look, terminal

    rows = [would_be(one, planned.given.update.ref) for one in planned.plan if one.changes_something]
    if rows:
        seen = look.of(stream=sys.stderr)
        heading = seen.wrap(seen.paint("bold", _heading(planned.given.update, settings)))
        print("\n".join([heading, *terminal.registrations(rows, True, seen)]), file=sys.stderr, flush=True)


def _is_announced_there(planned: Planned) -> bool:
    """Whether what was announced on stderr is read where the result is."""
    from .report import look

    return any(one.changes_something for one in planned.plan) and look.same_place(sys.stdout, sys.stderr)


def _without_what_was_announced(report: Report) -> Report:
    from .report.outcomes import announced

    refs = tuple(one._replace(heading="") for one in report.refs)
    return report._replace(refs=refs, registrations=tuple(map(announced, report.registrations)))


def _heading(update: RefUpdate, settings: str) -> str:
    return f"{text.place(update)} at {text.short(update.commit)} (from {update.source}), settings: {settings}"


def _explained(repository: git.Repository, update: RefUpdate) -> Report:
    """Which target takes the ref, and why; exit code 1 when none does."""
    from .results import Report, ReportedRef

    source = settings_at(repository, update.commit, update.remote)
    project, lines = explain(repository, update, source.settings)
    heading = f"{text.place(update)} (from {update.source}), settings: {source.origin}"
    ref = ReportedRef(update.name, update.kind, update.commit, update.source, project, heading)
    return Report(
        "register --explain",
        ExitCode.OK if project else ExitCode.FINDINGS,
        (ref,),
        summary=tuple(f"  {one}" for one in lines),
    )


def _report(
    planned: Planned, rows: Sequence[Registration], settings: str, dry_run: bool, unclonable: Sequence[Finding]
) -> Report:
    """What was registered, or with `dry_run` would be."""
    from .report import terminal
    from .results import Report, ReportedRef

    update, projects = planned.given.update, planned.registered.project_ids
    new = sorted({one.project for one in planned.plan} - projects.keys()) if dry_run else []
    created = [f"would create project {project}" for project in new]
    ref = ReportedRef(
        update.name, update.kind, update.commit, update.source, planned.given.project, _heading(update, settings)
    )
    of_files = [one for file in planned.files for one in file.findings if one.severity != ERROR]
    remarks = [*planned.remarks, *(one for one in of_files if one not in planned.left_out)]
    found = [*planned.left_out, *unclonable, *remarks]
    failed = planned.left_out or unclonable or any(row.action == "failed" for row in rows)
    return Report(
        "register --dry-run" if dry_run else "register",
        ExitCode.FINDINGS if failed else ExitCode.OK,
        (ref,),
        reported_flows(planned.files, update.ref),
        tuple(one._replace(ref=update.ref) for one in found),
        tuple(rows),
        graphs=_graphs(planned),
        summary=(*created, terminal.total(rows, dry_run)),
    )


def _graphs(planned: Planned) -> tuple[Graph, ...]:
    """Those of the flows that are new, or whose tasks or edges change."""
    from .registration.structure import graph

    drawn = []
    for one in planned.plan:
        if one.new_version:
            held = planned.registered.holder(one.project, one.flow)
            made = graph(one.flow, one.project, held and held.serialized, one.serialized)
            if held is None or made.changes:
                drawn.append(made)
    return tuple(drawn)


def would_be(one: PlannedFlow, ref: str) -> Registration:
    """A planned flow as the row of a report, with the version that it would have."""
    from .results import Registration

    version = (one.registered_version or 0) + one.new_version or None
    return Registration(
        ref, one.flow, one.path, one.project, one.action, version, one.changes, one.reason, overrides=one.overrides
    )


def _arguments(argv: Sequence[str]) -> Namespace:
    from .report.options import Parser, reporting

    parser = Parser(
        prog="git prefect register",
        description="Register the flows of a branch (followed) or tag (pinned) as the remote has it now.",
        epilog="Exit codes: 0 all registered or unchanged, 1 something was not, 2 usage or settings, "
        "3 not authorised, 4 API or remote out of reach.",
    )
    parser.add_argument("--ref", help="branch or tag; default: BUILD_TAG, GIT_BRANCH, else the active branch")
    parser.add_argument("--remote", help="default: the one that git push would use")
    parser.add_argument("--project", help="register here, whatever the targets say")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and change nothing")
    parser.add_argument(
        "--explain", action="store_true", help="say which target takes the ref, and why; change nothing"
    )
    parser.add_argument("--pending", action="store_true", help="only settle the pushes that wait, now")
    parser.add_argument("files", nargs="*", help="ignored: pre-commit names files")
    return reporting(parser).parse_args(argv)


def confirmed(repository: git.Repository, update: RefUpdate) -> RefUpdate:
    """The ref as the remote has it now: that is what agents run, and what is registered.

    Raises:
        UsageError: the remote lacks it.
        OutOfReach: the remote does not answer.
    """
    from .push.lsremote import ask_remote, fetch_commits

    answer = ask_remote(repository, update.remote, update.ref)
    theirs = answer.commit(update.ref)
    if theirs is None:
        raise UsageError(
            f"{text.place(update)} does not exist, and agents clone from there [not-on-remote]",
            f"push it first: git push {update.remote} {update.name}",
        )
    found = update._replace(commit=theirs, pushed_object=answer.refs[update.ref])
    if not git.has_whole(repository, [theirs]):
        fetch_commits(repository, update.remote, {update.ref: theirs})
    return found


class Done(NamedTuple):
    """What became of a ref's registration, and the settings that it was done by."""

    planned: Planned
    rows: list[Registration]
    source: Source


def register_ref(
    repository: git.Repository,
    update: RefUpdate,
    api: Api,
    project: str | None = None,
    look_again: bool = True,
    announce: Callable[[Planned, str], None] = lambda planned, settings: None,
) -> Done:
    """Register a ref whose commit the remote has; a branch that moves on meanwhile is registered as it is then.

    Somebody else may push, and register that, between our look at the remote and our registration, which would put
    the older commit in its place: so the remote is asked again once another process was waited for, and after
    something was changed. Without `look_again` the latter is left to `settle.look_again`.

    Raises:
        UsageError, OutOfReach, NotAuthorised: as `plan_ref`; or the ref is gone by now.
    """
    while True:
        source = settings_at(repository, update.commit, update.remote)
        with one_at_a_time(repository, update, source, api, project) as waited:
            now = _by_now(repository, update) if waited else update
            if now.commit == update.commit:
                planned = plan_ref(repository, update, source, api, project)
                announce(planned, source.origin)
                rows = apply_plan(api, planned)
                if look_again and any(one.changes_something for one in planned.plan):
                    now = _by_now(repository, update)
                if now.commit == update.commit:
                    return Done(planned, rows, source)
        update = now


def _by_now(repository: git.Repository, update: RefUpdate) -> RefUpdate:
    """A branch as the remote has it now; as it was when nobody can tell, or it is gone. Tags do not move."""
    if update.kind != "branch":
        return update
    try:
        return confirmed(repository, update)
    except (OutOfReach, UsageError):
        return update


@contextmanager
def one_at_a_time(
    repository: git.Repository, update: RefUpdate, source: Source, api: Api, project: str | None = None
) -> Iterator[bool]:
    """While it is entered, no other process of this user plans or registers anything in the ref's project.

    Whether another process had to be waited for.

    Raises:
        UnusableCommit: no target takes the ref.
        StillRegistering: another process holds the project for too long.
    """
    from .registration import locks

    _, name = destination(repository, update, source.settings, project)
    with locks.held(api.address, name, f"{text.place(update)} at {text.short(update.commit)}") as waited:
        yield waited


def plan_ref(
    repository: git.Repository, update: RefUpdate, source: Source, api: Api, project: str | None = None
) -> Planned:
    """Plan the registration of a ref whose commit the remote has. Changes nothing.

    Raises:
        UsageError: no target takes the ref, its project does not exist, or no agent can clone this remote as it is set.
        OutOfReach, NotAuthorised: the API.
    """
    from .push.lsremote import ask_remote
    from .registration.apply import check_project
    from .registration.plan import Circumstances, plan, storages_of

    assert update.commit, "a deletion registers nothing"
    settings = source.settings
    target, name = destination(repository, update, settings, project)
    where = storage_for(repository, update, settings)
    refuse_unclonable(repository, update, where, settings)
    files = check(
        repository, tree_of_commit(repository, update.commit), settings, where=where, with_flows=True, same_push=True
    )
    concerned = concerned_paths(repository, update, settings)
    default = settings.default_branch or git.default_branch(repository, update.remote)
    wanted = _wanted(repository, update, source, target, files)
    registered = api.registered([name], [one.flow for one in wanted], storages_of(update, where, default))
    lost = no_longer_defined(repository, update.commit, files)
    given = Circumstances(update, target, name, default, None, where, lost)
    planned = plan(wanted, registered, given)
    if any(one.action == "failed" for one in planned):
        # Whether the branch that holds a name is gone is worth a question only when one is held.
        given = given._replace(living_refs=ask_remote(repository, update.remote).refs)
        planned = plan(wanted, registered, given)
    if planned:
        check_project(api, registered, target, name)
    own = [file for file in files if concerned is None or file.path in concerned]
    left_out = [one for file in own for one in file.findings if one.severity == ERROR]
    if any(file.unchecked for file in own):
        # What an interpreter lacks is one finding, at whichever file comes first.
        left_out += [one for file in files for one in file.findings if one.code == "environment-broken"]
    shallow = unknown_base(repository, update, settings) if planned else None
    remarks = [*([shallow] if shallow else []), *_lose_their_image(own, wanted)]
    notes = stay_elsewhere(own, settings)
    return Planned(given, own, planned, registered, left_out, remarks, notes, settings.parallel)


def _wanted(
    repository: git.Repository, update: RefUpdate, source: Source, target: Target, files: Sequence[CheckedFile]
) -> list[Wanted]:
    """The flows of the checked files, as they would be registered."""
    from .registration import runtimes, storage
    from .registration.plan import Wanted
    from .registration.provenance import provenance

    settings, commit = source.settings, update.commit or ""
    where = storage_for(repository, update, settings)
    place, who = f"{where.repo_host}/{where.repo}", who_registers(repository, os.environ)
    configs = runtimes.run_configs(settings.runtime, lambda path: git.read_files(repository, commit, [path]).get(path))
    concerned = concerned_paths(repository, update, settings)
    return [
        Wanted(
            file.path, flow.name,
            storage.with_storage(
                flow, storage.git_storage(where, update, file.path, flow.name),
                runtimes.run_config_of(flow, file.path, settings.runtime, configs, target.labels),
            ),
            concerned is None or file.path in concerned,
            provenance(update, place, file.path, who),
        )
        for file in registrable(files, settings) for flow in sorted(file.flows, key=lambda flow: flow.name)
    ]  # fmt: skip


def _lose_their_image(files: Sequence[CheckedFile], wanted: Sequence[Wanted]) -> list[Finding]:
    """Flows whose Docker storage brought the image that they ran in, and that now have none."""
    docker = {
        flow.name for file in files for flow in file.flows if (flow.declared_storage or {}).get("type") == "Docker"
    }
    return [
        finding(
            "image-lost",
            f"flow {one.flow!r}: ran in the image of its Docker storage, and nothing names one now: what it imports may be "
            "missing where it runs",
            "give its files a [[tool.git-prefect.runtime]] with an image",
            path=one.path,
            flow=one.flow,
        )
        for one in wanted
        if one.flow in docker and not one.serialized["run_config"].get("image")
    ]


def apply_plan(api: Api, planned: Planned) -> list[Registration]:
    """Carry a plan out; what became of each flow, as the API holds it afterwards."""
    from .registration.apply import apply
    from .report import progress

    return apply(api, planned.plan, planned.registered, planned.given, planned.parallel, progress.watch())


def _pending_now(repository: git.Repository, options: Namespace) -> int:
    from . import settle
    from .commands import status
    from .report.options import show

    settle.settle(repository, due_only=False)
    report = status.of_pushes(repository, command="register --pending")
    waits = any(one.error for one in pending.entries(repository))
    return show(report._replace(exit=ExitCode.FINDINGS if waits else ExitCode.OK), options)
