"""Who owns a flow's name in a project: the repository and ref that its active version is registered from."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from packaging.version import InvalidVersion, Version

from ..core.deployment import Deployment

Storage = Mapping[str, Any]
"""A serialized storage, as the API holds it."""


class Owner(msgspec.Struct, frozen=True):
    """Somebody else whose version runs under the name that we would register."""

    who: str
    """In words: `branch 'feature/x'`, `repository github.com/team/etl`."""
    lets_go: bool
    """True when it may be replaced without `take-over`: its ref is gone, or no git ref owns it at all."""


def other_owner(
    held: Storage, ours: Storage, deployment: Deployment, living_refs: Collection[str] | None
) -> Owner | None:
    """Who else owns what `ours` would replace; None when it is ours: the same ref, or an older tag of a release.

    `living_refs` are the full names of the refs that the remote has; None: not known, nothing counts as gone.
    A storage without a ref runs the default branch, and so does one that pins a commit (Prefect ignores it).
    """
    update, default_branch = deployment.update, deployment.default_branch
    if held.get("type") != "Git":
        return Owner(f"{held.get('type')} storage", True)
    if not same_repository(held, ours):
        return Owner(f"repository {held.get('repo_host')}/{held.get('repo')}", False)
    branch, tag = ref_of(held, default_branch)
    if (branch, tag) == ref_of(ours, default_branch) or (branch or tag) is None:
        return None
    if living_refs is not None and f"refs/heads/{branch}" not in living_refs and f"refs/tags/{tag}" not in living_refs:
        return Owner(f"branch {branch!r}, which is gone" if branch else f"tag {tag!r}, which is gone", True)
    if tag and ours["tag"]:
        if update.source == "--ref" or not is_older(ours["tag"], tag):
            return None
        return Owner(f"the newer tag {tag!r} (name the older one with --ref to go back to it)", False)
    return Owner(f"branch {branch!r}" if branch else f"tag {tag!r}", False)


def same_repository(one: Storage, other: Storage) -> bool:
    """Whether two Git storages lead to one repository, whatever the protocol, port and spelling."""
    return _repository(one) == _repository(other)


def _repository(storage: Storage) -> tuple[str, str]:
    host = re.sub(r":\d+$", "", (storage.get("repo_host") or "").lower())
    return host, re.sub(r"\.git$", "", (storage.get("repo") or "").strip("/").lower())


def ref_of(storage: Storage, default_branch: str | None) -> tuple[str | None, str | None]:
    """The branch or the tag that a Git storage runs, and None for the other; both None when nobody can tell."""
    tag = storage.get("tag")
    return (None, tag) if tag else (storage.get("branch_name") or default_branch, None)


def is_older(tag: str, other: str) -> bool:
    """Whether a tag's version is lower than another's; False where one of them is no version.

    The version is what follows the last slash: `flows/v1.2` and `v1.2` are the same.
    """
    one, two = (name.rpartition("/")[2].lstrip("v") for name in (tag, other))
    try:
        return Version(one) < Version(two)
    except InvalidVersion:
        return False
