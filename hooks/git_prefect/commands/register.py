"""git prefect register: plan, confirm on the remote, register; or deliver the pending pushes now."""

from __future__ import annotations

import gc
import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from threading import Thread

from msgspec.structs import replace

from .. import git
from ..core import targets
from ..core.deployment import Deployment, NotDeployed, Resolution
from ..core.errors import ExitCode
from ..core.model import ERROR, Finding, RefUpdate
from ..core.results import Graph, Report
from ..deploy import delivery, pending
from ..deploy.push_report import report_of_pushes
from ..deploy.registration import Done, Planned, confirmed, plan, register, remote_deployment, verified
from ..deploy.resolver import add_target, deployed, resolve, target_to_paste, user_of
from ..deploy.selection import own_base
from ..deploy.shared_code import concerned_by_imports
from ..deploy.source_tree import check, tree_of_commit
from ..git import process, refs
from ..git.remotes import chosen_remote
from ..prefect_api.queries import Api
from ..prefect_api.structure import graph
from ..report import outcomes, style, terminal, text
from ..report.invocation import git_prefect
from ..report.options import Parser, reporting, show
from ..report.rows import reported_flows, reported_ref, would_be


def main(argv: Sequence[str]) -> int:
    """Register what the remote has; exit code 1 when a flow could not be registered."""
    options = _arguments(argv)
    repository = git.open_repository()
    if options.pending:
        return _pending_now(repository, options)
    if "PRE_COMMIT" in os.environ and not process.asked_for_stage("manual"):
        print(
            f"nothing is being pushed, so nothing is queued; to register what the remote has: {git_prefect('register')}"
        )
        return ExitCode.OK
    if not options.explain:
        _import_prefect_meanwhile()
    delivery.deliver_at_once(repository, wait=False)
    update = refs.by_hand(repository, os.environ, options.ref, chosen_remote(repository, options.remote))
    if options.explain:
        return show(_explained(repository, resolve(repository, update)), options)
    deployment = remote_deployment(
        repository, confirmed(repository, update), options.project, push_companion=not options.dry_run
    )
    if options.dry_run:
        planned = plan(repository, deployment, Api())
        done = Done(planned, [would_be(one, update.ref) for one in planned.plan])
    else:
        done = register(repository, deployment, Api(), announce=_announce)
    unclonable = [] if options.dry_run else verified(repository, done.planned)
    report = _report(done, options.dry_run, unclonable)
    if options.format == "markdown":
        report = replace(report, graphs=_graphs(done.planned))
    if not options.dry_run and options.format == "text" and _is_announced_there(done.planned):
        report = _without_what_was_announced(report)
    return show(replace(report, root=repository.top or ""), options)


def _import_prefect_meanwhile() -> None:
    """Begin to import Prefect, which takes most of a second, while git and the remote are asked."""

    def load() -> None:
        # An import leaves little to collect, and looking for it takes a sixth of its time.
        gc.disable()
        # What is wrong with it is told where it is needed.
        with suppress(Exception):
            import prefect  # noqa: F401
        gc.freeze()
        gc.enable()

    Thread(target=load, daemon=True).start()


def _announce(planned: Planned) -> None:
    """Show on stderr what will be done, before it is; nothing where nothing will."""
    update = planned.deployment.update
    rows = [would_be(one, update.ref) for one in planned.plan if one.changes_something]
    if rows:
        seen = style.of(stream=sys.stderr)
        heading = seen.wrap(seen.paint("bold", _heading(update, planned.deployment.source.origin)))
        print("\n".join([heading, *terminal.registrations(rows, True, seen)]), file=sys.stderr, flush=True)


def _is_announced_there(planned: Planned) -> bool:
    """Whether what was announced on stderr is read where the result is."""
    return any(one.changes_something for one in planned.plan) and style.same_place(sys.stdout, sys.stderr)


def _without_what_was_announced(report: Report) -> Report:
    refs = tuple(replace(one, heading="") for one in report.refs)
    return replace(report, refs=refs, registrations=tuple(map(outcomes.announced, report.registrations)))


def _heading(update: RefUpdate, settings: str) -> str:
    return f"{text.place(update)} at {text.short(update.commit)} (from {update.source}), settings: {settings}"


def _explained(repository: git.Repository, ref: Resolution) -> Report:
    """Which target takes the ref, and why; exit code 1 when none does.

    Raises:
        UnusableCommit: it leads to a project that another target names.
    """
    update = ref.update
    heading = f"{text.place(update)} (from {update.source}), settings: {ref.source.origin}"
    return Report(
        "register --explain",
        ExitCode.OK if isinstance(ref, Deployment) else ExitCode.FINDINGS,
        (reported_ref(ref, heading),),
        summary=tuple(f"  {one}" for one in explain_targets(repository, ref)),
    )


def explain_targets(repository: git.Repository, ref: Resolution) -> list[str]:
    """Each target in turn with why it takes the ref or not. Nothing is asked of the API or the remote."""
    update, settings = ref.update, ref.settings
    paste = [f"    {line}" for line in target_to_paste(ref)] if isinstance(ref, NotDeployed) else []
    hint = [f"  hint: {add_target(repository, update)}", *paste]
    if not settings.target:
        return ["there is no target, so no ref is registered [no-target]", *hint]
    lines = targets.explain(settings.target, update, user_of(repository), ref.storage.repo)
    if targets.target_of(settings.target, update) is None:
        return [*lines, f"no target takes {update.name}, so it is not registered [no-target]", *hint]
    return [*lines, f"flows: {_flows_in_words(repository, deployed(ref))}"]


def _flows_in_words(repository: git.Repository, deployment: Deployment) -> str:
    update, default = deployment.update, deployment.default_branch
    base = own_base(repository, deployment)
    if base is not None:
        changed = sum(path.endswith(".py") for path in git.changed_paths(repository, base, update.commit or ""))
        since = f"since {update.remote}/{default}"
        shared = _by_imports(repository, deployment, base)
        return f"those in files changed {since} ({changed} .py), {shared}and those registered from this branch"
    if update.kind == "tag":
        return "all, since it is a tag"
    return "all, since it is the default branch" if update.name == default else "all: where it left is not known here"


def _by_imports(repository: git.Repository, deployment: Deployment, base: str) -> str:
    """Which flow files a changed module concerns, and which module."""
    tree = tree_of_commit(repository, deployment.update.commit or "")
    found = concerned_by_imports(repository, deployment, base, check(repository, tree, deployment.settings))
    if not found:
        return ""
    importers = [f"{path} ({', '.join(modules)})" for path, modules in sorted(found.items())]
    return f"those that import a changed module: {', '.join(importers)}, "


def _report(done: Done, dry_run: bool, unclonable: Sequence[Finding]) -> Report:
    """What was registered, or with `dry_run` would be."""
    planned, rows = done.planned, done.rows
    deployment = planned.deployment
    update = deployment.update
    new = sorted({one.project for one in planned.plan} - planned.registered.project_ids.keys()) if dry_run else []
    created = [f"would create project {project}" for project in new]
    of_files = [one for file in planned.files for one in file.findings if one.severity != ERROR]
    remarks = [*planned.remarks, *(one for one in of_files if one not in planned.left_out)]
    found = [*planned.left_out, *unclonable, *remarks]
    failed = planned.left_out or unclonable or any(row.action == "failed" for row in rows)
    return Report(
        "register --dry-run" if dry_run else "register",
        ExitCode.FINDINGS if failed else ExitCode.OK,
        (reported_ref(deployment, _heading(update, deployment.source.origin)),),
        reported_flows(planned.files, update.ref),
        tuple(replace(one, ref=update.ref) for one in found),
        tuple(rows),
        summary=(*created, terminal.total(rows, dry_run)),
    )


def _graphs(planned: Planned) -> tuple[Graph, ...]:
    """Those of the flows that are new, or whose tasks or edges change."""
    drawn = []
    for one in planned.plan:
        if one.new_version:
            active = planned.registered.newest(one.project, one.flow)
            made = graph(one.flow, one.project, active.serialized if active else None, one.serialized)
            if active is None or made.changes:
                drawn.append(made)
    return tuple(drawn)


def _arguments(argv: Sequence[str]) -> Namespace:
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
    delivery.deliver(repository, due_only=False)
    report = report_of_pushes(repository, command="register --pending")
    waits = any(one.error for one in pending.entries(repository))
    return show(replace(report, exit=ExitCode.FINDINGS if waits else ExitCode.OK), options)
