"""Carries a plan out, reads back what became of it, and mends what is not as planned.

What counts is what is read back: a request whose answer was lost may have been carried out, and one that was
answered may have met another client's.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Callable, Optional, TypeVar

import msgspec
from msgspec.structs import replace

from ..core.deployment import Deployment
from ..core.errors import GitPrefectError, OutOfReach, UsageError
from ..core.model import Watch
from ..core.results import PlannedFlow, Registration
from .client import NoAnswerInTime
from .ownership import other_owner
from .plan import Circumstances
from .queries import Api, Registered, RegisteredFlow
from .storage import describe
from .structure import can_be_scheduled, differences

PAUSES = (0.5, 2.0, 5.0)
"""Seconds, give or take a half, before what is not as planned yet is looked at and tried again."""

REGISTERS = ("created", "updated", "taken-over")
"""Actions that register a flow, or mend its registration."""

Error = Optional[GitPrefectError]
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class Wrong(msgspec.Struct, frozen=True):
    """How a flow's registration differs from the plan."""

    what: str
    can_be_fixed: bool
    """False: another attempt would fail as this one did, or would destroy what another client has done."""
    is_schedule: bool = False
    """True when nothing but the schedule is wrong."""


def check_project(api: Api, registered: Registered, deployment: Deployment) -> None:
    """See that a registration in this project can begin.

    Raises:
        UsageError: it does not exist, and the target does not let us create it.
    """
    project = deployment.project
    if project not in registered.project_ids and not deployment.target.create_project:
        raise UsageError(
            f"project {project!r} does not exist at {api.address}",
            f"create it with `prefect create project {project!r}`, or set `create-project = true` in its target",
        )


def apply_plan(
    api: Api, plan: Sequence[PlannedFlow], registered: Registered, given: Circumstances, watch: Watch | None = None
) -> list[Registration]:
    """Do what the plan says, several flows at once and each flow's steps one after the other; what came of it.

    How many flows at once says the setting `parallel`. What the commit no longer defines is archived last, and only when
    everything else went well: a flow that was renamed must not lose its old name before it has its new one.

    Raises:
        OutOfReach: the API cannot tell any more; what is registered is then unknown, and trying again is safe.
        UsageError: the project does not exist.
    """
    project = given.deployment.project
    todo = [one for one in plan if one.action in REGISTERS]
    now, wrong = registered, {one.flow: one.reason for one in plan if one.action == "failed"}
    if todo:
        check_project(api, registered, given.deployment)
        project_id = registered.project_ids.get(project) or api.create_project(project, registered.tenant_id)
        work = _Work(api, project_id, given)
        with watch("Registering flows", lambda: len(work.done), len(todo)) if watch else nullcontext():
            now, failed = work.register(todo, registered)
        wrong.update(failed)
    archived = [one for one in plan if one.action == "archived"]
    left = _archived(api, archived, given) if archived and not wrong else {}
    return [
        _row(api, _held_back(one) if wrong else one, registered, left.get(one.flow, ""), given)
        if one.action == "archived"
        else _row(api, one, now if one in todo else registered, wrong.get(one.flow, ""), given)
        for one in plan
    ]


class _Work:
    """The flows of a plan on their way to be registered."""

    def __init__(self, api: Api, project_id: str, given: Circumstances) -> None:
        self.api = api
        self.project_id = project_id
        self.given = given
        self.done: list[str] = []
        """Names of the flows whose step was taken, for the progress that is shown."""
        self._errors: dict[str, Error] = {}
        self._scheduled: set[str] = set()
        """Names of the flows whose schedule the API has set as planned: what it is afterwards, another client made it."""

    def register(self, todo: Sequence[PlannedFlow], before: Registered) -> tuple[Registered, dict[str, str]]:
        """Register until everything is as planned, or cannot be; the state then, and what is wrong with which flow."""
        now, waiting = before, list(todo)
        final: dict[str, str] = {}
        for pause in (0.0, *PAUSES):
            time.sleep(pause * random.uniform(0.5, 1.5))
            self._attempt(waiting, now, first=pause == 0.0)
            now = _read_back(self.api, self.given.deployment.project, [one.flow for one in todo])
            judged = {one.flow: self._wrong(one, now) for one in waiting}
            final.update({flow: wrong.what for flow, wrong in judged.items() if wrong})
            for flow, wrong in judged.items():
                if wrong is None:
                    final.pop(flow, None)
            waiting = [one for one in waiting if (found := judged[one.flow]) and found.can_be_fixed]
            if not waiting:
                break
        return now, final

    def _attempt(self, waiting: Sequence[PlannedFlow], now: Registered, first: bool) -> None:
        def attempt(one: PlannedFlow) -> Error:
            try:
                self._step(one, now, one.new_version if first else None)
            except GitPrefectError as error:
                return error
            self.done.append(one.flow)
            return None

        parallel = self.given.deployment.settings.parallel
        self._errors.update(zip((one.flow for one in waiting), _side_by_side(attempt, waiting, parallel)))

    def _step(self, one: PlannedFlow, now: Registered, anew: bool | None) -> None:
        """One step towards the plan: register, or archive what is active beside it and set its schedule.

        `anew` says whether to register; None: if what is active is not as planned.
        """
        versions = now.versions(one.project, one.flow)
        ours = _as_planned(versions, one)
        if anew or (anew is None and ours is None):
            last = self._errors.get(one.flow)
            if isinstance(last, NoAnswerInTime):
                # The API may be at work on it still, and would register it twice.
                raise last
            self.api.create_flow(self.project_id, one.serialized, one.schedule_active, one.description)
            self._scheduled.add(one.flow)
            return
        if ours is None:
            return
        for other in versions:
            if other.id != ours.id and _may_go(other, one, self.given):
                self.api.archive(other.id)
        if _schedule_is_wrong(ours, one) and self.api.set_schedule(ours.id, one.schedule_active):
            self._scheduled.add(one.flow)

    def _wrong(self, one: PlannedFlow, now: Registered) -> Wrong | None:
        """What is not as planned in what was read back; None when all is, or what is not is another client's doing."""
        wrong = _wrong(one, now, self._errors.get(one.flow), self.given)
        return None if wrong and wrong.is_schedule and one.flow in self._scheduled else wrong


def _side_by_side(work: Callable[[_Item], _Result], items: Sequence[_Item], parallel: int) -> list[_Result]:
    if not items:
        return []
    with ThreadPoolExecutor(min(parallel, len(items))) as pool:
        return list(pool.map(work, items))


def _as_planned(versions: Sequence[RegisteredFlow], one: PlannedFlow) -> RegisteredFlow | None:
    """The newest active version that has the planned structure."""
    return next((version for version in versions if not differences(version.serialized, one.serialized)), None)


def _may_go(other: RegisteredFlow, one: PlannedFlow, given: Circumstances) -> bool:
    if other.id in one.surplus or given.deployment.target.take_over:
        return True
    storage = one.serialized["storage"]
    owner = other_owner(other.storage, storage, given.deployment, given.living_refs)
    return owner is None or owner.lets_go


def _schedule_is_wrong(held: RegisteredFlow, one: PlannedFlow) -> bool:
    return can_be_scheduled(one.serialized, held.group) and held.schedule_active != one.schedule_active


def _wrong(one: PlannedFlow, now: Registered, error: Error, given: Circumstances) -> Wrong | None:
    """What is not as planned in what was read back; None when all is."""
    versions = now.versions(one.project, one.flow)
    ours = _as_planned(versions, one)
    again = error is None or isinstance(error, OutOfReach)
    if ours is None and versions and versions[0].id != one.registered_id:
        return Wrong("another client registered something else under this name at the same time", False)
    if ours is None:
        none = "the API took it, but has no active version of it: another client may have been at it at the same time"
        old = "the API took it, but still has the version from before"
        return Wrong(error.message if error else old if versions else none, again)
    others = [version for version in versions if version.id != ours.id]
    if others:
        which = ", ".join(f"version {other.version} ({describe(other.storage)})" for other in others)
        return Wrong(f"active beside it: {which}", again and any(_may_go(other, one, given) for other in others))
    if _schedule_is_wrong(ours, one):
        is_now = "active" if ours.schedule_active else "paused"
        return Wrong(error.message if error else f"its schedule is {is_now} all the same", again, is_schedule=True)
    return None


def _read_back(api: Api, project: str, flows: Sequence[str]) -> Registered:
    """What the API holds of these flows; asked again when it does not answer, since something was done.

    Raises:
        OutOfReach: it cannot tell.
    """
    for pause in PAUSES:
        try:
            return api.registered([project], flows)
        except OutOfReach:
            time.sleep(pause * random.uniform(0.5, 1.5))
    try:
        return api.registered([project], flows)
    except OutOfReach as error:
        raise OutOfReach(
            f"{error.message}; what became of the registrations in project {project!r} is not known",
            "try again: what is registered by then is left alone",
        ) from error


def _archived(api: Api, todo: Sequence[PlannedFlow], given: Circumstances) -> dict[str, str]:
    """Archive flows; those that are active still, each with the reason."""

    def attempt(one: PlannedFlow) -> str:
        try:
            api.archive(one.registered_id or "")
        except GitPrefectError as error:
            return error.message
        return "the API took it, but it is active still"

    told = dict(zip((one.flow for one in todo), _side_by_side(attempt, todo, given.deployment.settings.parallel)))
    now = _read_back(api, given.deployment.project, [one.flow for one in todo])
    active = {held.id for held in now.flows}
    return {one.flow: told[one.flow] for one in todo if one.registered_id in active}


def _held_back(one: PlannedFlow) -> PlannedFlow:
    """A flow that is not archived since another one of the ref failed."""
    return replace(one, action="left-behind", reason=f"{one.reason}; not archived while a flow of this ref fails")


def _row(api: Api, one: PlannedFlow, state: Registered, wrong: str, given: Circumstances) -> Registration:
    held = state.newest(one.project, one.flow)
    idle = one.action in (*REGISTERS, "unchanged") and one.serialized.get("schedule")
    inactive = (
        "its schedule stays inactive, a required parameter has no default [schedule-needs-parameter]"
        if idle and not can_be_scheduled(one.serialized, held.group if held else None)
        else ""
    )
    changed = ""
    if one.action in REGISTERS and held and not wrong and _schedule_is_wrong(held, one):
        is_now = "switched on" if held.schedule_active else "paused"
        changed = f"its schedule was {is_now} by another client meanwhile, and is left as it is"
    reason = "; ".join(part for part in (one.reason, inactive, changed) if part)
    if wrong and one.action != "failed":
        running = f"version {held.version}, {describe(held.storage)}" if held else "nothing under this name"
        reason = f"{wrong}. What runs now: {running}"
    return Registration(
        ref=given.deployment.update.ref,
        flow=one.flow,
        path=one.path,
        project=one.project,
        action="failed" if wrong else one.action,
        version=held.version if held else None,
        changes=one.changes,
        reason=reason,
        storage=describe(held.storage) if held else "",
        url=api.page(state.tenant_slug, held.flow_group_id) if held else "",
        overrides=one.overrides,
    )
