"""Annotated tags, which no agent can run: refused before the push, or run by a lightweight tag of ours beside them.

dulwich's clone in the agent takes what the tag points at for a commit, and finds the tag object.
"""

from __future__ import annotations

import subprocess

from msgspec.structs import replace

from .. import git
from ..core.deployment import NotDeployed, ResolvedRef
from ..core.errors import UnusableCommit
from ..core.findings import finding
from ..core.model import Finding, RefUpdate
from ..git.ls_remote import TIMEOUT, ask_remote, failure
from ..git.remote_urls import redact
from ..git.repository import without_prompts
from ..report import invocation, text
from .resolver import resolve


def is_annotated(update: RefUpdate) -> bool:
    """Whether a ref is a tag that is an object of its own; one that leads to no commit is none that agents could run."""
    return update.kind == "tag" and update.commit is not None and update.pushed_object not in (None, update.commit)


def companion(ref: ResolvedRef) -> str:
    """Name of the lightweight tag that stands beside an annotated one, by the setting `companion-tag`; empty: none."""
    return (ref.settings.companion_tag or "").replace("{tag}", ref.update.name)


def refused(ref: ResolvedRef) -> list[Finding]:
    """The finding for an annotated tag that would be registered as it is; none where no target matches it."""
    if not is_annotated(ref.update) or companion(ref):
        return []
    left_alone = isinstance(ref, NotDeployed) and ref.matches_none_of_its_targets
    return [] if left_alone else cannot_run(ref.update)


def announced(ref: ResolvedRef) -> list[str]:
    """What is said at the push of an annotated tag that agents run by its companion."""
    if not is_annotated(ref.update):
        return []
    return [f"it is annotated: the lightweight tag {companion(ref)} is pushed beside it, for agents"]


def cannot_run(update: RefUpdate, beside: str = "") -> list[Finding]:
    """The finding for an annotated tag that agents are to clone; `beside` is the companion that the settings have and the remote lacks."""
    if not is_annotated(update):
        return []
    name = update.name
    other = (
        f"or push the lightweight tag that the setting companion-tag names: {invocation.git('push', update.remote, f'{name}^{{}}:refs/tags/{beside}')}"
        if beside
        else 'or have one pushed beside each, with the setting companion-tag = "flows/{tag}"'
    )
    return [finding(
        "annotated-tag",
        f"{text.place(update)} is an annotated tag: every run would fail with 'Tag' object has no attribute 'tree'",
        f"make it a lightweight tag: {invocation.git('tag', '--no-sign', '-f', name, name + '^{}')} && "
        f"{invocation.git('push', '--force', update.remote, name)}; {other}",
        ref=update.ref,
    )]  # fmt: skip


def without_companion(repository: git.Repository, update: RefUpdate) -> list[Finding]:
    """Ask the remote whether agents can run a tag that it has; the finding when they cannot."""
    if not is_annotated(update):
        return []
    name = companion(resolve(repository, update))
    if name and ask_remote(repository, update.remote, f"refs/tags/{name}").commit(f"refs/tags/{name}") == update.commit:
        return []
    return cannot_run(update, name)


def as_agents_clone_it(repository: git.Repository, ref: ResolvedRef, push: bool) -> RefUpdate:
    """A ref of the remote under the name that agents clone: an annotated tag has its companion, pushed when need be.

    The companion follows its tag: one that points elsewhere is moved, unless somebody else moves it meanwhile.

    Raises:
        UnusableCommit: it is annotated, and the settings name no companion.
        OutOfReach, NotAuthorised: the companion could not be pushed.
    """
    update, name = ref.update, companion(ref)
    if not is_annotated(update):
        return update
    if not name:
        (found,) = cannot_run(update)
        raise UnusableCommit(f"{found.message} [{found.code}]", found.hint)
    tag = f"refs/tags/{name}"
    theirs = ask_remote(repository, update.remote, tag).refs.get(tag)
    if theirs != update.commit and push:
        _push(repository, update, tag, theirs or "")
    return replace(update, companion=name)


def _push(repository: git.Repository, update: RefUpdate, ref: str, theirs: str) -> None:
    """Push the companion without a prompt, and without hooks and settings that would push more than it."""
    try:
        git.run_git(
            repository, "push", "--quiet", "--no-verify", "--no-follow-tags", "--recurse-submodules=no", "--no-signed",
            f"--force-with-lease={ref}:{theirs}", "--", update.remote, f"{update.commit}:{ref}",
            environ=without_prompts(repository), timeout=TIMEOUT,
        )  # fmt: skip
    except (git.GitError, subprocess.TimeoutExpired) as error:
        raise failure(
            f"{redact(update.remote)}: the lightweight tag {ref[len('refs/tags/') :]} could not be pushed beside {update.name}",
            error, f"push it by hand: {invocation.git('push', redact(update.remote), f'{update.name}^{{}}:{ref}')}",
        ) from error  # fmt: skip
