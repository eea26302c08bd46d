"""Settings of a flow group, which win over the flow's own (Prefect Server's ``api/flow_groups.py``)."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.operations import clocks
from git_prefect.devserver.operations.call import Call, success


def delete_flow_group(call: Call) -> dict[str, Any]:
    """Removes the group with all versions of its flow and their runs."""
    return success(call.database.delete("flow_group", call.input["flow_group_id"]))


def set_flow_group_description(call: Call) -> dict[str, Any]:
    return _set(call, description=call.input.get("description"))


def set_flow_group_labels(call: Call) -> dict[str, Any]:
    """None takes the group's labels away, so that the flow's own count again."""
    labels = call.input.get("labels")
    return _set(call, labels=list(dict.fromkeys(labels)) if labels else labels)


def set_flow_group_run_config(call: Call) -> dict[str, Any]:
    return _set(call, run_config=call.input.get("run_config"))


def set_flow_group_default_parameters(call: Call) -> dict[str, Any]:
    return _set(call, default_parameters=call.input["parameters"])


def set_flow_group_schedule(call: Call) -> dict[str, Any]:
    """Replaces the group's schedule; runs that the former one had created are deleted."""
    made: list[dict[str, Any]] = []
    for given in call.input.get("cron_clocks") or []:
        made.append({"type": "CronClock", **given})
    for given in call.input.get("interval_clocks") or []:
        # seconds come in, microseconds are what a serialized schedule holds
        made.append({"type": "IntervalClock", **given, "interval": given["interval"] * 1_000_000})
    start = _start(call.input.get("timezone"))
    for clock in made:
        clock["start_date"] = start
        if not clocks.is_valid({"type": "Schedule", "clocks": [clock]}):
            raise ApiError(f"Invalid clock provided for schedule: {clock}")
    return _set_schedule(call, {"type": "Schedule", "clocks": made})


def delete_flow_group_schedule(call: Call) -> dict[str, Any]:
    return _set_schedule(call, None)


def _start(zone: Any) -> Any:
    if not zone:
        return None
    if not clocks.is_zone(zone):
        raise ApiError(f"Invalid timezone provided for schedule: {zone}")
    moment = clocks.in_zone(datetime.now(timezone.utc), zone)
    return {"dt": moment.replace(tzinfo=None).isoformat(), "tz": zone}


def _set_schedule(call: Call, schedule: Any) -> dict[str, Any]:
    done = _set(call, schedule=schedule)
    call.database.execute(
        "DELETE FROM flow_run WHERE state = 'Scheduled' AND auto_scheduled "
        "AND flow_id IN (SELECT id FROM flow WHERE flow_group_id = ?)",
        (call.input["flow_group_id"],),
    )
    return done


def _set(call: Call, **values: Any) -> dict[str, Any]:
    return success(call.database.update("flow_group", call.input["flow_group_id"], **values))


MUTATIONS = {
    "delete_flow_group": delete_flow_group,
    "set_flow_group_description": set_flow_group_description,
    "set_flow_group_labels": set_flow_group_labels,
    "set_flow_group_run_config": set_flow_group_run_config,
    "set_flow_group_default_parameters": set_flow_group_default_parameters,
    "set_flow_group_schedule": set_flow_group_schedule,
    "delete_flow_group_schedule": delete_flow_group_schedule,
}
