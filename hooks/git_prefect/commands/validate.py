"""git prefect validate: flow files of the work tree, of a ref or, in a commit, of the index, loaded as an agent loads them."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Sequence

from msgspec.structs import replace

from .. import git
from ..core.errors import ExitCode, UsageError
from ..core.model import ERROR, GitStorage, RefUpdate
from ..core.results import Report, ReportedRef
from ..core.settings import Settings, Source
from ..deploy import gate
from ..deploy.commit_settings import settings_at
from ..deploy.queue import resume
from ..deploy.resolver import resolve, storage_for
from ..deploy.second_load import FirstLoad, differing
from ..deploy.source_tree import (
    check,
    how_to_name_flow_files,
    importers_of,
    interpreter_for,
    tree_of_commit,
    tree_of_index,
    tree_of_work_tree,
)
from ..flows.checker import CheckOptions
from ..flows.discovery import Tree
from ..git import refs
from ..git.remotes import default_remote
from ..report.invocation import git as typed
from ..report.options import Parser, reporting, show
from ..report.rows import files_in_words, loads_in_words, reported_flows, reported_ref


def main(argv: Sequence[str]) -> int:
    """Check flow files; exit code 1 when one of them would fail on an agent, or none could be checked.

    In a commit, the index is checked; by hand, the work tree (or `--ref`). In `pre-commit run` it is 1 as well when some
    could not be checked.
    """
    options = _arguments(argv)
    repository = git.open_repository()
    if _in_commit() and not options.files:
        return ExitCode.OK
    resume(repository)
    if options.since:
        if options.files:
            raise UsageError("--since judges all flow files, and files are named", "leave out the files, or --since")
        if options.twice:
            raise UsageError("--since loads flow files once, and --twice is given", "leave out --twice, or --since")
        return show(_since(repository, options), options)
    source, tree, told = _subject(repository, options)
    named, only = _chosen(repository, options.files, tree)
    if only and _by_a_hook():
        only |= importers_of(repository, tree, source.settings, only)
    loading = CheckOptions(
        only=only,
        named=() if _by_a_hook() else named,
        storage=_storage(repository, source.settings),
        no_cache=options.no_cache,
        no_preload=options.no_preload,
        with_flows=options.twice,
    )
    files = check(repository, tree, source.settings, loading)
    first = FirstLoad(repository, tree, source.settings, loading, files)
    differs = differing(first, {file.path for file in files}) if options.twice else []
    ref = told[0].ref if told else None
    findings = tuple(replace(one, ref=ref) for one in [*(one for file in files for one in file.findings), *differs])
    errors = sum(one.severity == ERROR for one in findings)
    unchecked = [file for file in files if file.unchecked]
    # pre-commit shows what a hook prints only when it fails.
    nothing_checked = bool(unchecked) and (len(unchecked) == len(files) or _by_pre_commit())
    summary = files_in_words(files, errors, interpreter_for(repository, source.settings).brief).splitlines()
    advice = how_to_name_flow_files(tree, source.settings) if not files and only is None else ""
    return show(
        Report(
            "validate",
            ExitCode.FINDINGS if errors or nothing_checked else ExitCode.OK,
            told,
            reported_flows(files, ref),
            findings,
            summary=() if _in_commit() else tuple(filter(None, [*summary, advice and f"  hint: {advice}", loads_in_words(files)])),
            root=repository.top or "",
        ),
        options,
    )


def _since(repository: git.Repository, options: Namespace) -> Report:
    """The commit of a ref as a push that builds on `--since` would be judged."""
    update = (
        _by_hand(repository, options.ref)
        if options.ref
        else refs.head(repository, os.environ, default_remote(repository))
    )
    commit = update.commit or ""
    since = git.commit_of(repository, options.since)
    base = since and git.merge_base(repository, since, commit)
    if not base:
        why = "has no commit in common with it here" if since else "is no commit here"
        raise UsageError(
            f"--since {options.since} {why}, so nothing tells what {update.name} changes",
            f"fetch it with its history: {typed('fetch', '--unshallow', update.remote)}, in CI fetch-depth: 0 or GIT_DEPTH: 0",
        )
    ref = resolve(repository, update)
    found = gate.validate(repository, ref, since=base)
    changed = git.changed_paths(repository, base, commit)
    remarks = [one for one in found.remarks if one.path is None or one.path in changed]
    summary = files_in_words(found.files, len(found.refused) + len(found.existing), found.interpreter.brief).splitlines()
    return Report(
        "validate",
        ExitCode.FINDINGS if found.refused or found.unchecked else ExitCode.OK,
        (reported_ref(ref),),
        reported_flows(found.files, update.ref),
        tuple(replace(one, ref=update.ref) for one in [*found.refused, *remarks]),
        summary=tuple(filter(None, [gate.existing_errors(found), *summary, loads_in_words(found.files)])),
        root=repository.top or "",
    )


def _by_hand(repository: git.Repository, name: str | None) -> RefUpdate:
    remote = default_remote(repository)
    update = refs.by_hand(repository, os.environ, name, remote)
    if update.commit is None:
        raise UsageError(f"{name} is on {remote}, but not here", f"fetch it first: git fetch {remote} --tags")
    return update


def _subject(repository: git.Repository, options: Namespace) -> tuple[Source, Tree, tuple[ReportedRef, ...]]:
    """What is checked: by which settings, which files, and the ref that they are of, if any."""
    if not options.ref:
        source = settings_at(repository, None, "origin")
        return source, tree_of_index(repository) if _in_commit() else tree_of_work_tree(repository), ()
    update = _by_hand(repository, options.ref)
    ref = resolve(repository, update)
    return ref.source, tree_of_commit(repository, update.commit or ""), (reported_ref(ref),)


def _arguments(argv: Sequence[str]) -> Namespace:
    parser = Parser(
        prog="git prefect validate",
        description="Load flow files as an agent loads them: those named, else all of the work tree.",
        epilog="Exit codes: 0 all load, 1 findings, 2 usage or settings.",
    )
    parser.add_argument("files", nargs="*", metavar="FILE", help="flow files, or folders of them; default: all")
    parser.add_argument("--ref", help="check this branch's or tag's commit, not the work tree")
    parser.add_argument(
        "--since", metavar="REF", help="judge the branch's commit as a push that builds on REF: only new errors fail"
    )
    parser.add_argument(
        "--twice", action="store_true", help="load each file a second time, under another hash seed, and report what differs"
    )
    parser.add_argument("--no-cache", action="store_true", help="load everything again")
    parser.add_argument("--no-preload", action="store_true", help="import no installed module ahead of the flow files")
    return reporting(parser).parse_args(argv)


def _storage(repository: git.Repository, settings: Settings) -> GitStorage | None:
    """What declared storages are compared with by hand: the remote that a push would go to, if there is one."""
    try:
        remote = default_remote(repository)
    except UsageError:
        return None
    return storage_for(repository, RefUpdate(remote, "", "", None, None, None, "by hand"), settings)


def _by_a_hook() -> bool:
    # pre-commit and prek say so; what they pass only narrows down, since they list every file that was changed.
    return "PRE_COMMIT" in os.environ


def _in_commit() -> bool:
    # `git commit` names its index to the pre-commit hook; nothing else does.
    return "GIT_INDEX_FILE" in os.environ


def _by_pre_commit() -> bool:
    """Whether a person or CI has typed `pre-commit run`."""
    return "PRE_COMMIT" in os.environ and not _in_commit()


def _chosen(repository: git.Repository, files: Sequence[str], tree: Tree) -> tuple[set[str], set[str] | None]:
    """Paths of the files that are named, and of all that are to be checked, those below named folders too; None: all.

    They are from the root of the repository; symlinks in folders are followed, the file itself is not.
    """
    if not files:
        return set(), None
    top = os.path.realpath(repository.top or ".")
    named: set[str] = set()
    inside: set[str] = set()
    for file in files:
        if not os.path.lexists(file):
            raise UsageError(
                f"{file}: there is no such file here", "name files from where you are, or none to check all flow files"
            )
        if os.path.isdir(file):
            below = os.path.normpath(os.path.relpath(os.path.realpath(file), top)) + "/"
            inside |= {one.path for one in tree.entries if below == "./" or one.path.startswith(below)}
            continue
        folder, name = os.path.split(file)
        named.add(os.path.relpath(os.path.join(os.path.realpath(folder or "."), name), top))
    return named, named | inside
