"""States as JSON: their hierarchy (``prefect/engine/state.py``), and how a new one changes a run.

The last is what Postgres triggers do in Prefect Server (``update_flow_run_details_on_state_insert``).
"""

from __future__ import annotations

import json
from typing import Any

from git_prefect.devserver import times
from git_prefect.devserver.database import Database, Row
from git_prefect.devserver.errors import ApiError

PARENTS: dict[str, list[str]] = {
    "Pending": [],
    "Scheduled": ["Pending"],
    "Paused": ["Scheduled", "Pending"],
    "Resume": ["Scheduled", "Pending"],
    "Retrying": ["Scheduled", "Pending"],
    "ClientFailed": [],
    "Submitted": [],
    "Queued": [],
    "Running": [],
    "Cancelling": ["Running"],
    "Finished": [],
    "Looped": ["Finished"],
    "Success": ["Finished"],
    "Cached": ["Success", "Finished"],
    "Mapped": ["Success", "Finished"],
    "Skipped": ["Success", "Finished"],
    "Cancelled": ["Finished"],
    "Failed": ["Finished"],
    "TimedOut": ["Failed", "Finished"],
    "TriggerFailed": ["Failed", "Finished"],
    "ValidationFailed": ["Failed", "Finished"],
}
# Those for which an agent looks: see ``SCHEDULED_STATES`` in the server's ``api/runs.py``.
QUEUED = [name for name, parents in PARENTS.items() if name in ("Scheduled", "Queued") or "Scheduled" in parents]
_ENDED = ("Success", "Failed", "Cached", "TimedOut", "Looped", "Cancelled")
_MAXIMUM = 1_000_000  # bytes of one state


def is_a(state: dict[str, Any], kind: str) -> bool:
    """Whether a serialized state is of this class or of one derived from it."""
    name = state["type"]
    return name == kind or kind in PARENTS[name]


def checked(state: Any) -> dict[str, Any]:
    """A state that came in, in full. Raises ApiError for what is not a serialized state, or too large."""
    if len(json.dumps(state)) > _MAXIMUM:
        raise ApiError("State payload is too large.")
    return in_full(state)


def in_full(state: Any) -> dict[str, Any]:
    """A serialized state as Prefect's schemas write it, with all its fields, whatever it came with.

    Prefect is imported here, and only once a run has a state: see ``clocks``. Raises ApiError for what they refuse.
    """
    from marshmallow import ValidationError
    from prefect.serialization.state import StateSchema

    try:
        written: dict[str, Any] = StateSchema().load(state).serialize()
    except ValidationError as error:
        raise ApiError(str(error)) from error
    return written


def enter(database: Database, table: str, run: Row, state: dict[str, Any], version: int) -> None:
    """Puts a run (row of ``flow_run`` or ``task_run``) into this state, and the state into its history."""
    moment = times.now()
    start_time = state.get("start_time")
    common = {"message": state.get("message"), "start_time": start_time, "serialized_state": state}
    with database.transaction():
        database.insert(
            f"{table}_state",
            **{f"{table}_id": run["id"]},
            tenant_id=run["tenant_id"],
            timestamp=moment,
            state=state["type"],
            version=version,
            **common,
        )
        changed: Row = {
            "version": version,
            "state": state["type"],
            "state_timestamp": moment,
            "state_message": common["message"],
            "state_start_time": start_time,
            "serialized_state": state,
        }
        if state["type"] == "Running":
            changed["start_time"] = run["start_time"] or moment
            if "run_count" in run:
                changed["run_count"] = run["run_count"] + 1
        if state["type"] in _ENDED:
            changed["end_time"] = moment
        if is_a(state, "Running") or is_a(state, "Submitted"):
            changed["heartbeat"] = moment
        database.update(table, run["id"], **changed)
