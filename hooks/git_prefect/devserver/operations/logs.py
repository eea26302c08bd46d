"""Logs and task run artifacts (Prefect Server's ``api/logs.py`` and ``api/artifacts.py``)."""

from __future__ import annotations

from typing import Any

from git_prefect.devserver import times
from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.operations.call import Call, success


def write_run_logs(call: Call) -> dict[str, Any]:
    """Logs without a time get the present one, those without a level are INFO."""
    moment = times.now()
    with call.database.transaction():
        for log in call.input["logs"]:
            run = call.database.first("flow_run", id=log["flow_run_id"]) or {}
            filled = {"timestamp": log.get("timestamp") or moment, "level": log.get("level") or "INFO"}
            call.database.insert("log", **{**log, **filled, "tenant_id": run.get("tenant_id")})
    return success(True)


def create_task_run_artifact(call: Call) -> dict[str, Any]:
    given = call.input
    run = call.database.first("task_run", id=given["task_run_id"])
    if run is None:
        raise ApiError(f"Task run {given['task_run_id']} not found")
    tenant_id = given.get("tenant_id") or run["tenant_id"]
    artifact_id = call.database.insert(
        "task_run_artifact",
        tenant_id=tenant_id,
        task_run_id=run["id"],
        kind=given["kind"],
        data=given["data"],
    )
    return {"id": artifact_id}


def update_task_run_artifact(call: Call) -> dict[str, Any]:
    given = call.input
    return success(call.database.update("task_run_artifact", given["task_run_artifact_id"], data=given["data"]))


def delete_task_run_artifact(call: Call) -> dict[str, Any]:
    return success(call.database.delete("task_run_artifact", call.input["task_run_artifact_id"]))


MUTATIONS = {
    "write_run_logs": write_run_logs,
    "create_task_run_artifact": create_task_run_artifact,
    "update_task_run_artifact": update_task_run_artifact,
    "delete_task_run_artifact": delete_task_run_artifact,
}
