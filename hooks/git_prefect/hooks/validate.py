"""prefect-validate: each flow file of what is pushed, loaded as an agent loads it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from .. import git
from ..core.errors import ExitCode, UsageError
from ..core.model import ERROR, CheckedFile, Finding, GitStorage, RefUpdate
from ..deploy import push_notices, recall
from ..deploy.selection import branch_point, count_flows, project_for, reported_ref, storage_for
from ..deploy.source_tree import check, interpreter_for, settings_at, tree_of_commit, tree_of_index, tree_of_work_tree
from ..git import refs, remotes
from ..report import text
from ..report.invocation import git_prefect

if TYPE_CHECKING:
    from argparse import Namespace

    from ..core.results import ReportedFlow, ReportedRef
    from ..core.settings import Settings, Source
    from ..flows.checker import Tree
    from ..flows.interpreter import Interpreter


class Validation(NamedTuple):
    """The flow files of a commit, and what of their findings refuses its push."""

    files: list[CheckedFile]
    refused: list[Finding]
    """Errors in what the push changes or breaks."""
    older: list[Finding]
    """Errors that were there before it: told in one line, and left out of the registration."""

    @property
    def remarks(self) -> list[Finding]:
        """Warnings and notes."""
        return [one for file in self.files for one in file.findings if one.severity != ERROR]


def base_of(repository: git.Repository, update: RefUpdate) -> str | None:
    """The commit that a push builds on: what the remote has, else where it left the default branch; None: nothing."""
    if update.remote_commit and git.commit_of(repository, update.remote_commit):
        return update.remote_commit
    return branch_point(repository, update, git.default_branch(repository, update.remote))


def validate(repository: git.Repository, update: RefUpdate, source: Source, same_push: bool = False) -> Validation:
    """Check every flow file of the pushed commit, and tell what refuses the push from what is older.

    A push is refused for errors in flow files that it adds or changes or that were without one before it, and
    only on refs that have a target, or where there are no targets at all; with `strict`, for any error.
    """
    from ..core.targets import target_of

    assert update.commit, "a deletion has no flows"
    settings = source.settings
    files = check(
        repository, tree_of_commit(repository, update.commit), settings,
        where=storage_for(repository, update, settings), same_push=same_push,
    )  # fmt: skip
    errors = [one for file in files for one in file.findings if one.severity == ERROR]
    if settings.strict or not errors:
        return Validation(files, errors, [])
    if settings.target and target_of(settings.target, update) is None:
        return Validation(files, [], errors)
    older = _older_than(repository, update, {one.path for one in errors if one.path})
    return Validation(
        files,
        [one for one in errors if one.path not in older],
        [one for one in errors if one.path in older],
    )


def _older_than(repository: git.Repository, update: RefUpdate, failing: set[str]) -> set[str]:
    """Those of the failing files that the push does not change and that fail at the commit it builds on, too."""
    base = base_of(repository, update)
    if base is None:
        return set()
    unchanged = failing - git.changed_paths(repository, base, update.commit or "")
    if not unchanged:
        return set()
    try:
        settings = settings_at(repository, base, update.remote).settings
    except UsageError:
        settings = settings_at(repository, update.commit, update.remote).settings
    before = check(
        repository, tree_of_commit(repository, base), settings, only=unchanged,
        where=storage_for(repository, update, settings), same_push=True,
    )  # fmt: skip
    return {file.path for file in before if file.failed}


def main(argv: Sequence[str]) -> int:
    """The hook `prefect-validate`, and `git prefect validate [FILES…]`: exit code 1 when something refuses it.

    In a push, the pushed commit is checked; in a commit, the index; by hand, the work tree (or `--ref`).
    """
    if refs.in_push(os.environ):
        repository = git.open_repository()
        return max(
            [check_push(repository, update) for update in refs.from_pre_commit(repository, os.environ)], default=0
        )
    options = _arguments(argv)
    repository = git.open_repository()
    if _in_commit() and not options.files:
        return ExitCode.OK
    from ..core.results import Report
    from ..deploy.queue import resume
    from ..report.options import show

    resume(repository)
    remote = remotes.default_remote(repository) if options.ref else "origin"
    told: tuple[ReportedRef, ...] = ()
    if options.ref:
        update = refs.by_hand(repository, os.environ, options.ref, remote)
        if update.commit is None:
            raise UsageError(
                f"{options.ref} is on {remote}, but not here", f"fetch it first: git fetch {remote} --tags"
            )
        source = settings_at(repository, update.commit, remote)
        tree = tree_of_commit(repository, update.commit)
        told = (reported_ref(repository, update, source.settings),)
    else:
        source = settings_at(repository, None, remote)
        tree = tree_of_index(repository) if _in_commit() else tree_of_work_tree(repository)
    only = _from_top(repository, options.files, tree) if options.files else None
    files = check(
        repository,
        tree,
        source.settings,
        only=only,
        where=_where(repository, source.settings),
        no_cache=options.no_cache,
        no_preload=options.no_preload,
    )
    ref = told[0].ref if told else None
    findings = tuple(one._replace(ref=ref) for file in files for one in file.findings)
    errors = sum(one.severity == ERROR for one in findings)
    nothing_checked = bool(files) and all(file.unchecked for file in files)
    summary = _summary(files, errors, interpreter_for(repository, source.settings))
    return show(
        Report(
            "validate",
            ExitCode.FINDINGS if errors or nothing_checked else ExitCode.OK,
            told,
            reported_flows(files, ref),
            findings,
            summary=() if _in_commit() else (summary,),
            root=repository.top or "",
        ),
        options,
    )


def reported_flows(files: Sequence[CheckedFile], ref: str | None) -> tuple[ReportedFlow, ...]:
    """The flows of checked files as a report has them; a file without one that was found is a row by itself."""
    from ..core.results import ReportedFlow

    rows = []
    for file in files:
        status = "failed" if file.failed else "unchecked" if file.unchecked else "ok"
        rows += [ReportedFlow(ref, file.path, one.name, status, one.tasks, file.cached) for one in file.flows]
        if not file.flows:
            rows.append(ReportedFlow(ref, file.path, None, status, None, file.cached))
    return tuple(rows)


def _arguments(argv: Sequence[str]) -> Namespace:
    from ..report.options import Parser, reporting

    parser = Parser(
        prog="git prefect validate",
        description="Load flow files as an agent loads them: those named, else all of the work tree.",
        epilog="Exit codes: 0 all load, 1 findings, 2 usage or settings.",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="flow files, or folders of them; default: all")
    parser.add_argument("--ref", help="check this branch's or tag's commit, not the work tree")
    parser.add_argument("--no-cache", action="store_true", help="load everything again")
    parser.add_argument("--no-preload", action="store_true", help="import no installed module ahead of the flow files")
    return reporting(parser).parse_args(argv)


def _where(repository: git.Repository, settings: Settings) -> GitStorage | None:
    """What declared storages are compared with by hand: the remote that a push would go to, if there is one."""
    try:
        remote = remotes.default_remote(repository)
    except UsageError:
        return None
    return storage_for(repository, RefUpdate(remote, "", "", None, None, None, "by hand"), settings)


def _in_commit() -> bool:
    # `git commit` names its index to the pre-commit hook; nothing else does.
    return "GIT_INDEX_FILE" in os.environ


def _from_top(repository: git.Repository, files: Sequence[str], tree: Tree) -> set[str]:
    """Paths from the root of the repository; symlinks in folders are followed, the file itself is not. A folder is all below."""
    top = os.path.realpath(repository.top or ".")
    found: set[str] = set()
    for file in files:
        if not os.path.lexists(file):
            raise UsageError(
                f"{file}: there is no such file here", "name files from where you are, or none to check all flow files"
            )
        if os.path.isdir(file):
            below = os.path.normpath(os.path.relpath(os.path.realpath(file), top)) + "/"
            found |= {one.path for one in tree.entries if below == "./" or one.path.startswith(below)}
            continue
        folder, name = os.path.split(file)
        found.add(os.path.relpath(os.path.join(os.path.realpath(folder or "."), name), top))
    return found


def check_push(repository: git.Repository, update: RefUpdate, brief: bool = False) -> int:
    """Check what is pushed to one ref and say what was found; exit code 1 when it refuses the push.

    With `brief` only of what refuses it: what else there is to say, `queue` does.
    """
    if update.commit is None or update.kind == "other":
        return ExitCode.OK
    known = recall.recall(repository, update)
    if known:
        _print(["" if brief else known.said])
        return ExitCode.OK
    from ..core.targets import target_of
    from ..report import finding_text, style

    source = settings_at(repository, update.commit, update.remote)
    found = validate(repository, update, source)
    if not found.refused:
        summary = _summary(found.files, len(found.older), interpreter_for(repository, source.settings))
        remarks = finding_text.findings(found.remarks, style.of())
        told = _joined([remarks, older(found), summary])
        _print(["" if brief else told])
        alone = all(file.lasting for file in found.files) and not source.settings.import_roots
        if alone and not remarks and not found.older:
            target = target_of(source.settings.target, update)
            project = project_for(repository, update, target, source.settings) if target else None
            flows = count_flows(repository, update, source.settings, found.files)
            outcome = recall.Recalled(told, project, flows)
            recall.remember(repository, update, source.settings.python, outcome)
        return ExitCode.OK
    if push_notices.is_refused(repository, update, push_notices.VALIDATE):
        _print([f"refused above, by git's own hook: {text.plural(len(found.refused), 'error')}"])
        return ExitCode.FINDINGS
    push_notices.note_refusal(repository, update, push_notices.VALIDATE)
    _print([
        finding_text.findings([*found.refused, *_beside(repository, update, found)], style.of()),
        older(found),
        f"push refused: {text.plural(len(found.refused), 'error')} in what this push changes or breaks; nothing was sent to "
        f"{update.remote}. To push all the same: SKIP=prefect-validate git push",
    ])  # fmt: skip
    return ExitCode.FINDINGS


def _beside(repository: git.Repository, update: RefUpdate, found: Validation) -> list[Finding]:
    """The remarks that whoever mends what refuses a push should see: on the files that it is about, not on all others."""
    near = git.changed_paths(repository, base_of(repository, update), update.commit or "")
    near |= {one.path for one in found.refused if one.path}
    return [one for one in found.remarks if one.path is None or one.path in near]


def older(found: Validation) -> str:
    """One line on the errors that were there before a push; empty when there are none."""
    if not found.older:
        return ""
    paths = sorted({one.path or "the repository" for one in found.older})
    shown = ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    return (
        f"not from this push: {text.plural(len(found.older), 'error')} in {shown}; these flows are not registered. "
        f"See them with: {git_prefect('validate')}"
    )


def _summary(files: Sequence[CheckedFile], errors: int, interpreter: Interpreter) -> str:
    if not files:
        return f"no flow files here ({interpreter.brief})"
    good = [file for file in files if not file.failed and not file.unchecked]
    count = sum(len(file.flows) for file in good)
    unchecked = sum(file.unchecked for file in files)
    parts = [
        f"{text.plural(count, 'flow')} in {text.plural(len(good), 'file')} {'loads' if count == 1 else 'load'} as on an agent"
    ]
    parts += [text.plural(errors, "error")] if errors else []
    parts += [f"{text.plural(unchecked, 'file')} unchecked"] if unchecked else []
    return f"{', '.join(parts)} ({interpreter.brief})"


def _joined(parts: Sequence[str]) -> str:
    return "\n".join(part for part in parts if part)


def _print(parts: Sequence[str]) -> None:
    told = _joined(parts)
    if told:
        print(text.fitted(told), flush=True)
