"""Registration of flows, and what ends it (Prefect Server's ``api/flows.py`` and ``graphql/flows.py``).

Each step is a transaction of its own and the whole is none, as in Prefect Server: a registration that fails
half-way leaves what it has done, and registrations of one flow that run side by side do not see each other.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import uuid
from typing import Any

from git_prefect.devserver.database import Database, Row
from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.operations import schedules, states, structure
from git_prefect.devserver.operations.call import Call, success

_SETTINGS = {"heartbeat_enabled": True, "lazarus_enabled": True, "version_locking_enabled": False}


def create_flow_from_compressed_string(call: Call) -> dict[str, Any]:
    """``create_flow`` with the flow as base64(gzip(JSON))."""
    try:
        unzipped = json.loads(gzip.decompress(base64.b64decode(call.input["serialized_flow"])))
    except (ValueError, OSError, EOFError) as error:
        raise ApiError("Unable to decompress serialized flow") from error
    return create_flow(Call(call.database, {**call.input, "serialized_flow": unzipped}, call.headers))


def create_flow(call: Call) -> dict[str, Any]:
    """Registers a version of a flow and archives all other versions of its group."""
    database, given = call.database, call.input
    serialized = given["serialized_flow"]
    project = database.first("project", id=given["project_id"])
    if project is None:
        raise ApiError("Invalid project.")
    version_group = given.get("version_group_id") or _version_group(database, project, serialized["name"])
    flow_id = _register(database, project, version_group or str(uuid.uuid4()), given)
    if version_group:
        for other in database.rows(
            "SELECT id FROM flow WHERE version_group_id = ? AND id <> ? AND NOT archived",
            (version_group, flow_id),
        ):
            _archive(database, other["id"])
    return {"id": flow_id}


def _version_group(database: Database, project: Row, name: str) -> str | None:
    rows = database.rows(
        "SELECT version_group_id FROM flow WHERE project_id = ? AND name = ? ORDER BY created DESC, rowid DESC LIMIT 1",
        (project["id"], name),
    )
    return rows[0][0] if rows else None


def _register(database: Database, project: Row, version_group: str, given: dict[str, Any]) -> str:
    serialized = given["serialized_flow"]
    key = given.get("idempotency_key")
    group, known = _group(database, project["tenant_id"], version_group, key)
    if known is not None:
        return known
    last = database.rows(
        "SELECT max(version) FROM flow WHERE version_group_id = ? AND tenant_id = ?",
        (version_group, project["tenant_id"]),
    )[0][0]
    tasks, edges = structure.read(serialized)
    with database.transaction():
        flow_id = database.insert(
            "flow",
            tenant_id=project["tenant_id"],
            project_id=project["id"],
            flow_group_id=group["id"],
            name=serialized["name"],
            description=given.get("description"),
            version=(last or 0) + 1,
            version_group_id=version_group,
            core_version=serialized.get("__version__"),
            environment=serialized.get("environment"),
            storage=serialized.get("storage"),
            run_config=serialized.get("run_config"),
            parameters=structure.parameters(serialized),
            schedule=serialized.get("schedule"),
            serialized_flow=structure.with_tasks(serialized, []),
        )
        structure.store(database, flow_id, project["tenant_id"], tasks, edges)
    scheduled = serialized.get("schedule") is not None or group["schedule"] is not None
    if scheduled and given.get("set_schedule_active", True):
        with contextlib.suppress(ApiError):  # the flow stays registered, its schedule off
            schedules.activate(database, flow_id)
    return flow_id


def _group(database: Database, tenant_id: str, version_group: str, key: str | None) -> tuple[Row, str | None]:
    """The flow group, and the id of the flow that the idempotency key stands for, if it is the last key used.

    A new key is kept before the flow is: if the registration then fails, the next one with that key gets the
    old flow.
    """
    group = database.first("flow_group", tenant_id=tenant_id, name=version_group)
    if group is None:
        settings = {**_SETTINGS, "idempotency_key": key}
        group_id = database.insert("flow_group", tenant_id=tenant_id, name=version_group, settings=settings)
        return database.find("flow_group", id=group_id)[0], None
    if key and group["settings"].get("idempotency_key") == key:
        found = database.find("flow", version_group_id=version_group, archived=False)
        if found:
            return group, str(max(found, key=lambda flow: int(flow["version"]))["id"])
    database.update("flow_group", group["id"], settings={**group["settings"], "idempotency_key": key})
    return group, None


def archive_flow(call: Call) -> dict[str, Any]:
    return success(_archive(call.database, call.input["flow_id"]))


def _archive(database: Database, flow_id: str) -> bool:
    """Archives for good: auto-scheduled runs go, other scheduled runs are cancelled, running ones go on."""
    if not database.update("flow", flow_id, archived=True):
        return False
    schedules.delete_runs_ahead(database, flow_id)
    for run in database.find("flow_run", flow_id=flow_id, state="Scheduled"):
        states.cancel(database, run["id"], f"Flow {flow_id} was archived.")
    return True


def delete_flow(call: Call) -> dict[str, Any]:
    """Removes this version with its runs; the flow group and other versions stay."""
    return success(call.database.delete("flow", call.input["flow_id"]))


def update_flow_project(call: Call) -> dict[str, Any]:
    flow = call.database.first("flow", id=call.input["flow_id"])
    project = call.database.first("project", id=call.input["project_id"])
    if flow is None or project is None or flow["tenant_id"] != project["tenant_id"]:
        raise ApiError("Invalid flow or project ID.")
    call.database.update("flow", flow["id"], project_id=project["id"])
    return {"id": flow["id"]}


def enable_flow_heartbeat(call: Call) -> dict[str, Any]:
    return _set_group(call, heartbeat_enabled=True, disable_heartbeat=False)


def disable_flow_heartbeat(call: Call) -> dict[str, Any]:
    return _set_group(call, heartbeat_enabled=False, disable_heartbeat=True)


def enable_flow_lazarus_process(call: Call) -> dict[str, Any]:
    return _set_group(call, lazarus_enabled=True)


def disable_flow_lazarus_process(call: Call) -> dict[str, Any]:
    return _set_group(call, lazarus_enabled=False)


def _set_group(call: Call, **settings: Any) -> dict[str, Any]:
    flow = call.database.first("flow", id=call.input["flow_id"])
    if flow is None:
        raise ApiError("Invalid flow ID.")
    group = call.database.find("flow_group", id=flow["flow_group_id"])[0]
    return success(call.database.update("flow_group", group["id"], settings={**group["settings"], **settings}))


MUTATIONS = {
    "create_flow_from_compressed_string": create_flow_from_compressed_string,
    "create_flow": create_flow,
    "register_tasks": structure.register_tasks,
    "register_edges": structure.register_edges,
    "archive_flow": archive_flow,
    "delete_flow": delete_flow,
    "update_flow_project": update_flow_project,
    "enable_flow_heartbeat": enable_flow_heartbeat,
    "disable_flow_heartbeat": disable_flow_heartbeat,
    "enable_flow_lazarus_process": enable_flow_lazarus_process,
    "disable_flow_lazarus_process": disable_flow_lazarus_process,
}
