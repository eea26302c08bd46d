"""Carries a plan out, and reads back what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import TYPE_CHECKING

from ..errors import GitPrefectError, UsageError
from ..model import PlannedFlow, RefUpdate, Registration
from ..settings import Target
from .api import Api, Registered, RegisteredFlow
from .storage import describe
from .structure import can_be_scheduled, differences

if TYPE_CHECKING:
    from ..model import Watch

PARALLEL = 8
"""Flows that are registered at once; the registrations of one flow never are."""


def check_project(api: Api, registered: Registered, target: Target, project: str) -> None:
    """See that a registration in this project can begin.

    Raises:
        UsageError: it does not exist, and the target does not let us create it.
    """
    if project not in registered.project_ids and not target.create_project:
        raise UsageError(
            f"project {project!r} does not exist at {api.address}",
            f"create it with `prefect create project {project!r}`, or set `create-project = true` in its target",
        )


def apply(
    api: Api,
    plan: Sequence[PlannedFlow],
    registered: Registered,
    target: Target,
    update: RefUpdate,
    watch: Watch | None = None,
) -> list[Registration]:
    """Register what the plan says, different flows in parallel, then read back once what the API holds.

    What counts is what is read back: a request whose answer was lost may have been carried out.

    Raises:
        OutOfReach: the API cannot tell any more; what is registered is then unknown, and trying again is safe.
        UsageError: the project does not exist.
    """
    todo = [one for one in plan if one.action in ("created", "updated")]
    errors: dict[str, str] = {}
    now = registered
    if todo:
        check_project(api, registered, target, todo[0].project)
        known = registered.project_ids.get(todo[0].project)
        project = known or api.create_project(todo[0].project, registered.tenant_id)
        outcomes: list[str] = []
        watching = watch("Registering flows", lambda: len(outcomes), len(todo)) if watch else nullcontext()
        with watching, ThreadPoolExecutor(PARALLEL) as pool:
            outcomes.extend(pool.map(lambda one: _attempt(api, project, one), todo))
        errors = {one.flow: error for one, error in zip(todo, outcomes) if error}
        now = api.registered([todo[0].project], [one.flow for one in todo])
    return [
        _became(api, one, now, errors.get(one.flow, ""), update)
        if one in todo
        else _untouched(api, one, registered, update)
        for one in plan
    ]


def _attempt(api: Api, project: str, one: PlannedFlow) -> str:
    """Register one flow; what went wrong, or an empty text."""
    try:
        api.create_flow(project, one.serialized, one.schedule_active)
    except GitPrefectError as error:
        return error.message
    return ""


def _became(api: Api, one: PlannedFlow, now: Registered, error: str, update: RefUpdate) -> Registration:
    versions = [held for held in now.flows if held.name == one.flow and held.project == one.project]
    held = now.holder(one.project, one.flow)
    wrong = error
    if held is None:
        wrong = error or "the API took it, but has no active version of it now"
    elif held.id == one.registered_id:
        wrong = error or "the API took it, but still has the version from before"
    elif differences(held.serialized, one.serialized):
        wrong = error or "another client registered this flow at the same time"
    elif len(versions) > 1:
        wrong = f"{len(versions)} versions of it are active at once"
    else:
        wrong = ""
    if wrong or held is None:
        hint = f"{wrong}. What runs now: {_running(held)}"
        return _row(api, one, held, now, update)._replace(action="failed", reason=hint)
    return _row(api, one, held, now, update)


def _running(held: RegisteredFlow | None) -> str:
    return f"version {held.version}, {describe(held.storage)}" if held else "nothing under this name"


def _untouched(api: Api, one: PlannedFlow, registered: Registered, update: RefUpdate) -> Registration:
    return _row(api, one, registered.holder(one.project, one.flow), registered, update)


def _row(
    api: Api, one: PlannedFlow, held: RegisteredFlow | None, registered: Registered, update: RefUpdate
) -> Registration:
    idle = one.serialized.get("schedule") and not can_be_scheduled(one.serialized)
    inactive = "its schedule stays inactive, a required parameter has no default [schedule-needs-parameter]"
    return Registration(
        ref=update.ref,
        flow=one.flow,
        path=one.path,
        project=one.project,
        action=one.action,
        version=held.version if held else None,
        changes=one.changes,
        reason="; ".join(part for part in (one.reason, inactive if idle and one.action != "skipped" else "") if part),
        storage=describe(held.storage) if held else "",
        url=api.page(registered.tenant_slug, held.flow_group_id) if held else "",
    )
