"""Registered state × loaded flows → what a registration would do, flow by flow. Changes nothing."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from packaging.version import InvalidVersion, Version

from ..model import PlannedFlow, RefUpdate
from ..settings import Target
from .api import Registered, RegisteredFlow
from .structure import can_be_scheduled, differences


class Wanted(NamedTuple):
    """A flow of the pushed commit, as it would be registered."""

    path: str
    flow: str
    serialized: dict[str, Any]
    concerned: bool
    """False: this ref does not change its file, so it is only kept up where it is registered from this ref."""


def plan(
    wanted: Sequence[Wanted],
    registered: Registered,
    target: Target,
    project: str,
    update: RefUpdate,
    living_refs: Collection[str] | None,
) -> list[PlannedFlow]:
    """What to do with each flow, in the order of `wanted`.

    `living_refs` are the full names of the refs that the remote has: a flow may be taken over from a ref
    that is gone. None: not known, nothing counts as gone.
    """
    return [_planned(one, registered, target, project, update, living_refs) for one in wanted]


def _planned(
    one: Wanted,
    registered: Registered,
    target: Target,
    project: str,
    update: RefUpdate,
    living_refs: Collection[str] | None,
) -> PlannedFlow:
    holder = registered.holder(project, one.flow)
    active = _schedule_active(target, holder)
    nothing = PlannedFlow(
        one.path, one.flow, project, "unchanged", (), "", one.serialized,
        holder and holder.id, holder and holder.version, active,
    )  # fmt: skip
    if not one.concerned and not (holder and _is_from(holder, one, update)):
        return nothing._replace(action="skipped", reason=f"{update.name} does not change its file")
    if holder is None:
        return nothing._replace(action="created")
    keeper = _other_keeper(holder, one, update, living_refs)
    if keeper:
        ours = "{repo_host}/{repo}".format(**one.serialized["storage"])
        return nothing._replace(
            action="failed",
            reason=f"{keeper} is what project {project!r} runs under this name (version {holder.version}); registering "
            f"{update.name} of {ours} would archive it. Give {update.name} a target with another project, or rename the flow",
        )
    changes = differences(holder.serialized, one.serialized)
    scheduled = holder.serialized.get("schedule") and can_be_scheduled(one.serialized)
    if scheduled and holder.schedule_active != active:
        changes += ("schedule resumed" if active else "schedule paused",)
    if not changes:
        why = "the branch's HEAD is what runs" if update.kind == "branch" else "pinned to this tag already"
        return nothing._replace(reason=why)
    return nothing._replace(action="updated", changes=changes)


def _schedule_active(target: Target, holder: RegisteredFlow | None) -> bool:
    if target.schedule == "keep":
        # What had no schedule, or one that the server would not switch on, was never paused by anybody.
        return holder.schedule_active if holder and can_be_scheduled(holder.serialized) else True
    return target.schedule == "on"


def _is_from(holder: RegisteredFlow, one: Wanted, update: RefUpdate) -> bool:
    return _other_keeper(holder, one, update, None) is None and holder.storage.get("type") == "Git"


def _other_keeper(
    holder: RegisteredFlow, one: Wanted, update: RefUpdate, living_refs: Collection[str] | None
) -> str | None:
    """The branch, tag or repository that keeps the registered version; None when it is ours to replace."""
    held, ours = holder.storage, one.serialized["storage"]
    if held.get("type") != "Git":
        return None
    if _repository(held) != _repository(ours):
        return f"repository {held.get('repo_host')}/{held.get('repo')}"
    branch, tag = held.get("branch_name"), held.get("tag")
    if (branch or tag) is None or (branch, tag) == (ours["branch_name"], ours["tag"]):
        return None
    if living_refs is not None and f"refs/heads/{branch}" not in living_refs and f"refs/tags/{tag}" not in living_refs:
        return None
    if tag and ours["tag"]:
        if update.source == "--ref" or not is_older(ours["tag"], tag):
            return None
        return f"the newer tag {tag!r} (name the older one with --ref to go back to it)"
    return f"branch {branch!r}" if branch else f"tag {tag!r}"


def _repository(storage: dict[str, Any]) -> tuple[str, str]:
    """Host and path, whatever the protocol, port and spelling."""
    host = re.sub(r":\d+$", "", (storage.get("repo_host") or "").lower())
    return host, (storage.get("repo") or "").strip("/").lower()


def is_older(tag: str, other: str) -> bool:
    """Whether a tag's version is lower than another's; False where one of them is no version."""
    try:
        return Version(tag.lstrip("v")) < Version(other.lstrip("v"))
    except InvalidVersion:
        return False
