"""The gate of a push: the flow files of the pushed commit are checked, and the ref is admitted to the queue or not."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Sequence
from typing import Union

import msgspec

from .. import git
from ..core.deployment import Deployment, NotDeployed, Resolution
from ..core.errors import UnusableCommit, UsageError
from ..core.findings import finding
from ..core.model import ERROR, WARNING, CheckedFile, Finding, RefUpdate
from ..core.settings import FILES
from ..flows.checker import CheckOptions
from ..flows.interpreter import Interpreter
from ..flows.verdicts import CONTENTS
from ..prefect_api.run_configs import check_runtimes
from ..report import causes, invocation, text
from ..report.invocation import git_prefect, typed_here
from ..report.rows import MANY
from . import annotated_tags, pending, push_notices, removed_flows
from .clonable import refuse_unclonable
from .commit_settings import has_settings, settings_at
from .resolver import target_to_paste
from .selection import branch_point, count_flows, stay_elsewhere
from .shared_code import importers, shared_changes
from .source_tree import check, how_to_name_flow_files, interpreter_for, tree_of_commit, uncommitted_flow_files

SHOWN = 5
"""So many flow files are named; the rest is counted."""

SECONDS_TO_START, SECONDS_PER_FILE = 3, 0.04
"""What loading takes, about: to import Prefect and what many files share, and then for a file (benchmarks/RESULTS.md)."""


class Validation(msgspec.Struct, frozen=True):
    """The flow files of a commit, and what of their findings refuses its push."""

    files: list[CheckedFile]
    refused: list[Finding]
    """Errors in what the push changes or breaks."""
    existing: list[Finding]
    """Errors that were there before it: told in one line, and left out of the registration."""
    interpreter: Interpreter
    """What loaded the files, or would have."""
    base: str | None
    """The commit that the push builds on; None when it builds on nothing."""
    unchecked: Finding | None = None
    """Why no flow file was checked."""

    @property
    def remarks(self) -> list[Finding]:
        """Warnings and notes."""
        if self.unchecked:
            return [self.unchecked]
        return [one for file in self.files for one in file.findings if one.severity != ERROR]


class Admission(msgspec.Struct, frozen=True):
    """A ref that is to be registered once its commit is on the remote."""

    update: RefUpdate
    project: str
    flows: int
    """How many flows it registers, beside those that are registered from it already."""
    remarks: Sequence[str] = ()
    """What else there is to say of it. pre-commit hides what the hooks before have said, so all of it is said here."""
    project_by_hand: str | None = None
    unchecked: bool = False
    """True when a flow file was not checked, so that the number of flows is not known."""
    problems: Sequence[str] = ()
    """Those of the remarks that say what is wrong: `git push --quiet` prints these only."""
    existing: str = ""
    """The one of them about errors that were there before."""
    unchanged: bool = False
    """True when it changes nothing that the last push of this ref has registered."""


class NotAdmitted(msgspec.Struct, frozen=True):
    """A ref that is not queued, and what a person is told of that; nothing where another hook has told it."""

    update: RefUpdate
    lines: Sequence[str] = ()
    is_problem: bool = False
    """Whether they say what is wrong, so that `git push --quiet` prints them."""


Decision = Union[Admission, NotAdmitted]


def validate(
    repository: git.Repository, ref: Resolution, same_push: bool = False, since: str | None = None
) -> Validation:
    """Check every flow file of the pushed commit, and tell what refuses the push from existing errors.

    A push is refused for errors in flow files that it adds or changes or that were without one before it, and
    only on refs that have a target, or where there are no targets at all; with `strict`, for any error.
    `since` is the commit that a merge request builds on; the request is judged whichever target takes its branch.
    What a partial clone cannot fetch is not checked, and refuses nothing.
    """
    assert ref.update.commit, "a deletion has no flows"
    python = interpreter_for(repository, ref.settings)
    try:
        return _validated(repository, ref, same_push, python, since)
    except git.PromisorOutOfReach as error:
        where = text.place(ref.update)
        found = finding("objects-missing", f"{where}: flow files are not checked: {error.message}", error.hint)
        return Validation([], [], [], python, None, found)


def _validated(
    repository: git.Repository, ref: Resolution, same_push: bool, python: Interpreter, since: str | None
) -> Validation:
    update, settings = ref.update, ref.settings
    assert update.commit
    options = CheckOptions(storage=ref.storage, same_push=same_push, announce=_announce_loads)
    files = check(repository, tree_of_commit(repository, update.commit), settings, options, python)
    errors = [one for file in files for one in file.findings if one.severity == ERROR]
    base = since or base_of(repository, ref)
    if settings.strict or not errors:
        return Validation(files, errors, [], python, base)
    if isinstance(ref, NotDeployed) and ref.matches_none_of_its_targets and not since:
        return Validation(files, [], errors, python, base)
    existing = _existing(repository, ref, base, {one.path for one in errors if one.path})
    return Validation(
        files,
        [one for one in errors if one.path not in existing],
        [one for one in errors if one.path in existing],
        python,
        base,
    )


def _announce_loads(count: int) -> None:
    """Say why a push takes its time where many files have to be loaded: on the first push, and after an upgrade."""
    if count > MANY:
        seconds = 5 * max(1, round((SECONDS_TO_START + count * SECONDS_PER_FILE) / 5))
        print(
            f"git-prefect: {count} flow files have to be loaded, in about {seconds} s; the next push loads only what changed",
            file=sys.stderr,
            flush=True,
        )


def _existing(repository: git.Repository, ref: Resolution, base: str | None, failing: set[str]) -> set[str]:
    """Those of the failing files that the push does not change and that fail at the commit it builds on, too.

    The pushed settings judge both ends: a push that adds or changes settings is not refused for what they now show.
    """
    update = ref.update
    if base is None:
        return set()
    unchanged = failing - git.changed_paths(repository, base, update.commit or "")
    if not unchanged:
        return set()
    options = CheckOptions(only=unchanged, storage=ref.storage, same_push=True)
    before = check(repository, tree_of_commit(repository, base), ref.settings, options)
    return {file.path for file in before if file.has_errors}


def base_of(repository: git.Repository, ref: Resolution) -> str | None:
    """The commit that a push builds on: what the remote has, else where it left the default branch; None: nothing."""
    update = ref.update
    if update.remote_commit and git.commit_of(repository, update.remote_commit):
        return update.remote_commit
    return branch_point(repository, update, ref.default_branch)


def existing_errors(found: Validation) -> str:
    """One line on the errors that were there before a push; empty when there are none."""
    if not found.existing:
        return ""
    paths = sorted({one.path or "the repository" for one in found.existing})
    return (
        f"not from this push: {text.plural(len(found.existing), 'error')} in {text.listed(paths, 3)}; these flows are not registered. "
        f"See them with: {git_prefect('validate')}"
    )


def admit(
    repository: git.Repository, ref: Resolution, skipped: Sequence[str] = (), found: Validation | None = None
) -> Decision:
    """Whether a ref is queued for its registration. `skipped` are the hooks that SKIP names; `found` is what it has.

    Raises:
        UsageError: it could never be registered: its settings, its templates, its remote.
    """
    update = ref.update
    where = text.place(update)
    if annotated_tags.refused(ref):
        told = push_notices.is_refused(repository, update, push_notices.CHECK_PUSHED)
        line = f"{where}: nothing is queued, no agent can run an annotated tag [annotated-tag]"
        return NotAdmitted(update, () if told else (line,), is_problem=True)
    if isinstance(ref, NotDeployed):
        if ref.reason.refuses_push:
            raise UnusableCommit(ref.reason.message, ref.reason.hint)
        return NotAdmitted(update, _no_target(repository, ref))
    refuse_unclonable(repository, ref)
    found = found or validate(repository, ref, same_push=True)
    if found.unchecked:
        one = found.unchecked
        remark = f"{text.headline(one)}\n    hint: {typed_here(one.hint)}"
        return Admission(update, ref.project, 0, [remark], ref.project_by_hand, unchecked=True, problems=[remark])
    if ref.settings.runtime:
        commit = update.commit or ""
        check_runtimes(ref.settings.runtime, lambda path: git.read_files(repository, commit, [path]).get(path))
    if found.refused and push_notices.VALIDATE not in skipped:
        told = push_notices.is_refused(repository, update, push_notices.VALIDATE)
        errors = text.plural(len(found.refused), "error")
        line = f"{where}: nothing is queued: {errors} in what this push changes or breaks: {git_prefect('validate')}"
        return NotAdmitted(update, () if told else (line,), is_problem=True)
    if update.kind == "review":
        return NotAdmitted(update, _of_review(repository, ref, found))
    problems, notes = _problems(repository, ref, found), _notes(repository, ref, found)
    return Admission(
        update,
        ref.project,
        count_flows(repository, ref, found.files),
        [*annotated_tags.announced(ref), *problems, *notes],
        ref.project_by_hand,
        unchecked=any(file.unchecked for file in found.files),
        problems=problems,
        existing=existing_errors(found),
        unchanged=_is_unchanged(repository, ref, found),
    )


def _is_unchanged(repository: git.Repository, ref: Deployment, found: Validation) -> bool:
    """Whether the last push of this ref was registered, and this one changes nothing on which that registration rests."""
    update = ref.update
    last = pending.last_registration(repository, update)
    if last is None or found.refused or any(one.code == "environment-broken" for one in found.remarks):
        return False
    before, now = last["commit"], update.commit or ""
    if git.commit_of(repository, before) is None:
        return False
    listing = git.run_git(repository, "diff-tree", "-r", "-z", "--name-only", "--no-renames", before, now)
    changed = set(listing.decode("utf-8", "surrogateescape").split("\0")[:-1])
    if any(_uses(file, changed) for file in found.files):
        return False
    if not any(path.endswith(DECIDING) for path in changed):
        return True
    try:
        if settings_at(repository, before, update.remote).settings != ref.settings:
            return False
    except UsageError:
        return False
    own = {file.path for file in found.files} | {flow["path"] for flow in last.get("flows", ())}
    return not (changed & own or any(map(_may_be_read, changed)) or importers(repository, ref, before, found.files))


def _uses(file: CheckedFile, changed: Collection[str]) -> bool:
    """Whether a load used one of the paths, as far as it was seen; names that the import system only looked through apart."""
    used = file.used or {}
    read = tuple(key[:-1].lstrip("/") for key in used if key.endswith(CONTENTS))
    return any(path in used or path.startswith(read) for path in changed)


def _may_be_read(path: str) -> bool:
    """Whether a file may be one that a flow file reads, or that a run config names: not a source, settings, or hidden."""
    parts = path.split("/")
    is_data = path.endswith(DECIDING) and not path.endswith(".py") and parts[-1] not in FILES
    return is_data and not any(part.startswith(".") for part in parts)


def _of_review(repository: git.Repository, ref: Deployment, found: Validation) -> list[str]:
    """That a review is not registered; nothing where it changes nothing that could be."""
    update = ref.update
    if update.remote_commit and not changes_what_decides(repository, update.remote_commit, update.commit or ""):
        return []
    merged = git_prefect("register", "--ref", update.review_of)
    return [
        f"{text.place(update)}: a review of {update.review_of}, not registered; once it is merged: {merged}",
        *(f"  {one}" for one in [*_problems(repository, ref, found), *_notes(repository, ref, found)]),
    ]


def _problems(repository: git.Repository, ref: Deployment, found: Validation) -> list[str]:
    """What is wrong with an admitted push: with its flow files, or that it has none."""
    problems = []
    if found.refused:
        problems.append(f"left out: {text.listed(sorted({one.path or '' for one in found.refused}), 3)}")
    problems += [existing_errors(found)] if found.existing else []
    changed = git.changed_paths(repository, found.base, ref.update.commit or "")
    concerned = [
        one
        for one in found.remarks
        if one.code == "environment-broken" or (one.path in changed and one.severity == WARNING)
    ]
    problems += map(typed_here, causes.remarks(concerned))
    problems += [] if found.files else _no_flow_files(repository, ref, found.base)
    return problems if ref.target.prune else [*problems, *_removed(repository, ref, found)]


def _notes(repository: git.Repository, ref: Deployment, found: Validation) -> list[str]:
    """What else a person should know of an admitted push before its flows are registered."""
    changed = git.changed_paths(repository, found.base, ref.update.commit or "")
    all_are_new = _are_settings_new(repository, ref, found.base)
    notes = stay_elsewhere([file for file in found.files if all_are_new or file.path in changed], ref.settings)
    notes += shared_changes(repository, ref, found.base, found.files)
    return [*notes, *_removed(repository, ref, found)] if ref.target.prune else notes


def _removed(repository: git.Repository, ref: Deployment, found: Validation) -> list[str]:
    names = {flow.name for file in found.files for flow in file.flows}
    return removed_flows.by_change(repository, ref.update, ref.target, names)


def _are_settings_new(repository: git.Repository, ref: Deployment, base: str | None) -> bool:
    """Whether the push adds the settings, so that every flow is new to it."""
    changed = git.changed_paths(repository, base, ref.update.commit or "")
    return ref.source.origin in changed and not has_settings(repository, base, ref.update.remote)


def _no_flow_files(repository: git.Repository, ref: Deployment, base: str | None) -> list[str]:
    """What to do about a commit without flow files, if there is something; empty for a push that changes nothing of that."""
    commit = ref.update.commit or ""
    at_work = commit == git.commit_of(repository, "HEAD")
    if at_work and (base is None or changes_what_decides(repository, base, commit)):
        paths, untracked = uncommitted_flow_files(repository, ref.settings)
        if paths:
            verb = "is" if len(paths) == 1 else "are"
            state = "untracked" if untracked else "not committed"
            add = invocation.git("add", *paths)
            return [
                f"no flow files in this commit; {len(paths)} in your work tree {verb} {state}: {text.listed(paths, SHOWN)}\n"
                f"    hint: {add} && git commit, then push again"
            ]
    if not _are_settings_new(repository, ref, base):
        return []
    advice = how_to_name_flow_files(tree_of_commit(repository, commit), ref.settings)
    return [f"no flow files in this commit: {advice}"] if advice else []


def promise(admitted: Admission, told_live: bool) -> str:
    """What is said of a ref that is queued."""
    update, flows, project = admitted.update, admitted.flows, admitted.project
    what = (
        f"{text.plural(flows, 'flow')} → project {project}"
        if flows
        else f"its flows → project {project}"
        if admitted.unchecked
        else f"no flow of its own; project {project} is compared"
    )
    once = f"{text.place(update)}: {what}, once {update.remote} has {text.short(update.commit)}."
    if in_ci():
        return f"{once} CI is set, so nothing waits for that: {git_prefect('register', '--ref', update.name)}"
    return once if told_live else f"{once} What became of it: {git_prefect('status')}"


def in_ci() -> bool:
    """Whether this is a job of CI, where no watcher outlives a hook."""
    return os.environ.get("CI", "") not in ("", "0", "false")


def _no_target(repository: git.Repository, ref: NotDeployed) -> list[str]:
    """That a ref is not registered; nothing where the push changes nothing that could be, or is a review."""
    update = ref.update
    if update.kind == "review":
        return []
    if update.remote_commit and not changes_what_decides(repository, update.remote_commit, update.commit or ""):
        return []
    explained = git_prefect("register", "--explain", "--ref", update.name)
    hint = f"  hint: {ref.reason.remedy}; which target takes what: {explained}"
    paste = [f"    {line}" for line in target_to_paste(ref)]
    return ["\n".join([f"{text.place(update)}: not registered, no target takes it [no-target]", hint, *paste])]


DECIDING = (".py", ".toml", ".yaml", ".yml", ".json")
"""Ends of the names of files that can decide what is registered: sources, settings, templates."""


def changes_what_decides(repository: git.Repository, old: str, new: str) -> bool:
    """Whether two commits differ in a file that can decide what is registered; True when one is not here."""
    try:
        git.run_git(repository, "diff-tree", "-r", "--quiet", old, new, "--", *(f"*{end}" for end in DECIDING))
    except git.GitError:
        return True
    return False
