"""What pre-commit does not show its hooks: said once, as far as it can be known.

pre-commit shows one ref of a push, and nothing at all when a push has no new commits: a tag of a commit that the remote
has, a branch at one. Of a push that it shows, the arguments of `git push` tell which other refs it may have.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Sequence
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from .. import git
from ..core import state_files
from ..core.deployment import ResolvedRef
from ..core.model import RefUpdate
from ..core.settings import FILES
from ..git import process
from ..report.invocation import git_prefect
from .native_hook import sees_every_ref
from .resolver import target_for

WITH_VALUE = {"-o", "--push-option", "--repo", "--receive-pack", "--exec"}
"""Options of `git push` whose value is an argument of its own."""

MANY = {
    "--all": "the other branches of --all",
    "--branches": "the other branches of --branches",
    "--mirror": "the other refs of --mirror",
    "--tags": "the tags of --tags",
    "--follow-tags": "the annotated tags of --follow-tags",
}
"""Options that push refs which they do not name."""

ANY_TAG = "a push of a tag alone, and a new branch without new commits"


def is_silent(repository: git.Repository, ref: ResolvedRef, is_announced: bool) -> bool:
    """Whether there is nothing left to say of a push: it has no other refs, and the rest was said, or does not concern it.

    The rest, which is about any push, waits for one that is announced, and of which something is printed.
    """
    if process.is_quiet(process.pushing_arguments()):
        return True
    told = _told(repository)
    return not _unsaid(ref.update, told) and (not is_announced or ANY_TAG in told or _looked_at(repository, ref) in told)


def news(repository: git.Repository, ref: ResolvedRef, is_announced: bool) -> list[str]:
    """The lines that tell what a push through pre-commit leaves out, each of its refs only once in a clone."""
    shown = ref.update
    if is_silent(repository, ref, is_announced) or sees_every_ref(repository):
        return []
    told = _told(repository)
    others = _unsaid(shown, told)
    unseen = [
        name
        for name, typed in others
        if typed is None or any(target_for(ref.settings, one) for one in _either(shown, typed))
    ]
    general = is_announced and ANY_TAG not in told and any(target.tag for target in ref.settings.target)
    new = {name for name, _ in others}
    if is_announced:
        new.add(ANY_TAG if general else _looked_at(repository, ref))
    # Where it cannot be written it is said again.
    with suppress(OSError):
        state_files.replace(_marker(repository), "\n".join(sorted({*told, *new})))
    lines = []
    if unseen:
        lines.append(
            f"of this push pre-commit showed only {shown.name}, so not checked and not registered: {', '.join(unseen)}"
        )
    if general:
        lines.append(f"not shown by pre-commit: {ANY_TAG}; they are not registered by the push")
    return [*lines, f"  hint: so that every ref of a push is seen: {git_prefect('install')}"] if lines else []


def _unsaid(shown: RefUpdate, told: set[str]) -> list[tuple[str, str | None]]:
    return [one for one in _others(asked(process.pushing_arguments()), shown.ref) if one[0] not in told]


def _looked_at(repository: git.Repository, ref: ResolvedRef) -> str:
    """Marks that settings were looked at, and have no target for tags."""
    return f"settings {_settings_blobs(repository, ref)}"


def _marker(repository: git.Repository) -> str:
    return os.path.join(repository.state_dir, "unseen")


def _told(repository: git.Repository) -> set[str]:
    """What was said already, or looked at."""
    try:
        with open(_marker(repository), encoding="utf-8") as file:
            return set(file.read().split("\n"))
    except FileNotFoundError:
        return set()


def _settings_blobs(repository: git.Repository, ref: ResolvedRef) -> str:
    folders = ["", ref.source.folder] if ref.source.folder else [""]
    files = [posixpath.join(folder, name) for folder in folders for name in FILES]
    listing = git.run_git(repository, "ls-tree", "--full-tree", "--object-only", ref.update.commit or "", *files)
    return " ".join(listing.decode().split())


class PushArguments(msgspec.Struct, frozen=True):
    """What a `git push` was asked for."""

    options: Sequence[str]
    refs: Sequence[str]
    """Names on the remote, as they were typed; deletions left out."""


def asked(arguments: Sequence[str]) -> PushArguments:
    """The options and refs of the command line of a `git push`; what an alias adds to it is in it."""
    words = list(arguments[1:])
    if "push" in words:
        words = words[words.index("push") + 1 :]
    options: list[str] = []
    named: list[str] = []
    while words:
        word = words.pop(0)
        if word in WITH_VALUE:
            words = words[1:]
        elif word.startswith("-") and word != "--":
            options.append(word)
        elif word != "--":
            named.append(word)
    refspecs = named if any(option.startswith("--repo=") for option in options) else named[1:]
    if {"-d", "--delete"} & set(options):
        return PushArguments(options, [])
    refs, is_tag = [], False
    for refspec in refspecs:
        if refspec == "tag":
            is_tag = True
            continue
        source, _, target = refspec.lstrip("+").partition(":")
        name = target or source
        if source and not name.startswith("^"):
            refs.append(f"refs/tags/{name}" if is_tag else name)
        is_tag = False
    return PushArguments(options, refs)


def _others(push: PushArguments, shown: str) -> list[tuple[str, str | None]]:
    """What else is pushed: in words, and the ref as it was typed where one was."""
    found: list[tuple[str, str | None]] = [(words, None) for option, words in MANY.items() if option in push.options]
    for ref in push.refs:
        if "*" in ref:
            found.append((f"the other refs of {ref}", None))
        elif ref != "HEAD" and shown not in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}"):
            found.append((ref.removeprefix("refs/heads/").removeprefix("refs/tags/"), ref))
    return found


def _either(shown: RefUpdate, ref: str) -> list[RefUpdate]:
    """A ref as it was typed: a branch or a tag, where it does not say."""
    full = [ref] if ref.startswith("refs/") else [f"refs/heads/{ref}", f"refs/tags/{ref}"]
    return [replace(shown, ref=one) for one in full]
