"""prefect-register: plan, confirm on the remote, register; in a push, leave it to when the push has arrived."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from .. import git
from ..core.errors import ExitCode
from ..core.model import ERROR, Finding, RefUpdate
from ..deploy import hidden_refs, pending, push_notices, queue
from ..deploy.registration import Planned, confirmed, plan_ref, register_ref, verified, would_be
from ..deploy.selection import explain
from ..deploy.source_tree import settings_at
from ..git import process, refs, remotes
from ..report import text
from ..report.invocation import git_prefect
from .validate import reported_flows

if TYPE_CHECKING:
    from argparse import Namespace

    from ..core.results import Graph, Registration, Report


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
        refused = push_notices.is_refused(repository, updates[0], push_notices.VALIDATE, push_notices.CHECK_PUSHED)
        left_out = [] if refused else hidden_refs.news(repository, updates[0])
        if left_out:
            print(text.fitted("\n".join(left_out)))
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
    from ..deploy import delivery
    from ..deploy.annotated_tags import as_agents_clone_it
    from ..prefect_api.queries import Api
    from ..report.options import show

    if not options.explain:
        _import_prefect_meanwhile()
    delivery.settle(repository, wait=False)
    remote = remotes.named_remote(repository, options.remote) if options.remote else remotes.default_remote(repository)
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
    if options.format == "markdown":
        report = report._replace(graphs=_graphs(planned))
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


def _announce(planned: Planned, settings: str) -> None:
    """Show on stderr what will be done, before it is; nothing where nothing will."""
    from ..report import style, terminal

    rows = [would_be(one, planned.given.update.ref) for one in planned.plan if one.changes_something]
    if rows:
        seen = style.of(stream=sys.stderr)
        heading = seen.wrap(seen.paint("bold", _heading(planned.given.update, settings)))
        print("\n".join([heading, *terminal.registrations(rows, True, seen)]), file=sys.stderr, flush=True)


def _is_announced_there(planned: Planned) -> bool:
    """Whether what was announced on stderr is read where the result is."""
    from ..report import style

    return any(one.changes_something for one in planned.plan) and style.same_place(sys.stdout, sys.stderr)


def _without_what_was_announced(report: Report) -> Report:
    from ..report.outcomes import announced

    refs = tuple(one._replace(heading="") for one in report.refs)
    return report._replace(refs=refs, registrations=tuple(map(announced, report.registrations)))


def _heading(update: RefUpdate, settings: str) -> str:
    return f"{text.place(update)} at {text.short(update.commit)} (from {update.source}), settings: {settings}"


def _explained(repository: git.Repository, update: RefUpdate) -> Report:
    """Which target takes the ref, and why; exit code 1 when none does."""
    from ..core.results import Report, ReportedRef

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
    from ..core.results import Report, ReportedRef
    from ..report import terminal

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
        summary=(*created, terminal.total(rows, dry_run)),
    )


def _graphs(planned: Planned) -> tuple[Graph, ...]:
    """Those of the flows that are new, or whose tasks or edges change."""
    from ..prefect_api.structure import graph

    drawn = []
    for one in planned.plan:
        if one.new_version:
            held = planned.registered.holder(one.project, one.flow)
            made = graph(one.flow, one.project, held and held.serialized, one.serialized)
            if held is None or made.changes:
                drawn.append(made)
    return tuple(drawn)


def _arguments(argv: Sequence[str]) -> Namespace:
    from ..report.options import Parser, reporting

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


def _pending_now(repository: git.Repository, options: Namespace) -> int:
    from ..commands import status
    from ..deploy import delivery
    from ..report.options import show

    delivery.settle(repository, due_only=False)
    report = status.of_pushes(repository, command="register --pending")
    waits = any(one.error for one in pending.entries(repository))
    return show(report._replace(exit=ExitCode.FINDINGS if waits else ExitCode.OK), options)
