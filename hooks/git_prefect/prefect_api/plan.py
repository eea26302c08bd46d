"""Registered state × loaded flows → what a registration would do, flow by flow. Changes nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Callable, NamedTuple

from ..core.model import GitStorage, RefUpdate
from ..core.results import PlannedFlow
from ..core.settings import Target
from ..core.targets import matches
from .descriptions import described
from .ownership import Holder, is_older, other_holder, ref_of, same_repository
from .queries import Registered, RegisteredFlow
from .structure import can_be_scheduled, differences, schedule_in_words


class Wanted(NamedTuple):
    """A flow of the pushed commit, as it would be registered."""

    path: str
    flow: str
    serialized: dict[str, Any]
    concerned: bool
    """False: this ref does not change its file, so it is only kept up where it is registered from this ref."""
    provenance: str = ""
    """Where it comes from, in Markdown."""


class Circumstances(NamedTuple):
    """What a plan has to know beside the flows: the ref, its rule, and what the remote and the commit have."""

    update: RefUpdate
    target: Target
    project: str
    default_branch: str | None = None
    living_refs: Collection[str] | None = None
    """Full names of the refs that the remote has: a flow may be taken over from a ref that is gone. None: unknown."""
    where: GitStorage | None = None
    """The repository, as storages name it; None: nothing is looked for that the commit no longer defines."""
    lost: Callable[[str, str], str | None] = lambda path, flow: None
    """Why the commit defines a flow of a path no longer; None when it does, or when that cannot be told."""


def plan(wanted: Sequence[Wanted], registered: Registered, given: Circumstances) -> list[PlannedFlow]:
    """What to do with each flow, in the order of `wanted`; then with those that the commit no longer defines."""
    return [*(_planned(one, registered, given) for one in wanted), *_no_longer_defined(wanted, registered, given)]


def storages_of(update: RefUpdate, where: GitStorage, default_branch: str | None) -> list[dict[str, Any]]:
    """What the storages have in common that this ref, or an older tag of the same release line, has registered."""
    if update.kind == "tag":
        return [{"repo": where.repo, "branch_name": None}]
    unnamed = [{"repo": where.repo, "branch_name": None, "tag": None}] if update.name == default_branch else []
    return [{"repo": where.repo, "branch_name": update.name}, *unnamed]


def _planned(one: Wanted, registered: Registered, given: Circumstances) -> PlannedFlow:
    update, target = given.update, given.target
    versions = registered.versions(given.project, one.flow)
    held = versions[0] if versions else None
    active = _schedule_active(target, held)
    nothing = PlannedFlow(
        path=one.path,
        flow=one.flow,
        project=given.project,
        action="unchanged",
        changes=(),
        reason="",
        serialized=one.serialized,
        registered_id=held.id if held else None,
        registered_version=held.version if held else None,
        schedule_active=active,
        description=described(one.provenance, held.description if held else ""),
        overrides=overrides(held.group, one.serialized) if held else (),
    )
    holders = [_holder(version, one, given) for version in versions]
    if not one.concerned and not (held and holders[0] is None):
        return nothing._replace(action="skipped", reason=f"{update.name} does not change its file", overrides=())
    if held is None:
        return nothing._replace(action="created", new_version=True)
    other = next((holder for holder in holders if holder), None)
    if other and not other.lets_go and not target.take_over:
        return nothing._replace(action="failed", reason=_refusal(other, held, one, given))
    changes = differences(held.serialized, one.serialized)
    nothing = nothing._replace(new_version=bool(changes))
    had_one = held.serialized.get("schedule") or held.group.get("schedule")
    if had_one and can_be_scheduled(one.serialized, held.group) and held.schedule_active != active:
        changes += ("schedule resumed" if active else "schedule paused",)
    surplus = [version for version in versions[1:] if version.id != held.id]
    changes += tuple(f"archived: version {one.version}, active beside it" for one in surplus)
    if not changes:
        why = "the branch's HEAD is what runs" if update.kind == "branch" else "pinned to this tag already"
        return nothing._replace(reason=why)
    nothing = nothing._replace(changes=changes, surplus=tuple(version.id for version in surplus))
    if other:
        return nothing._replace(action="taken-over", reason=f"from {other.who}")
    return nothing._replace(action="updated")


def _schedule_active(target: Target, held: RegisteredFlow | None) -> bool:
    if target.schedule == "keep":
        # What had no schedule, or one that the server would not switch on, was never paused by anybody.
        return held.schedule_active if held and can_be_scheduled(held.serialized, held.group) else True
    return target.schedule == "on"


def _holder(held: RegisteredFlow, one: Wanted, given: Circumstances) -> Holder | None:
    return other_holder(held.storage, one.serialized["storage"], given.update, given.living_refs, given.default_branch)


def _refusal(other: Holder, held: RegisteredFlow, one: Wanted, given: Circumstances) -> str:
    name, ours = given.update.name, "{repo_host}/{repo}".format(**one.serialized["storage"])
    return (
        f"{other.who} is what project {given.project!r} runs under this name (version {held.version}); registering "
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
        if held.project == given.project and held.name not in names and _is_ours(held, given):
            path = str(held.storage.get("flow_path") or "")
            # An agent takes the first flow of the file where the storage names none: by hand, and never by us.
            named = held.storage.get("flow_name")
            why = given.lost(path, held.name) if path and named else None
            if why:
                found.append(_left(held, path, why, given))
    return found


def _left(held: RegisteredFlow, path: str, why: str, given: Circumstances) -> PlannedFlow:
    prune = given.target.prune
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
    if given.where is None or held.storage.get("type") != "Git":
        return False
    if not same_repository(held.storage, given.where._asdict()):
        return False
    branch, tag = ref_of(held.storage, given.default_branch)
    if given.update.kind == "branch":
        return branch == given.update.name
    if not tag:
        return False
    name = given.update.name
    # Beside an annotated tag agents clone a lightweight one, whose name ends with the tag's.
    tag = tag.removeprefix(given.update.companion[: -len(name)])
    line = given.target.tag is not None and matches(given.target.tag, tag) and is_older(tag, name)
    return tag == name or line
