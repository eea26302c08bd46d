"""Agents and their configurations (Prefect Server's ``api/agents.py``)."""

from __future__ import annotations

from typing import Any

from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.operations.call import Call, success


def register_agent(call: Call) -> dict[str, Any]:
    """A new agent, or the one that came before with the same name, type, labels and version of Prefect."""
    given = call.input
    if not given.get("tenant_id"):
        raise ApiError("No tenant found.")
    agent = {
        "tenant_id": given["tenant_id"],
        "name": given.get("name"),
        "type": given["type"],
        "core_version": call.headers.get("x-prefect-core-version"),
        "labels": sorted(given.get("labels") or []),
    }
    known = call.database.first("agent", **agent)
    if known is not None:
        return {"id": known["id"]}
    return {"id": call.database.insert("agent", agent_config_id=given.get("agent_config_id"), **agent)}


def delete_agent(call: Call) -> dict[str, Any]:
    return success(call.database.delete("agent", call.input["agent_id"]))


def create_agent_config(call: Call) -> dict[str, Any]:
    return {"id": call.database.insert("agent_config", **call.input)}


def update_agent_config(call: Call) -> dict[str, Any]:
    values = {name: call.input[name] for name in ("name", "settings") if call.input.get(name) is not None}
    return success(call.database.update("agent_config", call.input["agent_config_id"], **values))


def delete_agent_config(call: Call) -> dict[str, Any]:
    return success(call.database.delete("agent_config", call.input["agent_config_id"]))


MUTATIONS = {
    "register_agent": register_agent,
    "delete_agent": delete_agent,
    "create_agent_config": create_agent_config,
    "update_agent_config": update_agent_config,
    "delete_agent_config": delete_agent_config,
}
