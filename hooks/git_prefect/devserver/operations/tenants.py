"""Tenants (Prefect Server's ``api/tenants.py``)."""

from __future__ import annotations

import re
from typing import Any

from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.operations.call import Call, success


def create_tenant(call: Call) -> dict[str, Any]:
    slug = _checked(call.input["slug"])
    return {"id": call.database.insert("tenant", name=call.input["name"], slug=slug)}


def delete_tenant(call: Call) -> dict[str, Any]:
    if not call.input["confirm"]:
        raise ApiError("Must pass `confirm=True` to proceed.")
    return success(call.database.delete("tenant", call.input["tenant_id"]))


def update_tenant_name(call: Call) -> dict[str, Any]:
    return _updated(call, name=call.input["name"])


def update_tenant_slug(call: Call) -> dict[str, Any]:
    return _updated(call, slug=_checked(call.input["slug"]))


def update_tenant_settings(call: Call) -> dict[str, Any]:
    tenant = call.database.first("tenant", id=call.input["tenant_id"])
    settings = {**(tenant or {}).get("settings", {}), **(call.input.get("settings") or {})}
    return _updated(call, settings=settings)


def _updated(call: Call, **values: Any) -> dict[str, Any]:
    tenant_id = call.input["tenant_id"]
    if not call.database.update("tenant", tenant_id, **values):
        raise ApiError("Invalid tenant id.")
    return {"id": tenant_id}


def _checked(slug: str) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug):
        raise ApiError('Slug must be "slugified" (lowercase; no spaces)')
    return slug


MUTATIONS = {
    "create_tenant": create_tenant,
    "delete_tenant": delete_tenant,
    "update_tenant_name": update_tenant_name,
    "update_tenant_slug": update_tenant_slug,
    "update_tenant_settings": update_tenant_settings,
}
