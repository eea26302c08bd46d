"""Whether the hook has seen the pushes of this clone: what it noted, beside the pushes that git itself has noted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from ... import git
from ...core.deployment import NotDeployed
from ...core.errors import GitPrefectError
from ...core.model import RefUpdate
from ...core.results import Check
from ...git import push_log, remotes
from ...git.push_log import LoggedPush
from ...report import text
from ...report.invocation import git_prefect
from ...report.status_table import ago
from .. import pending, seen_pushes
from ..resolver import resolve

WITHOUT_HOOK = "pushed without our hook (--no-verify, or the hook was replaced)"
NAMED = 3
"""Refs that are named, of those that were pushed without the hook."""
UP_TO_DATE = 10
"""Seconds that a push with nothing to send takes at most, from git's hook to its end."""
NATIVE = (seen_pushes.INSTALLED, "pre-push")
"""Who notes that git's own hook is there, which is run at every push; pre-commit leaves out some."""


class _Line(msgspec.Struct, frozen=True):
    time: int
    who: str
    commit: str = ""
    ref: str = ""
    remote: str = ""


def checks(repository: git.Repository) -> Iterator[Check]:
    """The last push that the hook has seen, and those that it has not, each of them once; nothing where there is neither."""
    lines = _lines(repository)
    facts = []
    by_hook = [one for one in lines if one.remote and one.ref != seen_pushes.NO_REF]
    if by_hook:
        last = by_hook[-1]
        where = text.place(RefUpdate(last.remote, "", last.ref, last.commit, None, None, "push"))
        facts.append(f"last push that the hook saw: {where} at {text.short(last.commit)}, {ago(last.time)}")
    logged = [one for one in push_log.pushes(repository) if one.time >= _since(lines)]
    unseen = _unseen(repository, lines, logged)
    missed = []
    for update, is_followed in _newest_of_each_ref(repository, unseen, logged):
        if is_followed:
            facts.append(f"{_at(update)}: {WITHOUT_HOOK}; the hook saw a later one")
        else:
            missed.append(update)
    for one in unseen:
        seen_pushes.note(repository.state_dir, seen_pushes.REPORTED, one.commit, one.tracking_ref, "")
    if missed:
        problem = f"{text.listed(list(map(_at, missed)), NAMED)}: {WITHOUT_HOOK}, so neither checked nor registered"
        remedies = [git_prefect("register", "--remote", one.remote, "--ref", one.name) for one in missed[:NAMED]]
        yield Check("pushes", tuple(facts), problem, " && ".join(remedies))
    elif facts:
        yield Check("pushes", tuple(facts))


def _at(update: RefUpdate) -> str:
    return f"{text.place(update)} at {text.short(update.commit)}"


def _lines(repository: git.Repository) -> list[_Line]:
    """What was noted, oldest first; lines that were torn are left out."""
    try:
        with open(seen_pushes.path_of(repository.state_dir), "rb") as file:
            content = file.read().decode("utf-8", "surrogateescape")
    except OSError:
        return []
    fields = [line.split(" ", 4) for line in content.split("\n")]
    return [_Line(int(one[0]), *one[1:]) for one in fields if len(one) in (2, 5) and re.fullmatch("[0-9]{1,12}", one[0])]


def _since(lines: Sequence[_Line]) -> float:
    """The second from which on the hook has to have seen every push; before `install` that is after the first it saw."""
    if not lines:
        return float("inf")
    return lines[0].time + (lines[0].who != seen_pushes.INSTALLED)


def _unseen(repository: git.Repository, lines: Sequence[_Line], logged: Sequence[LoggedPush]) -> list[LoggedPush]:
    """The pushes that our hooks have not seen."""
    native_since = min((one.time for one in lines if one.who in NATIVE), default=None)
    nothing_to_send = [one for one in lines if one.ref == seen_pushes.NO_REF]
    by_hook = _keys(repository, _seen_by_hook(repository, lines))
    reported = {(one.ref, one.commit) for one in lines if one.who == seen_pushes.REPORTED}
    seen = {one for one in logged if {(one.tracking_ref, one.commit), ("", one.commit)} & by_hook}
    refs_at: dict[int, set[str]] = {}
    for one in seen:
        refs_at.setdefault(one.time, set()).add(one.tracking_ref)
    found = []
    for one in logged:
        if one in seen or (one.tracking_ref, one.commit) in reported:
            continue
        # Of the refs of one push, pre-commit shows one: git notes all of them in the same second.
        if refs_at.get(one.time, set()) - {one.tracking_ref}:
            continue
        # pre-commit runs no hook for a new branch without new commits.
        if one.is_oldest and (native_since is None or one.time < native_since):
            continue
        # A remote that had the commit already is sent nothing, and git moves the tracking ref all the same.
        if any(0 <= one.time - run.time <= UP_TO_DATE for run in nothing_to_send):
            continue
        found.append(one)
    return found


def _seen_by_hook(repository: git.Repository, lines: Sequence[_Line]) -> Iterator[tuple[str, str, str]]:
    """Remote, ref and commit of each push that a hook has seen: its notes, and what an older version has queued."""
    yield from ((one.remote, one.ref, one.commit) for one in lines if one.remote)
    yield from ((one.remote, one.ref, one.commit) for one in pending.entries(repository))
    yield from ((one["remote"], one["ref"], one["commit"]) for one in pending.log_lines(repository))


def _keys(repository: git.Repository, seen: Iterable[tuple[str, str, str]]) -> set[tuple[str, str]]:
    """Tracking ref and commit of each; without the ref where the remote has none, for it may have been renamed since."""
    return {(git.tracking_ref(repository, remote, ref) or "", commit) for remote, ref, commit in seen}


def _newest_of_each_ref(
    repository: git.Repository, unseen: Sequence[LoggedPush], logged: Sequence[LoggedPush]
) -> Iterator[tuple[RefUpdate, bool]]:
    """The newest unseen push of each ref that is registered, and whether another push came after it."""
    newest: dict[str, LoggedPush] = {}
    for one in unseen:
        newest.setdefault(one.tracking_ref, one)
    for one in newest.values():
        followed = git.tracked_by(repository, one.tracking_ref)
        if followed is None:
            # The remote is gone.
            continue
        remote, ref = followed
        update = RefUpdate(remote, remotes.remote_url(repository, remote), ref, one.commit, one.commit, None, "push")
        if _is_registered(repository, update):
            last = next(other for other in logged if other.tracking_ref == one.tracking_ref)
            yield update, last != one


def _is_registered(repository: git.Repository, update: RefUpdate) -> bool:
    """Whether a target takes a ref; also where its settings cannot be read."""
    try:
        return not isinstance(resolve(repository, update), NotDeployed)
    except GitPrefectError:
        return True
