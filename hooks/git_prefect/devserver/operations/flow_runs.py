"""Flow runs and the queue that agents ask for (Prefect Server's ``api/runs.py``)."""

from __future__ import annotations

import secrets
from typing import Any

from git_prefect.devserver import times
from git_prefect.devserver.database import Database, Row
from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.operations import run_states, task_runs
from git_prefect.devserver.operations.call import Call, success

_QUEUE_LIMIT = 15  # runs that an agent gets at a time: ``queued_runs_returned_limit``
_ADJECTIVES = [
    "amber",
    "brisk",
    "calm",
    "dapper",
    "eager",
    "fuzzy",
    "gentle",
    "hazel",
    "ivory",
    "jolly",
    "keen",
    "lively",
    "mellow",
    "noble",
]
_ANIMALS = [
    "badger",
    "crane",
    "dingo",
    "egret",
    "falcon",
    "gecko",
    "heron",
    "ibis",
    "jackal",
    "koala",
    "lemur",
    "marten",
    "newt",
    "otter",
]


def create_flow_run(call: Call) -> dict[str, Any]:
    """A run of the flow, or of the group's unarchived version; a known idempotency key gives its run."""
    given = call.input
    if not given.get("flow_id") and not given.get("version_group_id"):
        raise ApiError("A flow id or version group ID must be provided.")
    return {"id": create(call.database, **given)}


def create(
    database: Database,
    flow_id: str | None = None,
    version_group_id: str | None = None,
    parameters: dict[str, Any] | None = None,
    context: dict[str, Any] | None = None,
    labels: list[str] | None = None,
    run_config: dict[str, Any] | None = None,
    scheduled_start_time: str | None = None,
    flow_run_name: str | None = None,
    idempotency_key: str | None = None,
    auto_scheduled: bool = False,
) -> str:
    """Creates the run, with a task run for each task, and schedules it. Times are text; answers the run's id.

    Raises ApiError if there is no such flow, if it is archived or if a required parameter has no value.
    """
    flow = _flow_to_run(database, flow_id, version_group_id)
    if idempotency_key is not None:
        known = database.first("flow_run", flow_id=flow["id"], idempotency_key=idempotency_key)
        if known is not None:
            return str(known["id"])
    if flow["archived"]:
        raise ApiError(f"Flow {flow['id']} is archived.")
    group = database.find("flow_group", id=flow["flow_group_id"])[0]
    # Prefect Server passes over defaults that are false: 0, "" and the like.
    own = {item["name"]: item["default"] for item in flow["parameters"] if item["default"]}
    values = {**own, **group["default_parameters"], **(parameters or {})}
    missing = {item["name"] for item in flow["parameters"] if item["required"]} - set(values)
    if missing:
        raise ApiError(f"Required parameters were not supplied: {missing}")
    moment = times.normal(scheduled_start_time) if scheduled_start_time else times.now()
    with database.transaction():
        run_id = database.insert(
            "flow_run",
            tenant_id=flow["tenant_id"],
            flow_id=flow["id"],
            labels=sorted(_labels(flow, group, run_config, labels)),
            run_config=run_config or group["run_config"] or flow["run_config"],
            parameters=values,
            context=context or {},
            scheduled_start_time=moment,
            auto_scheduled=auto_scheduled,
            times_resurrected=0,
            name=flow_run_name or f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_ANIMALS)}",
            idempotency_key=idempotency_key,
        )
        run = database.find("flow_run", id=run_id)[0]
        run_states.enter(database, "flow_run", run, {"type": "Pending", "message": "Flow run created"}, 0)
        task_runs.create_for_all_tasks(database, run)
        scheduled = {"type": "Scheduled", "message": "Flow run scheduled.", "start_time": moment}
        run_states.enter(database, "flow_run", run, run_states.in_full(scheduled), 1)
    return run_id


def _flow_to_run(database: Database, flow_id: str | None, version_group_id: str | None) -> Row:
    if flow_id:
        flow = database.first("flow", id=flow_id)
        if flow is None:
            raise ApiError(f"Flow {flow_id} not found")
        return flow
    found = database.find("flow", version_group_id=version_group_id, archived=False)
    if not found:
        raise ApiError(f"Version group {version_group_id} has no unarchived flows.")
    return max(found, key=lambda flow: int(flow["version"]))


def _labels(flow: Row, group: Row, run_config: dict[str, Any] | None, labels: list[str] | None) -> list[str]:
    """The run's own labels, else those of its run config, else the flow group's, else the flow's."""
    if labels is not None:
        return labels
    if run_config is not None:
        return list(run_config.get("labels") or [])
    if group["labels"] is not None:
        return list(group["labels"])
    source = flow["run_config"] if flow["run_config"] is not None else flow["environment"] or {}
    return list(source.get("labels") or [])


def delete_flow_run(call: Call) -> dict[str, Any]:
    return success(call.database.delete("flow_run", call.input["flow_run_id"]))


def set_flow_run_name(call: Call) -> dict[str, Any]:
    if not call.input["name"]:
        raise ApiError("Invalid name")
    return success(call.database.update("flow_run", call.input["flow_run_id"], name=call.input["name"]))


def set_flow_run_labels(call: Call) -> dict[str, Any]:
    labels = sorted(call.input["labels"])
    return success(call.database.update("flow_run", call.input["flow_run_id"], labels=labels))


def update_flow_run_heartbeat(call: Call) -> dict[str, Any]:
    """Always a success: Prefect Server writes heartbeats in the background."""
    call.database.update("flow_run", call.input["flow_run_id"], heartbeat=times.now())
    return success(True)


def get_runs_in_queue(call: Call) -> dict[str, Any]:
    """The runs that are due and whose labels the agent has all of; an agent with labels gets none without."""
    before = call.input.get("before") or times.now()
    labels = set(call.input.get("labels") or [])
    marks = ", ".join("?" * len(run_states.QUEUED))
    found = call.database.rows(
        f"SELECT id FROM flow_run WHERE tenant_id = ? AND ("
        f"(state IN ({marks}) AND state_start_time <= ?) OR (state = 'Running' AND EXISTS ("
        f"SELECT 1 FROM task_run WHERE task_run.flow_run_id = flow_run.id "
        f"AND task_run.state IN ({marks}) AND task_run.state_start_time <= ?))) "
        f"ORDER BY state_start_time LIMIT ?",
        [call.input["tenant_id"], *(run_states.QUEUED + [before]) * 2, _QUEUE_LIMIT * 3],
    )
    ready = []
    for row in found:
        wanted = set(call.database.find("flow_run", id=row["id"])[0]["labels"])
        if wanted <= labels and (wanted or not labels):
            ready.append(row["id"])
    agent_id = call.headers.get("x-prefect-agent-id")
    if agent_id:
        call.database.update("agent", agent_id, last_queried=times.now())
    return {"flow_run_ids": ready[:_QUEUE_LIMIT]}


MUTATIONS = {
    "create_flow_run": create_flow_run,
    "delete_flow_run": delete_flow_run,
    "set_flow_run_name": set_flow_run_name,
    "set_flow_run_labels": set_flow_run_labels,
    "update_flow_run_heartbeat": update_flow_run_heartbeat,
    "get_runs_in_queue": get_runs_in_queue,
}
