"""git prefect prune: archive the flows of this repository whose branch, tag or file is gone; asks first."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from msgspec.structs import replace

from .. import git
from ..core.errors import ExitCode, GitPrefectError, UnusableCommit, UsageError
from ..core.results import Registration, Report, ReportedRef
from ..deploy import drift, pending
from ..deploy.commit_settings import settings_at
from ..deploy.selection import no_longer_defined
from ..deploy.source_tree import check, tree_of_commit
from ..git import remotes
from ..prefect_api.queries import Api
from ..prefect_api.registered import ActiveFlow, active_flows
from ..report import style, terminal, text
from ..report.invocation import git_prefect
from ..report.options import Parser, reporting, show

PARALLEL = 8
"""Flows that are archived at once."""


class Gone(msgspec.Struct, frozen=True):
    """A flow that is to be pruned, and why."""

    held: ActiveFlow
    ref: str
    why: str


def main(argv: Sequence[str]) -> int:
    """Show what is gone, ask, archive it; exit code 1 when something of it is still active afterwards.

    Nothing is touched when the remote or the API cannot be asked, nor without somebody to ask or `--yes`.
    """
    options = _parser().parse_args(argv)
    repository = git.open_repository()
    remote = remotes.chosen_remote(repository, options.remote)
    gone = find(repository, remote)
    verb = "delete" if options.delete else "archive"
    if not gone:
        return show(
            Report("prune", ExitCode.OK, summary=(f"nothing to {verb}: every flow's ref and file are there",)), options
        )
    preview = _report(gone, _rows(gone, verb), True)
    if options.dry_run:
        (total,) = preview.summary
        return show(replace(preview, summary=(f"{total}; nothing was changed",)), options)
    if not options.yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            show(replace(preview, exit=ExitCode.USAGE), options)
            again = git_prefect("prune", *argv, "--yes")
            print(f"git-prefect: nothing was {verb}d: there is no terminal to ask at\nhint: {again}", file=sys.stderr)
            return ExitCode.USAGE
        asked = replace(preview, summary=())
        print(terminal.render(asked, style.of(options.color, options.verbose, sys.stderr)), file=sys.stderr)
        if not _agreed(verb, gone):
            return show(Report("prune", ExitCode.OK, summary=(f"nothing was {verb}d",)), options)
        # Somebody may have pushed while the question stood.
        still = {one.held.flow.id for one in find(repository, remote)}
        gone = [one for one in gone if one.held.flow.id in still]
    report = _report(gone, archive_gone(repository, remote, gone, options.delete), False)
    if not options.yes and options.format == "text" and style.same_place(sys.stdout, sys.stderr):
        report = _without_what_was_shown(report)
    return show(report, options)


def _parser() -> Any:
    parser = Parser(
        prog="git prefect prune",
        description="Archive the flows whose storage is this repository and whose branch, tag or file the remote no longer "
        "has. They are shown first, and a question is asked; other repositories' flows are never touched.",
        epilog="Exit codes: 0 pruned, or nothing to prune, 1 something is still active, 2 usage, or no terminal to ask at, "
        "3 not authorised, 4 API or remote out of reach (nothing is touched then).",
    )
    parser.add_argument("--remote", help="default: the one that git push would use")
    parser.add_argument("--dry-run", action="store_true", help="show what is gone and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--delete", action="store_true", help="delete, with all runs and logs, where archiving would keep them"
    )
    return reporting(parser)


def find(repository: git.Repository, remote: str) -> list[Gone]:
    """The flows that are gone: their ref is, or their file no longer defines them there nor does any other.

    A flow of a ref that is being pushed or registered is left alone, and so is what a file may define that cannot be
    loaded here.

    Raises:
        OutOfReach, NotAuthorised: the API or the remote.
        UsageError: the remote has no branch at all, so that everything would be gone.
    """
    asked = drift.ask(repository, remote)
    for trouble in asked.troubles:
        raise trouble
    assert asked.remote is not None
    if not any(ref.startswith("refs/heads/") for ref in asked.remote.refs):
        raise UsageError(
            f"{remote} has no branch at all, so every flow of it would be gone: nothing is touched",
            "is it the right remote? Name another with --remote",
        )
    waiting = {entry.ref for entry in pending.entries(repository) if entry.remote == remote}
    default = drift.default_branch_of(repository, remote, asked.remote)
    by_ref: dict[str, list[ActiveFlow]] = {}
    for one in asked.flows:
        ref = drift.full_ref(one, default)
        if ref and ref not in waiting:
            by_ref.setdefault(ref, []).append(one)
    here = drift.commits_here(repository, remote, asked.remote, list(by_ref))
    found = []
    for ref, flows in by_ref.items():
        kind, name = ref.split("/", 2)[1:]
        if ref not in here:
            why = f"{'tag' if kind == 'tags' else 'branch'} {name} is gone from {remote}"
            renamed = drift.on_default_branch(repository, remote, asked.remote, default, flows)
            found += [Gone(one, ref, why) for one in flows if one.flow.id not in renamed]
        else:
            try:
                found += _undefined(repository, remote, ref, here[ref], flows)
            except UnusableCommit as error:
                print(f"left alone: {text.plural(len(flows), 'flow')} of {name}: {error.message}", file=sys.stderr)
    return found


def _undefined(repository: git.Repository, remote: str, ref: str, commit: str, flows: Sequence[ActiveFlow]) -> list[Gone]:
    settings = settings_at(repository, commit, remote).settings
    files = check(repository, tree_of_commit(repository, commit), settings)
    why = no_longer_defined(repository, commit, files)
    with_flows = {file.path for file in files if file.flows}
    # What names no path tells nothing, and what names no flow runs the first of its file, whatever that is called.
    told = [one for one in flows if one.path and (one.loads or one.path not in with_flows)]
    return [Gone(one, ref, reason) for one in told if (reason := why(one.path, one.loads or one.flow.name))]


def _agreed(verb: str, gone: Sequence[Gone]) -> bool:
    projects = text.plural(len({one.held.flow.project for one in gone}), "project")
    more = ", with all runs and logs" if verb == "delete" else ""
    print(
        f"There is no way back. {verb.capitalize()} {text.plural(len(gone), 'flow')} in {projects}{more}? [y/N] ",
        end="", file=sys.stderr, flush=True,
    )  # fmt: skip
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def archive_gone(repository: git.Repository, remote: str, gone: Sequence[Gone], delete: bool) -> list[Registration]:
    """Archive or delete flows, side by side, then read back which of them are still active."""
    api = Api()
    act = api.delete if delete else api.archive

    def attempt(one: Gone) -> str:
        try:
            act(one.held.flow.id)
        except GitPrefectError as error:
            return error.message
        return ""

    with ThreadPoolExecutor(PARALLEL) as pool:
        errors = list(pool.map(attempt, gone))
    active = {one.flow.id for one in active_flows(api, drift.repository_at(repository, remote))}
    return [
        replace(row, action="failed", reason=f"still active: {error or 'the API took it and did nothing'}")
        if one.held.flow.id in active
        else row
        for row, one, error in zip(_rows(gone, "delete" if delete else "archive"), gone, errors)
    ]


def _rows(gone: Sequence[Gone], verb: str) -> list[Registration]:
    return [
        Registration(
            one.ref, one.held.flow.name, one.held.path, one.held.flow.project, f"{verb}d", one.held.flow.version, (),
            one.why, url=one.held.page,
        )
        for one in gone
    ]  # fmt: skip


def _report(gone: Sequence[Gone], rows: Sequence[Registration], is_plan: bool) -> Report:
    reported = []
    for ref in dict.fromkeys(one.ref for one in gone):
        kind, name = ref.split("/", 2)[1:]
        kind = "tag" if kind == "tags" else "branch"
        reported.append(ReportedRef(name, kind, None, "registered", None, f"{kind} {name}"))
    failed = any(row.action == "failed" for row in rows)
    return Report(
        "prune --dry-run" if is_plan else "prune",
        ExitCode.FINDINGS if failed else ExitCode.OK,
        tuple(reported),
        registrations=tuple(rows),
        summary=(_total(rows, is_plan),),
    )


def _without_what_was_shown(report: Report) -> Report:
    """What is left to say where the question stood: what is still active, and how many are not."""
    failed = [row for row in report.registrations if row.action == "failed"]
    refs = [one for one in report.refs if one.ref in {row.ref for row in failed}]
    return replace(report, refs=tuple(refs), registrations=tuple(failed))


def _total(rows: Sequence[Registration], is_plan: bool) -> str:
    counts = {verb: sum(row.action == verb for row in rows) for verb in ("archived", "deleted", "failed")}
    return ", ".join(f"{count} {f'to {verb[:-1]}' if is_plan else verb}" for verb, count in counts.items() if count)
