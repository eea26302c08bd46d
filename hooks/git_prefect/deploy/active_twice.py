"""Schedules that do the same work twice: the flow that a registration switches on is active from another ref as well."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.deployment import Deployment
from ..core.findings import finding
from ..core.model import Finding
from ..core.results import PlannedFlow
from ..prefect_api.ownership import Storage, ref_of
from ..prefect_api.queries import Api, Registered
from ..prefect_api.registered import ActiveFlow, active_flows
from ..prefect_api.structure import can_be_scheduled


def caused_by(plan: Sequence[PlannedFlow], registered: Registered, deployment: Deployment, api: Api) -> list[Finding]:
    """A finding for each flow whose schedule this plan switches on, and which has an active one from elsewhere.

    The API is asked only where a schedule is switched on.

    Raises:
        OutOfReach, NotAuthorised: the API.
    """
    switched = [one for one in plan if _is_switched_on(one, registered)]
    if not switched:
        return []
    default = deployment.default_branch
    others: dict[tuple[str, str], list[ActiveFlow]] = {}
    for one in active_flows(api, deployment.storage, sorted({one.flow for one in switched})):
        if one.schedule and one.flow.schedule_active:
            others.setdefault((one.path, one.flow.name), []).append(one)
    found = []
    for flow in switched:
        # What is in its own project is replaced by it.
        elsewhere = [one for one in others.get((flow.path, flow.flow), ()) if one.flow.project != flow.project]
        if elsewhere:
            said, hint = described(flow.serialized["storage"], elsewhere, default)
            found.append(finding("active-twice", said, hint, path=flow.path, flow=flow.flow, ref=deployment.update.ref))
    return found


def _is_switched_on(one: PlannedFlow, registered: Registered) -> bool:
    if not (one.changes_something and one.schedule_active):
        return False
    held = registered.newest(one.project, one.flow)
    if not can_be_scheduled(one.serialized, held.group if held else None):
        return False
    return not (held and held.schedule_active and can_be_scheduled(held.serialized, held.group))


def described(ours: Storage, others: Sequence[ActiveFlow], default: str | None) -> tuple[str, str]:
    """What is said of a flow whose schedule is active from others as well, and the remedy."""
    places = {one.flow.project: _name(one.flow.storage, default) for one in others}
    elsewhere = " and ".join(f"{name} (project {project})" for project, name in places.items())
    quiet = max([ours, *(one.flow.storage for one in others)], key=lambda storage: _rank(storage, default))
    if all(_name(one.flow.storage, default) == _name(ours, default) for one in others):
        hint = "pause or archive one of them in Prefect's UI"
    else:
        hint = f'set schedule = "off" in the target of {_name(quiet, default)}, or pause or archive one of them in Prefect\'s UI'
    return f"its schedule is active from {elsewhere} as well: the work is done twice", hint


def _rank(storage: Storage, default: str | None) -> int:
    """Releases first, then the default branch, then others: the last of them is the one to switch off."""
    branch, tag = ref_of(storage, default)
    return 0 if tag else 1 if branch == default else 2


def _name(storage: Storage, default: str | None) -> str:
    branch, tag = ref_of(storage, default)
    return tag or branch or "the default branch"
