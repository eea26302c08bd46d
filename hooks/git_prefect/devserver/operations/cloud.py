"""What only Prefect Cloud has: whose key this is, and the key-value store."""

from __future__ import annotations

from typing import Any

from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.operations.call import Call, success


def auth_info(call: Call) -> dict[str, Any]:
    return {"tenant_id": _tenant(call)}


def set_key_value(call: Call) -> dict[str, Any]:
    entry = {"tenant_id": _tenant(call), "key": call.input["key"]}
    known = call.database.first("key_value", **entry)
    if known is None:
        return {"id": call.database.insert("key_value", **entry, value=call.input["value"])}
    call.database.update("key_value", known["id"], value=call.input["value"])
    return {"id": known["id"]}


def delete_key_value(call: Call) -> dict[str, Any]:
    return success(call.database.delete("key_value", call.input["key_value_id"]))


def _tenant(call: Call) -> str:
    """The tenant that the request names, else the first one."""
    wanted = call.headers.get("x-prefect-tenant-id")
    tenant = call.database.first("tenant", id=wanted) if wanted else call.database.first("tenant")
    if tenant is None:
        raise ApiError("Unauthorized", "UNAUTHENTICATED")
    return str(tenant["id"])


QUERIES = {"auth_info": auth_info}
MUTATIONS = {"set_key_value": set_key_value, "delete_key_value": delete_key_value}
