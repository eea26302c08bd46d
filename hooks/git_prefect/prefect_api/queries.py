"""What is asked of a Prefect 1 API, and what it is told."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Optional

import msgspec

from ..core.json_input import Count, Name
from .client import ApiRefused, Connection, NoAnswerInTime
from .structure import ONE_EDGE_A_PAIR

PAGE = 100
"""Flows in one answer: each brings its whole structure, and the client gives an answer 15 s."""

_FLOW_FIELDS = """
    id name version is_schedule_active flow_group_id serialized_flow description
    project { id name }
    flow_group { labels schedule run_config default_parameters }
"""


_EDGES = """
    id edges { key mapped upstream_task { slug } downstream_task { slug } }
"""

# The types below are what an answer is held to; what else it brings is kept as it is.


class _Clock(msgspec.Struct):
    start_date: Optional[_StartDate] = None
    cron: Optional[str] = None
    interval: Optional[Count] = None
    dates: Optional[list[Any]] = None
    parameter_defaults: Optional[dict[str, Any]] = None


class _StartDate(msgspec.Struct):
    tz: Optional[str] = None


class _Schedule(msgspec.Struct):
    clocks: Optional[list[_Clock]] = None


class _Task(msgspec.Struct):
    slug: Name


class _Parameter(_Task):
    name: str


class _Edge(msgspec.Struct):
    upstream_task: _Task
    downstream_task: _Task
    key: Optional[str] = None


class _EdgeRow(_Edge, kw_only=True):
    mapped: bool


class _FlowEdges(msgspec.Struct):
    id: Name
    edges: list[_EdgeRow]


class _Storage(msgspec.Struct):
    type: Optional[Name] = None
    repo_host: Optional[Name] = None
    repo: Optional[Name] = None
    flow_path: Optional[Name] = None
    flow_name: Optional[Name] = None
    branch_name: Optional[Name] = None
    tag: Optional[Name] = None


class Serialized(msgspec.Struct):
    """What the server holds every flow to that is registered, and what Prefect's own schemas write."""

    tasks: Optional[list[_Task]] = None
    edges: Optional[list[_Edge]] = None
    parameters: Optional[list[_Parameter]] = None
    reference_tasks: Optional[list[_Task]] = None
    schedule: Optional[_Schedule] = None
    run_config: Optional[dict[str, Any]] = None
    storage: Optional[_Storage] = None


class _Run(msgspec.Struct):
    state: Optional[str] = None
    scheduled_start_time: Optional[str] = None


class _FlowOfGroup(msgspec.Struct):
    flow_runs: list[_Run]


class _FlowGroup(msgspec.Struct):
    labels: Optional[list[str]] = None
    schedule: Optional[_Schedule] = None
    run_config: Optional[dict[str, Any]] = None
    default_parameters: Optional[dict[str, Any]] = None
    flows: Optional[list[_FlowOfGroup]] = None


class _Project(msgspec.Struct):
    id: Name
    name: Name
    tenant_id: Optional[Name] = None


class FlowRow(msgspec.Struct):
    """A row of `flow`, as `_FLOW_FIELDS` and registered.py ask for it."""

    id: Name
    name: Name
    version: Count
    is_schedule_active: Optional[bool]
    flow_group_id: Name
    description: Optional[str]
    serialized_flow: Optional[Serialized]
    project: Optional[_Project]
    flow_group: Optional[_FlowGroup]


class _Tenant(msgspec.Struct):
    id: Name
    slug: Optional[Name]


class _Aggregate(msgspec.Struct):
    count: Count


class _FlowAggregate(msgspec.Struct):
    aggregate: _Aggregate


class _Flows(msgspec.Struct):
    tenant: list[_Tenant]
    project: list[_Project]
    flow_aggregate: _FlowAggregate
    flow: list[FlowRow]


class _Created(msgspec.Struct):
    id: Name


class _Done(msgspec.Struct):
    success: Optional[bool]


class RegisteredFlow(msgspec.Struct, frozen=True):
    """An unarchived version of a flow, as the API holds it."""

    id: str
    name: str
    project: str
    version: int
    flow_group_id: str
    schedule_active: bool
    serialized: dict[str, Any]
    description: str = ""
    """What was said when it was registered; the one that a person writes in the UI is the flow group's."""
    group: dict[str, Any] = {}
    """`labels`, `schedule`, `run_config` and `default_parameters` as set in the UI: they win over the code's."""

    @property
    def storage(self) -> dict[str, Any]:
        """The storage that its runs are loaded from."""
        return self.serialized.get("storage") or {}


class Registered(msgspec.Struct, frozen=True):
    """What one query told: the projects by name, and their unarchived flows."""

    project_ids: dict[str, str]
    flows: tuple[RegisteredFlow, ...]
    tenant_id: str
    tenant_slug: str

    def versions(self, project: str, flow: str) -> list[RegisteredFlow]:
        """The active versions of a flow, the newest first; one, unless clients have raced."""
        found = [one for one in self.flows if (one.project, one.name) == (project, flow)]
        return sorted(found, key=lambda one: one.version, reverse=True)

    def newest(self, project: str, flow: str) -> RegisteredFlow | None:
        """The active version of a flow, the newest if there is more than one."""
        return next(iter(self.versions(project, flow)), None)


class Api(Connection):
    """The queries and mutations of a registration."""

    def registered(
        self,
        projects: Sequence[str],
        names: Sequence[str] | None = None,
        storages: Sequence[dict[str, Any]] = (),
    ) -> Registered:
        """The projects by these names and their unarchived flows: one query.

        With `names`, only the flows that are called so, and those whose storage has all the values of one of
        `storages`. Only of our own tenant: a query by name alone crosses tenants.
        """
        condition: dict[str, Any] = {"archived": {"_eq": False}, "project": {"name": {"_in": list(projects)}}}
        if names is not None:
            held = [{"storage": {"_contains": one}} for one in storages]
            condition["_or"] = [{"name": {"_in": list(names)}}, *held]
        flows, data = self.flows(condition, _FLOW_FIELDS, projects)
        tenant = self.own_tenant(data["tenant"])
        project_ids = {one["name"]: one["id"] for one in data["project"] if one["tenant_id"] == tenant["id"]}
        known = [one for one in flows if one["project"]]
        own = [one for one in known if project_ids.get(one["project"]["name"]) == one["project"]["id"]]
        return Registered(project_ids, tuple(map(registered_flow, own)), tenant["id"], tenant["slug"] or "")

    def flows(
        self, condition: dict[str, Any], fields: str, projects: Sequence[str] = ()
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The rows of `flow` that a condition holds for, page by page, and the rest of the answer: tenants and projects."""
        flows: dict[str, dict[str, Any]] = {}
        page = PAGE
        while True:
            try:
                data = self.ask(
                    "query($projects: [String!], $flows: flow_bool_exp, $limit: Int, $offset: Int) {"
                    "  tenant { id slug }"
                    "  project(where: {name: {_in: $projects}}) { id name tenant_id }"
                    "  flow_aggregate(where: $flows) { aggregate { count } }"
                    f"  flow(where: $flows, order_by: [{{id: asc}}], limit: $limit, offset: $offset) {{ {fields} }}"
                    "}",
                    {"projects": list(projects), "flows": condition, "limit": page, "offset": len(flows)},
                    _Flows,
                )
            except NoAnswerInTime:
                # Large flows: fewer of them at once.
                if page == 1:
                    raise
                page = max(1, page // 10)
                continue
            before = len(flows)
            flows.update((row["id"], row) for row in data["flow"])
            if len(flows) == before or len(flows) >= data["flow_aggregate"]["aggregate"]["count"]:
                break
        self._add_edges(flows)
        return list(flows.values()), data

    def _add_edges(self, flows: Mapping[str, dict[str, Any]]) -> None:
        """Complete what `flow.register()` has registered: the API keeps its edges in their own table only."""
        apart = [one for one, row in flows.items() if (row["serialized_flow"] or {}).get("tasks") and "edges" not in row["serialized_flow"]]
        for start in range(0, len(apart), PAGE):
            data = self.ask(
                f"query($ids: [uuid!]) {{ flow(where: {{id: {{_in: $ids}}}}) {{ {_EDGES} }} }}",
                {"ids": apart[start : start + PAGE]},
                dict[Literal["flow"], list[_FlowEdges]],
            )
            for row in data["flow"]:
                flows[row["id"]]["serialized_flow"].update({"edges": row["edges"], ONE_EDGE_A_PAIR: True})

    def create_project(self, name: str, tenant_id: str) -> str:
        """Create a project, or find the one that another client created meanwhile; its id."""
        try:
            data = self.ask(
                "mutation($input: create_project_input!) { create_project(input: $input) { id } }",
                {"input": {"name": name, "tenant_id": tenant_id}},
                dict[Literal["create_project"], _Created],
            )
        except ApiRefused as error:
            if "Uniqueness violation" not in str(error):
                raise
            found = self.registered([name], []).project_ids.get(name)
            if found is None:
                raise
            return found
        created: str = data["create_project"]["id"]
        return created

    def create_flow(
        self, project_id: str, serialized: dict[str, Any], schedule_active: bool, description: str = ""
    ) -> str:
        """Register a new version of a flow, with a description in Markdown; its id.

        Without an idempotency key: the plan has compared structures, and after an error a retry with
        the same key would be answered with the old flow.
        """
        from prefect.utilities.graphql import compress

        data = self.ask(
            "mutation($input: create_flow_from_compressed_string_input!)"
            " { create_flow_from_compressed_string(input: $input) { id } }",
            {
                "input": {
                    "project_id": project_id,
                    "serialized_flow": compress(serialized),
                    "set_schedule_active": schedule_active,
                    "description": description or None,
                }
            },
            dict[Literal["create_flow_from_compressed_string"], _Created],
        )
        created: str = data["create_flow_from_compressed_string"]["id"]
        return created

    def archive(self, flow_id: str) -> bool:
        """Archive one version, for good: there is no way back. False when there is no such version any more.

        Its scheduled runs go, running ones go on; archiving what is archived already changes nothing.
        """
        return self._done("archive_flow", flow_id)

    def delete(self, flow_id: str) -> bool:
        """Delete one version with its runs and their logs. False when there is no such version any more."""
        return self._done("delete_flow", flow_id)

    def set_schedule(self, flow_id: str, active: bool) -> bool:
        """Resume or pause the schedule of one version, without a new version."""
        return self._done("set_schedule_active" if active else "set_schedule_inactive", flow_id)

    def _done(self, mutation: str, flow_id: str) -> bool:
        data = self.ask(
            f"mutation($input: {mutation}_input!) {{ {mutation}(input: $input) {{ success }} }}",
            {"input": {"flow_id": flow_id}},
            dict[str, _Done],
        )
        return bool(data[mutation]["success"])

    def page(self, tenant_slug: str, flow_group_id: str) -> str:
        """The flow's page in Prefect's UI, as `prefect register` links it (`Client.get_cloud_url`)."""
        import prefect

        api = self.address
        if ".prefect.io" in api:
            base = api.replace("api-", "", 1) if "api-" in api else re.sub("api", "cloud", api, count=1)
        else:
            base = prefect.config.server.ui.endpoint
        return "/".join(part for part in (base.rstrip("/"), tenant_slug, "flow", flow_group_id) if part)


def registered_flow(row: Mapping[str, Any]) -> RegisteredFlow:
    """A row of `flow` as our data."""
    return RegisteredFlow(
        row["id"], row["name"], row["project"]["name"], row["version"], row["flow_group_id"],
        bool(row["is_schedule_active"]), row["serialized_flow"] or {}, row["description"] or "", row["flow_group"] or {},
    )  # fmt: skip
