"""Schedules on and off, and the runs that they create ahead (Prefect Server's ``api/flows.py``).

There is no scheduler in the background: runs are created when a schedule is switched on, and not again.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from git_prefect.devserver import times
from git_prefect.devserver.database import Database, Row
from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.operations import clocks, flow_runs
from git_prefect.devserver.operations.call import Call, success

_AHEAD = 10  # runs that are created at once


def set_schedule_active(call: Call) -> dict[str, Any]:
    """See ``activate``."""
    return success(activate(call.database, call.input["flow_id"]))


def set_schedule_inactive(call: Call) -> dict[str, Any]:
    """Switches the schedule off and deletes the runs that it had created ahead."""
    if not call.database.update("flow", call.input["flow_id"], is_schedule_active=False):
        return success(False)
    delete_runs_ahead(call.database, call.input["flow_id"])
    return success(True)


def delete_runs_ahead(database: Database, flow_id: str) -> None:
    """Deletes the flow's runs that a schedule created and that have not begun."""
    database.execute("DELETE FROM flow_run WHERE flow_id = ? AND state = 'Scheduled' AND auto_scheduled", (flow_id,))


def activate(database: Database, flow_id: str) -> bool:
    """Switches the schedule on and creates its next runs; False if there is no such flow or schedule.

    Raises ApiError if a required parameter has a value neither from every clock nor from the flow group.
    """
    flow = database.first("flow", id=flow_id)
    if flow is None:
        return False
    group = database.find("flow_group", id=flow["flow_group_id"])[0]
    if flow["schedule"] is None and group["schedule"] is None:
        return False
    required = {item.get("name") for item in flow["parameters"] if item.get("required")}
    if flow["schedule"] is not None and required:
        required -= set(group["default_parameters"])
        for clock in flow["schedule"].get("clocks", []):
            if not required <= set(clock.get("parameter_defaults") or {}):
                raise ApiError("Can not schedule a flow that has required parameters.")
    database.update("flow", flow_id, is_schedule_active=True)
    if not flow["archived"]:
        _create_runs(database, flow, group["schedule"] or flow["schedule"])
    return True


def _create_runs(database: Database, flow: Row, schedule: Any) -> None:
    if not schedule:
        return
    ahead = database.find("flow_run", flow_id=flow["id"], auto_scheduled=True)
    last = max((run["scheduled_start_time"] for run in ahead), default=times.now())
    for event in clocks.upcoming(schedule, _AHEAD):
        key = f"auto-scheduled:{event.start_time}"
        if event.parameter_defaults or event.labels is not None:
            # only such events may fall on one moment
            distinction = json.dumps([event.parameter_defaults, event.labels], sort_keys=True)
            key += f":{hashlib.sha256(distinction.encode()).hexdigest()}"
        elif event.start_time <= last:
            continue
        flow_runs.create(
            database,
            flow_id=flow["id"],
            parameters=event.parameter_defaults,
            labels=event.labels,
            scheduled_start_time=event.start_time,
            idempotency_key=key,
            auto_scheduled=True,
        )


MUTATIONS = {"set_schedule_active": set_schedule_active, "set_schedule_inactive": set_schedule_inactive}
