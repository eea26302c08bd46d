"""The native pre-push hook: every ref of a push as git tells it, checked, and queued until the push has arrived.

git gives the remote's name and URL as arguments and a line for each ref on stdin (githooks(5)).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from .. import git
from ..core.deployment import Deployment, Resolution
from ..core.errors import ExitCode, GitPrefectError, UsageError
from ..core.model import RefUpdate
from ..deploy import annotated_tags, gate, pending, queue, seen_pushes
from ..deploy.push_notices import CHECK_PUSHED, VALIDATE
from ..deploy.remote_state import what_it_does
from ..deploy.removed_flows import left_by_deletion
from ..deploy.resolver import resolve
from ..deploy.selection import newest_tags
from ..git import process, refs
from ..report import text
from ..report.invocation import git_prefect
from .check_pushed import refuse_tag
from .validate import keep_record, refuse


def main(argv: Sequence[str]) -> int:
    """Exit code 1 when something of the push is refused: the whole push then, as git has it.

    Raises:
        UsageError: it was not called as git calls a pre-push hook.
    """
    if len(argv) != 2:
        raise UsageError(
            "pre-push is called by git, with a remote's name and URL and the refs on stdin",
            "put it in place with `git prefect install`",
        )
    repository = git.open_repository()
    updates = seen_updates(repository, *argv)
    if not updates:
        # "Everything up-to-date": of an earlier push, which may still wait.
        queue.resume(repository)
        return ExitCode.OK
    quiet = process.is_quiet(process.pushing_arguments())
    for update in updates:
        if update.commit is None and update.kind != "other" and _may_leave_flows(repository, update, quiet):
            print(text.fitted(what_it_does(repository, update)))
    skipped = os.environ.get("SKIP", "").split(",")
    if {VALIDATE, CHECK_PUSHED, "prefect-register"} <= set(skipped):
        return ExitCode.OK
    pushed = [update for update in updates if update.commit is not None and update.kind != "other"]
    registered, older = newest_tags([resolve(repository, update) for update in pushed])
    for ref in [] if quiet else older:
        again = git_prefect("register", "--ref", ref.update.name)
        print(text.fitted(f"{text.place(ref.update)}: not registered, this push has a newer tag; {again}"))
    checked = [_check(repository, ref, skipped) for ref in registered]
    if not all(one.passed for one in checked):
        return ExitCode.FINDINGS
    if "prefect-register" in skipped:
        return ExitCode.OK
    decisions = [
        gate.admit(repository, ref, skipped, one.found)
        for ref, one in zip(registered, checked)
        if not queue.is_queued(repository, ref.update)
    ]
    code = queue.enqueue(repository, decisions, inside_push=argv[0] != argv[1])
    # Nothing that is kept may stop a push.
    with suppress(Exception):
        for ref, one, decision in zip(registered, checked, decisions):
            if one.found and decision.update == ref.update:
                keep_record(repository, ref, one.found, decision)
    return code


def seen_updates(repository: git.Repository, remote: str, url: str) -> list[RefUpdate]:
    """The refs of a push that git tells on stdin; they are noted as seen."""
    # A ref may have bytes that are no text, and what Python takes for line ends.
    content = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    updates = refs.from_stdin(repository, content.split("\n"), remote, url)
    for update in updates:
        seen_pushes.note_update(repository.state_dir, "pre-push", update)
    if not updates and remote != url:
        seen_pushes.note(repository.state_dir, "pre-push", seen_pushes.NO_REF, seen_pushes.NO_REF, remote)
    return updates


def _may_leave_flows(repository: git.Repository, update: RefUpdate, quiet: bool) -> bool:
    """Whether flows may stay registered from a ref that is deleted; with `quiet`, whether this clone has registered some."""
    flows = left_by_deletion(repository, update)
    if flows or quiet:
        return bool(flows)
    if any((line["remote"], line["ref"]) == (update.remote, update.ref) for line in pending.log_lines(repository)):
        return False
    before = update.remote_commit and git.commit_of(repository, update.remote_commit)
    if not before:
        return True
    try:
        # Others may have registered it, where a target takes it.
        return isinstance(resolve(repository, replace(update, commit=before, pushed_object=before)), Deployment)
    except GitPrefectError:
        return True


class _Checked(msgspec.Struct, frozen=True):
    """What the checks of one ref came to."""

    passed: bool
    found: gate.Validation | None
    """None where SKIP left out the validation."""


def _check(repository: git.Repository, ref: Resolution, skipped: Sequence[str]) -> _Checked:
    cannot_run = [] if CHECK_PUSHED in skipped else annotated_tags.refused(ref)
    if cannot_run:
        refuse_tag(repository, ref.update, cannot_run)
    found = None if VALIDATE in skipped else gate.validate(repository, ref)
    if found and found.refused:
        refuse(repository, ref, found)
    return _Checked(not cannot_run and not (found and found.refused), found)
