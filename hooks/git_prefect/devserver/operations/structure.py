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
    """Adds tasks to a flow that was registered without; those that it has are left as they are.

    They are kept in its serialized form as well, in the order in which they come.
    """
    flow = _flow(call, "serialized_flow")
    serialized = flow["serialized_flow"]
    known = {task["slug"] for task in call.database.find("task", flow_id=flow["id"])}
    reference = {_slug(task) for task in serialized.get("reference_tasks") or []}
    tasks = [_task(given) for given in call.input["serialized_tasks"] if given["slug"] not in known]
    for task in tasks:
        # until an edge says otherwise
        task.update(is_root_task=True, is_terminal_task=True, is_reference_task=task["slug"] in reference)
    with call.database.transaction():
        store(call.database, flow["id"], flow["tenant_id"], tasks, [])
        kept = with_tasks(serialized, call.input["serialized_tasks"])
        call.database.update("flow", flow["id"], serialized_flow=kept)
    return success(True)


def with_tasks(serialized: dict[str, Any], tasks: Rows) -> dict[str, Any]:
    """A serialized flow with those of the tasks as well whose slugs it does not have."""
    kept = serialized.get("tasks") or []
    slugs = {task["slug"] for task in kept}
    return {**serialized, "tasks": [*kept, *(task for task in tasks if task["slug"] not in slugs)]}


def register_edges(call: Call) -> dict[str, Any]:
    """Adds edges between tasks that have been registered; the serialized flow does not get them."""
    flow = _flow(call, "tasks")
    database = call.database
    ids = {task["slug"]: task["id"] for task in database.find("task", flow_id=flow["id"])}
    try:
        edges = _edges(call.input["serialized_edges"], ids)
    except InternalError as error:
        raise ApiError(
            "Edges could not be registered - some edges reference tasks that do not exist within this flow."
        ) from error
    known = {_ends(edge) for edge in database.find("edge", flow_id=flow["id"])}
    edges = [edge for edge in edges if _ends(edge) not in known]
    with database.transaction():
        store(database, flow["id"], flow["tenant_id"], [], edges)
        for edge in edges:
            database.update("task", edge["upstream_task_id"], is_terminal_task=False)
            changes = {"mapped": True} if edge["mapped"] else {}
            database.update("task", edge["downstream_task_id"], is_root_task=False, **changes)
    return success(True)


def _flow(call: Call, asked_of_it: str) -> Row:
    flow = call.database.first("flow", id=call.input["flow_id"])
    if flow is None:
        # Prefect Server does not look whether there is one.
        raise ApiError(f"'NoneType' object has no attribute '{asked_of_it}'")
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
    """One row for each pair of tasks: of several edges between them the first is kept (edge_flow_id_task_ids_key)."""
    try:
        rows = [
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
    return list({_ends(row): row for row in reversed(rows)}.values())[::-1]


def _ends(edge: Row) -> tuple[str, str]:
    return edge["upstream_task_id"], edge["downstream_task_id"]


def _slug(task: Any) -> Any:
    """Prefect sends a task as ``{"slug": …}`` where it refers to it."""
    return task.get("slug") if isinstance(task, dict) else task
