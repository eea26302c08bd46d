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
        _create(database, flow_run["id"], task, -1)


def get_or_create_task_run(call: Call) -> dict[str, Any]:
    return {"id": get_or_create_task_run_info(call)["id"]}


def get_or_create_task_run_info(call: Call) -> Row:
    """The task run with that map index (-1: not mapped), created as Pending when it is first asked for."""
    given = call.input
    map_index = -1 if given.get("map_index") is None else given["map_index"]
    task = _task(call.database, given["task_id"])
    return _get_or_create(call.database, given["flow_run_id"], task, map_index)


def get_or_create_mapped_task_run_children(call: Call) -> dict[str, Any]:
    """``max_map_index`` is the last index: 2 gives three children."""
    given = call.input
    task = _task(call.database, given["task_id"])
    indexes = range(given["max_map_index"] + 1)
    return {"ids": [_get_or_create(call.database, given["flow_run_id"], task, index)["id"] for index in indexes]}


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


def _task(database: Database, task_id: str) -> Row:
    task = database.first("task", id=task_id)
    if task is None:
        raise ApiError("Invalid task ID")
    return task


def _get_or_create(database: Database, flow_run_id: str, task: Row, map_index: int) -> Row:
    with database.transaction():
        key = {"flow_run_id": flow_run_id, "task_id": task["id"], "map_index": map_index}
        return database.first("task_run", **key) or _create(database, flow_run_id, task, map_index)


def _create(database: Database, flow_run_id: str, task: Row, map_index: int) -> Row:
    run_id = database.insert(
        "task_run",
        tenant_id=task["tenant_id"],
        flow_run_id=flow_run_id,
        task_id=task["id"],
        map_index=map_index,
        cache_key=task["cache_key"],
    )
    run_states.enter(database, "task_run", database.find("task_run", id=run_id)[0], _CREATED, 0)
    return database.find("task_run", id=run_id)[0]


MUTATIONS = {
    "get_or_create_task_run": get_or_create_task_run,
    "get_or_create_task_run_info": get_or_create_task_run_info,
    "get_or_create_mapped_task_run_children": get_or_create_mapped_task_run_children,
    "set_task_run_name": set_task_run_name,
    "update_task_run_heartbeat": update_task_run_heartbeat,
}
QUERIES = {"get_task_run_info": get_task_run_info, "mapped_children": mapped_children}
