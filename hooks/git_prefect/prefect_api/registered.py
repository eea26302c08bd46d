"""What Prefect holds of a repository: its active flows, in whatever project and from whatever ref, in one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import msgspec
from msgspec.structs import asdict

from ..core.model import GitStorage
from .ownership import same_repository
from .queries import Api, RegisteredFlow, registered_flow
from .run_configs import describe_runtime
from .structure import schedule_in_words

_BEGUN = """{_or: [
    {start_time: {_is_null: false}}, {state: {_nin: ["Scheduled", "Pending", "Queued", "Resume", "Cancelled"]}}
]}"""
# A run whose flow cannot be loaded fails without a start time.
_FIELDS = f"""
    id name version is_schedule_active flow_group_id serialized_flow description
    project {{ id name tenant_id }}
    flow_group {{
        labels schedule run_config default_parameters
        flows(where: {{flow_runs: {_BEGUN}}}, order_by: [{{version: desc}}], limit: 1) {{
            flow_runs(where: {_BEGUN}, order_by: [{{scheduled_start_time: desc}}], limit: 1) {{ state scheduled_start_time }}
        }}
    }}
"""


class ActiveFlow(msgspec.Struct, frozen=True):
    """An active flow whose storage is the repository."""

    flow: RegisteredFlow
    last_run: str
    """State of the last run that has begun, of whatever version; empty when none has."""
    last_run_at: str
    """When it was to start, as the API writes it; empty when none has begun."""
    page: str
    """The flow's page in Prefect's UI."""

    @property
    def path(self) -> str:
        """The flow file, as its storage names it."""
        return str(self.flow.storage.get("flow_path") or "")

    @property
    def loads(self) -> str | None:
        """The flow that an agent takes out of the file; None: the first, since the storage names none."""
        return self.flow.storage.get("flow_name") or None

    @property
    def schedule(self) -> str:
        """The schedule that counts, in words: the one that is set in the UI, else the code's; empty for none."""
        schedule = self.flow.group.get("schedule") or self.flow.serialized.get("schedule")
        return schedule_in_words(schedule) if schedule else ""

    @property
    def runtime(self) -> str:
        """The run config that counts, in words: the one that is set in the UI, else the one that was registered."""
        return describe_runtime(self.flow.group.get("run_config") or self.flow.serialized.get("run_config") or {})


def active_flows(api: Api, where: GitStorage, names: Sequence[str] | None = None) -> list[ActiveFlow]:
    """The active flows of our tenant whose storage is this repository (only those with one of these names), by project and name.

    The API is asked for the spellings of the path that Prefect can clone by; host and path are then compared as a
    registration compares them, whatever the protocol and the port.

    Raises:
        OutOfReach, NotAuthorised: the API.
    """
    condition: dict[str, Any] = {
        "archived": {"_eq": False},
        "_or": [{"storage": {"_contains": {"type": "Git", "repo": repo}}} for repo in _spellings(where.repo)],
    }
    if names is not None:
        condition["name"] = {"_in": list(names)}
    rows, data = api.flows(condition, _FIELDS)
    tenant = api.own_tenant(data["tenant"])
    found = [
        _active_flow(api, row, tenant["slug"] or "")
        for row in rows
        if row["project"] and row["project"].get("tenant_id") == tenant["id"]
    ]
    own = [one for one in found if same_repository(one.flow.storage, asdict(where))]
    return sorted(own, key=lambda one: (one.flow.project, one.flow.name, -one.flow.version))


def _spellings(repo: str) -> list[str]:
    """How storages may write the path of a repository: as it is or in lower case, with or without `/` and `.git`."""
    plain = repo.strip("/")
    written = product(("", "/"), dict.fromkeys((plain, plain.lower())), ("", ".git"))
    return ["".join(parts) for parts in written]


def _active_flow(api: Api, row: Mapping[str, Any], tenant_slug: str) -> ActiveFlow:
    runs = [run for flow in (row["flow_group"] or {}).get("flows") or [] for run in flow["flow_runs"]]
    last = runs[0] if runs else {}
    flow = registered_flow(row)
    page = api.page(tenant_slug, flow.flow_group_id)
    return ActiveFlow(flow, last.get("state") or "", last.get("scheduled_start_time") or "", page)
