"""Task runs (Prefect Server's ``api/runs.py`` and ``insert_task_runs_after_flow_run_insert``)."""

from __future__ import annotations

from typing import Any

from git_prefect.devserver import times
from git_prefect.devserver.database import Database, Row
from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.operations import run_states
from git_prefect.devserver.operations.call import Call, success

_CREATED = {"type": "Pending", "message": "Task run created"}


def create_for_all_tasks(database: Database, flow_run: Row) -> None:
    """One task run, not mapped, for each task of the run's flow."""
    for task in database.find("task", flow_id=flow_run["flow_id"]):
        _create(database, flow_run["id"], task, -1, _CREATED)


def get_or_create_task_run(call: Call) -> dict[str, Any]:
    """The id of the task run that ``get_or_create_task_run_info`` tells about."""
    try:
        return {"id": get_or_create_task_run_info(call)["id"]}
    except ApiError as error:
        raise ApiError("Invalid ID") from error


def get_or_create_task_run_info(call: Call) -> Row:
    """The task run with that map index (-1: not mapped), created as Pending when it is first asked for.

    Whoever has it created is told version 0, which is the row's before it has a state.
    """
    given = call.input
    key = {
        "flow_run_id": given["flow_run_id"],
        "task_id": given["task_id"],
        "map_index": -1 if given.get("map_index") is None else given["map_index"],
    }
    with call.database.transaction():
        known = call.database.first("task_run", **key)
        if known is not None:
            return known
        task = call.database.first("task", id=given["task_id"])
        if task is None:
            raise ApiError("Invalid task ID")
        made = _create(call.database, given["flow_run_id"], task, key["map_index"], run_states.in_full(_CREATED))
        return {**made, "version": 0}


def set_task_run_name(call: Call) -> dict[str, Any]:
    if not call.input["name"]:
        raise ApiError("Invalid name")
    return success(call.database.update("task_run", call.input["task_run_id"], name=call.input["name"]))


def update_task_run_heartbeat(call: Call) -> dict[str, Any]:
    call.database.update("task_run", call.input["task_run_id"], heartbeat=times.now())
    return success(True)


def get_task_run_info(call: Call) -> Row:
    run = call.database.first("task_run", id=call.input["task_run_id"])
    if run is None:
        raise ApiError("Invalid task run ID")
    return run


def mapped_children(call: Call) -> dict[str, Any]:
    """Counts by state of the mapped children, and when they started and ended."""
    parent = get_task_run_info(call)
    children = call.database.find("task_run", flow_run_id=parent["flow_run_id"], task_id=parent["task_id"])
    children = [child for child in children if child["map_index"] >= 0 > parent["map_index"]]
    counts: dict[str, int] = {}
    for child in children:
        counts[child["state"]] = counts.get(child["state"], 0) + 1
    return {
        "min_start_time": min((run["start_time"] for run in children if run["start_time"]), default=None),
        "max_end_time": max((run["end_time"] for run in children if run["end_time"]), default=None),
        "state_counts": counts,
    }


def _create(database: Database, flow_run_id: str, task: Row, map_index: int, state: dict[str, Any]) -> Row:
    run_id = database.insert(
        "task_run",
        tenant_id=task["tenant_id"],
        flow_run_id=flow_run_id,
        task_id=task["id"],
        map_index=map_index,
        cache_key=task["cache_key"],
    )
    run_states.enter(database, "task_run", database.find("task_run", id=run_id)[0], state, 1)
    return database.find("task_run", id=run_id)[0]


MUTATIONS = {
    "get_or_create_task_run": get_or_create_task_run,
    "get_or_create_task_run_info": get_or_create_task_run_info,
    "set_task_run_name": set_task_run_name,
    "update_task_run_heartbeat": update_task_run_heartbeat,
}
QUERIES = {"get_task_run_info": get_task_run_info, "mapped_children": mapped_children}
