"""Projects (Prefect Server's ``api/projects.py``)."""

from __future__ import annotations

from typing import Any

from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.operations.call import Call, success


def create_project(call: Call) -> dict[str, Any]:
    """A new project; "Uniqueness violation." if its tenant has one of that name."""
    given = call.input
    project_id = call.database.insert(
        "project", tenant_id=given["tenant_id"], name=given["name"], description=given.get("description")
    )
    return {"id": project_id}


def delete_project(call: Call) -> dict[str, Any]:
    """Removes the project with its flows and their runs."""
    return success(call.database.delete("project", call.input["project_id"]))


def set_project_name(call: Call) -> dict[str, Any]:
    return _updated(call, name=call.input["name"])


def set_project_description(call: Call) -> dict[str, Any]:
    return _updated(call, description=call.input.get("description"))


def _updated(call: Call, **values: Any) -> dict[str, Any]:
    project_id = call.input["project_id"]
    if not call.database.update("project", project_id, **values):
        raise ApiError("Update failed")
    return {"id": project_id}


MUTATIONS = {
    "create_project": create_project,
    "delete_project": delete_project,
    "set_project_name": set_project_name,
    "set_project_description": set_project_description,
}
