"""What is asked of a Prefect 1 API, and what it is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..core.json_shape import Name
from .client import ApiRefused, Connection, NoAnswerInTime

PAGE = 100
"""Flows in one answer: each brings its whole structure, and the client gives an answer 15 s."""

_FLOW_FIELDS = """
    id name version is_schedule_active flow_group_id serialized_flow description
    project { id name }
    flow_group { labels schedule run_config default_parameters }
"""


_SCHEDULE = {
    "clocks*": [
        {"start_date*": {"tz*": str}, "cron*": str, "interval*": int, "dates*": list, "parameter_defaults*": dict}
    ]
}
_SLUG = {"slug": Name}
SERIALIZED = {
    "tasks*": [_SLUG], "edges*": [{"upstream_task": _SLUG, "downstream_task": _SLUG, "key*": str}],
    "parameters*": [{**_SLUG, "name": str}], "reference_tasks*": [_SLUG], "schedule*": _SCHEDULE, "run_config*": dict,
    "storage*": dict.fromkeys(("type*", "repo_host*", "repo*", "flow_path*", "flow_name*", "branch_name*", "tag*"), Name),
}  # fmt: skip
"""What the server holds every flow to that is registered, and what Prefect's own schemas write."""

FLOW = {
    "id": Name, "name": Name, "version": int, "is_schedule_active": (bool, None), "flow_group_id": Name,
    "description": (str, None), "serialized_flow": (SERIALIZED, None),
    "project": ({"id": Name, "name": Name, "tenant_id*": Name}, None),
    "flow_group": (
        {
            "labels*": [str], "schedule*": _SCHEDULE, "run_config*": dict, "default_parameters*": dict,
            "flows*": [{"flow_runs": [{"state*": str, "scheduled_start_time*": str}]}],
        },
        None,
    ),
}  # fmt: skip
"""A row of `flow`, as `_FLOW_FIELDS` and held.py ask for it."""


class RegisteredFlow(NamedTuple):
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


class Registered(NamedTuple):
    """What one query told: the projects by name, and their unarchived flows."""

    project_ids: dict[str, str]
    flows: tuple[RegisteredFlow, ...]
    tenant_id: str
    tenant_slug: str

    def versions(self, project: str, flow: str) -> list[RegisteredFlow]:
        """The active versions of a flow, the newest first; one, unless clients have raced."""
        found = [one for one in self.flows if (one.project, one.name) == (project, flow)]
        return sorted(found, key=lambda one: one.version, reverse=True)

    def holder(self, project: str, flow: str) -> RegisteredFlow | None:
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
                    {
                        "tenant": [{"id": Name, "slug": (Name, None)}],
                        "project": [{"id": Name, "name": Name, "tenant_id": (Name, None)}],
                        "flow_aggregate": {"aggregate": {"count": int}},
                        "flow": [FLOW],
                    },
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
        return list(flows.values()), data

    def create_project(self, name: str, tenant_id: str) -> str:
        """Create a project, or find the one that another client created meanwhile; its id."""
        try:
            data = self.ask(
                "mutation($input: create_project_input!) { create_project(input: $input) { id } }",
                {"input": {"name": name, "tenant_id": tenant_id}},
                {"create_project": {"id": Name}},
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
            {"create_flow_from_compressed_string": {"id": Name}},
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
            {mutation: {"success": (bool, None)}},
        )
        return bool(data[mutation]["success"])

    def page(self, tenant_slug: str, flow_group_id: str) -> str:
        """The flow's page in Prefect's UI, as `prefect register` links it (`Client.get_cloud_url`)."""
        import re

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
