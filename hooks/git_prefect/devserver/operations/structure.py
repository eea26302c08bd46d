"""A flow's tasks, edges and parameters: in the serialized flow, or in batches from prefect.Client."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from git_prefect.devserver.database import Database, Row
from git_prefect.devserver.errors import ApiError, InternalError
from git_prefect.devserver.operations.call import Call, success

Rows = list[Row]


def parameters(serialized: dict[str, Any]) -> Rows:
    """The flow's parameters as they came, with the fields that must be there."""
    return [{"required": False, "default": None, **item} for item in serialized.get("parameters") or []]


def read(serialized: dict[str, Any]) -> tuple[Rows, Rows]:
    """Task and edge rows, without flow and tenant. Raises InternalError for an edge to no task."""
    given_edges = serialized.get("edges") or []
    tasks = [_task(given) for given in serialized.get("tasks") or []]
    downstream = {_slug(edge["downstream_task"]) for edge in given_edges}
    upstream = {_slug(edge["upstream_task"]) for edge in given_edges}
    mapped = {_slug(edge["downstream_task"]) for edge in given_edges if edge.get("mapped")}
    reference = {_slug(task) for task in serialized.get("reference_tasks") or []}
    for task in tasks:
        slug = task["slug"]
        task["mapped"] = slug in mapped
        task["is_root_task"] = slug not in downstream
        task["is_terminal_task"] = slug not in upstream
        task["is_reference_task"] = slug in reference if reference else slug not in upstream
    return tasks, _edges(given_edges, {task["slug"]: task["id"] for task in tasks})


def store(database: Database, flow_id: str, tenant_id: str, tasks: Rows, edges: Rows) -> None:
    """Writes the rows that ``read`` gave."""
    for table, rows in (("task", tasks), ("edge", edges)):
        for row in rows:
            database.insert(table, flow_id=flow_id, tenant_id=tenant_id, **row)


def register_tasks(call: Call) -> dict[str, Any]:
    """Adds tasks to a flow that was registered without; those that it has are left as they are."""
    flow = _flow(call)
    known = {task["slug"] for task in call.database.find("task", flow_id=flow["id"])}
    reference = {_slug(task) for task in flow["serialized_flow"].get("reference_tasks") or []}
    tasks = [_task(given) for given in call.input["serialized_tasks"] if given["slug"] not in known]
    for task in tasks:
        # until an edge says otherwise
        task.update(is_root_task=True, is_terminal_task=True, is_reference_task=task["slug"] in reference)
    with call.database.transaction():
        store(call.database, flow["id"], flow["tenant_id"], tasks, [])
    return success(True)


def register_edges(call: Call) -> dict[str, Any]:
    """Adds edges between tasks that have been registered. Raises InternalError if one has not."""
    flow = _flow(call)
    database = call.database
    ids = {task["slug"]: task["id"] for task in database.find("task", flow_id=flow["id"])}
    edges = _edges(call.input["serialized_edges"], ids)
    with database.transaction():
        store(database, flow["id"], flow["tenant_id"], [], edges)
        for edge in edges:
            database.update("task", edge["upstream_task_id"], is_terminal_task=False)
            changes = {"mapped": True} if edge["mapped"] else {}
            database.update("task", edge["downstream_task_id"], is_root_task=False, **changes)
    return success(True)


def _flow(call: Call) -> Row:
    flow = call.database.first("flow", id=call.input["flow_id"])
    if flow is None:
        raise ApiError("Invalid flow.")
    return flow


def _task(given: dict[str, Any]) -> Row:
    trigger = given.get("trigger")
    delay = given.get("retry_delay")
    return {
        "id": str(uuid.uuid4()),
        "name": given.get("name"),
        "slug": given["slug"],
        "type": given.get("type"),
        "max_retries": given.get("max_retries") or 0,
        "retry_delay": None if delay is None else str(timedelta(seconds=delay)).zfill(8),
        "trigger": trigger.get("fn") if isinstance(trigger, dict) else trigger,
        "tags": given.get("tags") or [],
        "mapped": bool(given.get("mapped")),
        "auto_generated": bool(given.get("auto_generated")),
        "cache_key": given.get("cache_key"),
    }


def _edges(given: Rows, ids: dict[str, str]) -> Rows:
    try:
        return [
            {
                "upstream_task_id": ids[_slug(edge["upstream_task"])],
                "downstream_task_id": ids[_slug(edge["downstream_task"])],
                "key": edge.get("key"),
                "mapped": bool(edge.get("mapped")),
            }
            for edge in given
        ]
    except KeyError as error:
        raise InternalError from error


def _slug(task: Any) -> Any:
    """Prefect sends a task as ``{"slug": …}`` where it refers to it."""
    return task.get("slug") if isinstance(task, dict) else task
