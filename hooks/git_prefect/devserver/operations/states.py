"""Changes of state (Prefect Server's ``api/states.py``). Flow concurrency limits are left out.

The versions that come with a state are not compared with the run's: Prefect Server creates every flow group
with version locking off, and nothing in its API switches it on.
"""

from __future__ import annotations

from typing import Any

from git_prefect.devserver.database import Database
from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.operations import run_states
from git_prefect.devserver.operations.call import Call


def set_flow_run_states(call: Call) -> dict[str, Any]:
    """Status is SUCCESS for each run, or QUEUED if the state that was given is Queued."""
    states = []
    for given in call.input["states"]:
        state = run_states.checked(given["state"])
        _set_flow_run_state(call.database, given["flow_run_id"], state)
        agent_id = call.headers.get("x-prefect-agent-id")
        if state["type"] == "Submitted" and agent_id and call.database.first("agent", id=agent_id):
            call.database.update("flow_run", given["flow_run_id"], agent_id=agent_id)
        status = "QUEUED" if state["type"] == "Queued" else "SUCCESS"
        states.append({"id": given["flow_run_id"], "status": status})
    return {"states": states}


def set_task_run_states(call: Call) -> dict[str, Any]:
    """A task run can only be Running while its flow run is; cached inputs are carried from state to state."""
    states = []
    for given in call.input["states"]:
        state = run_states.checked(given["state"])
        _set_task_run_state(call.database, given["task_run_id"], state)
        states.append({"id": given["task_run_id"], "status": "SUCCESS"})
    return {"states": states}


def cancel_flow_run(call: Call) -> dict[str, Any]:
    """Running becomes Cancelling (the flow runner sees it and stops), unfinished becomes Cancelled."""
    return {"state": cancel(call.database, call.input["flow_run_id"])}


def cancel(database: Database, flow_run_id: str, message: str | None = None) -> str:
    """Cancels the run unless it is finished; answers the name of the state it then has."""
    run = database.first("flow_run", id=flow_run_id)
    if run is None:
        raise ApiError(f"Invalid flow run ID: {flow_run_id}.")
    if run_states.is_a(run["serialized_state"], "Finished"):
        return str(run["state"])
    running = run_states.is_a(run["serialized_state"], "Running")
    kind, text = ("Cancelling", "Flow run is cancelling") if running else ("Cancelled", "Flow run is cancelled")
    _set_flow_run_state(database, flow_run_id, run_states.in_full({"type": kind, "message": message or text}))
    return kind


def _set_flow_run_state(database: Database, run_id: str, state: dict[str, Any]) -> None:
    with database.transaction():
        run = database.first("flow_run", id=run_id)
        if run is None:
            raise ApiError(f"State update failed for flow run ID {run_id}")
        if run_states.is_a(state, "Cancelled"):
            for task_run in database.find("task_run", flow_run_id=run_id):
                if not run_states.is_a(task_run["serialized_state"], "Finished"):
                    run_states.enter(database, "task_run", task_run, state, task_run["version"] + 1)
        run_states.enter(database, "flow_run", run, state, run["version"] + 1)


def _set_task_run_state(database: Database, run_id: str, state: dict[str, Any]) -> None:
    with database.transaction():
        run = database.first("task_run", id=run_id)
        if run is None:
            raise ApiError(f"State update failed for task run ID {run_id}")
        flow_run = database.find("flow_run", id=run["flow_run_id"])[0]
        if run_states.is_a(state, "Running") and flow_run["state"] != "Running":
            raise ApiError(
                f"State update failed for task run ID {run_id}: provided a running state but associated "
                f"flow run {flow_run['id']} is not in a running state."
            )
        inputs = run["serialized_state"].get("cached_inputs")
        if inputs and not state.get("cached_inputs"):
            state = {**state, "cached_inputs": inputs}
        run_states.enter(database, "task_run", run, state, run["version"] + 1)


MUTATIONS = {
    "set_flow_run_states": set_flow_run_states,
    "set_task_run_states": set_task_run_states,
    "cancel_flow_run": cancel_flow_run,
}
