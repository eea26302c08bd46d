"""Registered state × loaded flows → what a registration would do, flow by flow. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Callable

import msgspec
from msgspec.structs import asdict, replace

from ..core.deployment import Deployment
from ..core.results import PlannedFlow
from ..core.settings import Target
from ..core.targets import matches
from .descriptions import found_late, is_by_this_release, merge_descriptions, was_found_late
from .ownership import Owner, is_older, other_owner, ref_of, same_repository
from .queries import Registered, RegisteredFlow
from .structure import can_be_scheduled, differences, schedule_in_words


class Wanted(msgspec.Struct, frozen=True):
    """A flow of the pushed commit, as it would be registered."""

    path: str
    flow: str
    serialized: dict[str, Any]
    concerned: bool
    """False: this ref does not change its file, so it is only kept up where it is registered from this ref."""
    provenance: str = ""
    """Where it comes from, in Markdown."""


class Circumstances(msgspec.Struct, frozen=True):
    """What a plan has to know beside the flows: the deployment, and what the remote and the commit have."""

    deployment: Deployment
    living_refs: Collection[str] | None = None
    """Full names of the refs that the remote has: a flow may be taken over from a ref that is gone. None: unknown."""
    lost: Callable[[str, str], str | None] = lambda path, flow: None
    """Why the commit defines a flow of a path no longer; None when it does, or when that cannot be told."""
    untouched: Collection[str] = ()
    """Paths of flow files that the push does not change, and that an earlier push with settings had as well."""


def plan_flows(wanted: Sequence[Wanted], registered: Registered, given: Circumstances) -> list[PlannedFlow]:
    """What to do with each flow, in the order of `wanted`; then with those that the commit no longer defines."""
    return [*(_planned(one, registered, given) for one in wanted), *_no_longer_defined(wanted, registered, given)]


def storages_of(deployment: Deployment) -> list[dict[str, Any]]:
    """What the storages have in common that this ref, or an older tag of the same release line, has registered."""
    update, repo = deployment.update, deployment.storage.repo
    if update.kind == "tag":
        return [{"repo": repo, "branch_name": None}]
    is_default = update.name == deployment.default_branch
    unnamed = [{"repo": repo, "branch_name": None, "tag": None}] if is_default else []
    return [{"repo": repo, "branch_name": update.name}, *unnamed]


def _planned(one: Wanted, registered: Registered, given: Circumstances) -> PlannedFlow:
    update, target, project = given.deployment.update, given.deployment.target, given.deployment.project
    versions = registered.versions(project, one.flow)
    held = versions[0] if versions else None
    active = _schedule_active(target, held)
    nothing = PlannedFlow(
        path=one.path,
        flow=one.flow,
        project=project,
        action="unchanged",
        changes=(),
        reason="",
        serialized=one.serialized,
        registered_id=held.id if held else None,
        registered_version=held.version if held else None,
        schedule_active=active,
        description=merge_descriptions(one.provenance, held.description if held else ""),
        overrides=overrides(held.group, one.serialized) if held else (),
    )
    owners = [_owner(version, one, given) for version in versions]
    if not one.concerned and not (held and owners[0] is None):
        return replace(nothing, action="skipped", reason=f"{update.name} does not change its file", overrides=())
    if held is None:
        created = replace(nothing, action="created", new_version=True)
        late = target.schedule == "keep" and one.path in given.untouched and _is_upgraded(registered, given)
        return _found_late(created) if late else created
    other = next((owner for owner in owners if owner), None)
    if other and not other.lets_go and not target.take_over:
        return replace(nothing, action="failed", reason=_refusal(other, held, one, given))
    changes = differences(held.serialized, one.serialized)
    nothing = replace(nothing, new_version=bool(changes))
    if target.schedule == "keep" and not active and was_found_late(held.description) and one.path not in given.untouched:
        # Registered anew, so that whoever pauses it from now on finds it paused.
        active, nothing = True, replace(nothing, new_version=True, schedule_active=True)
    had_one = held.serialized.get("schedule") or held.group.get("schedule")
    if had_one and can_be_scheduled(one.serialized, held.group) and held.schedule_active != active:
        changes += ("schedule resumed" if active else "schedule paused",)
    surplus = [version for version in versions[1:] if version.id != held.id]
    changes += tuple(f"archived: version {one.version}, active beside it" for one in surplus)
    if not changes:
        why = "the branch's HEAD is what runs" if update.kind == "branch" else "pinned to this tag already"
        return replace(nothing, reason=why)
    nothing = replace(nothing, changes=changes, surplus=tuple(version.id for version in surplus))
    if other:
        return replace(nothing, action="taken-over", reason=f"from {other.who}")
    return replace(nothing, action="updated")


def _is_upgraded(registered: Registered, given: Circumstances) -> bool:
    """Whether this ref has registered flows before, all of them by other releases of git-prefect, which may find fewer."""
    ours = [held for held in registered.flows if held.project == given.deployment.project and _is_ours(held, given)]
    return bool(ours) and not any(is_by_this_release(held.description) for held in ours)


def _found_late(created: PlannedFlow) -> PlannedFlow:
    """A new flow that was there all along: nobody expects it to be scheduled by a push of something else."""
    if not created.serialized.get("schedule"):
        return created
    why = "schedule off: it was there before git-prefect found it; a commit that changes it switches it on, or `git prefect register`"
    return replace(created, schedule_active=False, changes=(why,), description=found_late(created.description))


def _schedule_active(target: Target, held: RegisteredFlow | None) -> bool:
    if target.schedule == "keep":
        # What had no schedule, or one that the server would not switch on, was never paused by anybody.
        return held.schedule_active if held and can_be_scheduled(held.serialized, held.group) else True
    return target.schedule == "on"


def _owner(held: RegisteredFlow, one: Wanted, given: Circumstances) -> Owner | None:
    return other_owner(held.storage, one.serialized["storage"], given.deployment, given.living_refs)


def _refusal(other: Owner, held: RegisteredFlow, one: Wanted, given: Circumstances) -> str:
    name, ours = given.deployment.update.name, "{repo_host}/{repo}".format(**one.serialized["storage"])
    return (
        f"{other.who} is what project {given.deployment.project!r} runs under this name (version {held.version}); registering "
        f"{name} of {ours} would archive it. Give {name} a target with another project, rename the flow, or set "
        "`take-over = true` in the target"
    )


def overrides(group: Mapping[str, Any], serialized: Mapping[str, Any]) -> tuple[str, ...]:
    """What is set in the UI on the flow group and wins over the code's, a line each; `group` has Prefect's own keys."""
    lines = []
    labels = group.get("labels")
    if labels is not None:
        lines.append(f"labels {', '.join(labels) or 'none'}")
    if group.get("schedule"):
        lines.append(f"schedule {schedule_in_words(group['schedule'])}")
    run_config = group.get("run_config")
    if run_config:
        image = f" with image {run_config['image']}" if run_config.get("image") else ""
        lines.append(f"run config {run_config.get('type')}{image}")
    known = {one["name"] for one in serialized.get("parameters") or []}
    for name, value in sorted((group.get("default_parameters") or {}).items()):
        lines.append(f"parameter {name} = {value!r}{'' if name in known else ', which the flow no longer has'}")
    return tuple(lines)


def _no_longer_defined(wanted: Sequence[Wanted], registered: Registered, given: Circumstances) -> list[PlannedFlow]:
    """Flows that this ref has registered, and whose file is gone or defines them no longer."""
    names = {one.flow for one in wanted}
    found = []
    for held in registered.flows:
        if held.project == given.deployment.project and held.name not in names and _is_ours(held, given):
            path = str(held.storage.get("flow_path") or "")
            # An agent takes the first flow of the file where the storage names none: by hand, and never by us.
            named = held.storage.get("flow_name")
            why = given.lost(path, held.name) if path and named else None
            if why:
                found.append(_left(held, path, why, given))
    return found


def _left(held: RegisteredFlow, path: str, why: str, given: Circumstances) -> PlannedFlow:
    prune = given.deployment.target.prune
    hint = (
        ""
        if prune
        else "; each run of it fails. Archive it with `git prefect prune`, or set `prune = true` in the target"
    )
    return PlannedFlow(
        path=path,
        flow=held.name,
        project=held.project,
        action="archived" if prune else "left-behind",
        changes=(),
        reason=why + hint,
        serialized=held.serialized,
        registered_id=held.id,
        registered_version=held.version,
        schedule_active=held.schedule_active,
    )


def _is_ours(held: RegisteredFlow, given: Circumstances) -> bool:
    """Whether this very ref has registered a flow; for a tag also an older tag that the same target takes."""
    deployment = given.deployment
    if held.storage.get("type") != "Git" or not same_repository(held.storage, asdict(deployment.storage)):
        return False
    update, target = deployment.update, deployment.target
    branch, tag = ref_of(held.storage, deployment.default_branch)
    if update.kind == "branch":
        return branch == update.name
    if not tag:
        return False
    # Beside an annotated tag agents clone a lightweight one, whose name ends with the tag's.
    tag = tag.removeprefix(update.companion[: -len(update.name)])
    line = target.tag is not None and matches(target.tag, tag) and is_older(tag, update.name)
    return tag == update.name or line
