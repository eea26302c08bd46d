"""Queries and mutations, through `prefect.Client`."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from ..errors import GitPrefectError, NotAuthorised, OutOfReach, UsageError

PAGE = 100
"""Flows in one answer: each brings its whole structure, and the client gives an answer 15 s."""

_FLOW_FIELDS = """
    id name version archived is_schedule_active flow_group_id serialized_flow
    project { id name }
"""


class RegisteredFlow(NamedTuple):
    """An unarchived version of a flow, as the API holds it."""

    id: str
    name: str
    project: str
    version: int
    flow_group_id: str
    schedule_active: bool
    serialized: dict[str, Any]

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

    def holder(self, project: str, flow: str) -> RegisteredFlow | None:
        """The active version of a flow, the newest if there is more than one."""
        found = [one for one in self.flows if one.project == project and one.name == flow]
        return max(found, key=lambda one: one.version, default=None)


class Api:
    """A Prefect 1 API, Server or Cloud, reached with the address and key that Prefect itself is set to."""

    def __init__(self) -> None:
        """Read Prefect's configuration; nothing is asked of the API yet.

        Raises:
            UsageError: Prefect's own configuration cannot be used (a tenant id that is no UUID, …).
        """
        try:
            self._client = _client()
        except ValueError as error:
            raise UsageError(
                f"Prefect's configuration: {error}", "look at ~/.prefect/config.toml and PREFECT__CLOUD__*"
            ) from error

    @property
    def address(self) -> str:
        """The API's URL."""
        return str(self._client.api_server)

    def ask(self, query: str, variables: dict[str, Any], *fields: str) -> dict[str, Any]:
        """The `data` of a query or mutation, which has these root fields.

        Raises:
            OutOfReach: no connection, no answer in time, or an answer that is not the API's.
            NotAuthorised: the API refuses our key.
            ApiRefused: the API answered with errors.
        """
        import requests
        from prefect.exceptions import AuthorizationError, ClientError

        try:
            result = self._client.graphql(query, variables=variables, retry_on_api_error=False)
        except AuthorizationError as error:
            raise self._not_authorised(str(error)) from error
        except ClientError as error:
            if "Malformed response" in str(error):
                raise self._out_of_reach("it answered with something that is not JSON") from error
            said = _said(error)
            if query.startswith("query"):
                # Ours are valid: when the API answers one with errors, something behind it is out of order.
                raise self._out_of_reach(f"it answered with an error ({said})") from error
            raise ApiRefused(
                f"the Prefect API at {self.address} refused it: {said}", "look at the API's log"
            ) from error
        except requests.HTTPError as error:
            status = error.response.status_code if error.response is not None else 0
            if status in (401, 403):
                raise self._not_authorised(f"HTTP {status}") from error
            if status == 413:
                raise ApiRefused(
                    "HTTP 413: the request is larger than the API takes (5 MB)", "split the flow"
                ) from error
            raise self._out_of_reach(f"it answered HTTP {status}") from error
        except requests.Timeout as error:
            raise self._out_of_reach("it did not answer in time") from error
        except (requests.RequestException, OSError) as error:
            raise self._out_of_reach("no connection") from error
        except Exception as error:
            raise self._out_of_reach(f"it answered with something that is not a Prefect API's ({error!r})") from error
        data = result.get("data") if isinstance(result, dict) else None
        if not isinstance(data, dict) or any(data.get(field) is None for field in fields):
            raise self._out_of_reach("it answered with something that is not a Prefect API's")
        plain: dict[str, Any] = json.loads(json.dumps(data))
        return plain

    def _out_of_reach(self, fact: str) -> OutOfReach:
        return OutOfReach(
            f"the Prefect API at {self.address} is out of reach: {fact}",
            "is it the right one? It is set by `prefect backend …`, PREFECT__SERVER__ENDPOINT, PREFECT__CLOUD__API",
        )

    def _not_authorised(self, fact: str) -> NotAuthorised:
        return NotAuthorised(
            f"the Prefect API at {self.address} does not accept the API key ({fact})",
            "log in with `prefect auth login --key KEY`, or set PREFECT__CLOUD__API_KEY",
        )

    def registered(self, projects: Sequence[str], names: Sequence[str] | None = None) -> Registered:
        """The projects by these names and their unarchived flows (only those called `names`, if given): one query.

        Only of our own tenant: a query by name alone crosses tenants.
        """
        condition: dict[str, Any] = {"archived": {"_eq": False}, "project": {"name": {"_in": list(projects)}}}
        if names is not None:
            condition["name"] = {"_in": list(names)}
        flows: list[dict[str, Any]] = []
        while True:
            data = self.ask(
                "query($projects: [String!], $flows: flow_bool_exp, $limit: Int, $offset: Int) {"
                "  tenant { id slug }"
                "  project(where: {name: {_in: $projects}}) { id name tenant_id }"
                "  flow_aggregate(where: $flows) { aggregate { count } }"
                f"  flow(where: $flows, order_by: [{{id: asc}}], limit: $limit, offset: $offset) {{ {_FLOW_FIELDS} }}"
                "}",
                {"projects": list(projects), "flows": condition, "limit": PAGE, "offset": len(flows)},
                "tenant",
                "project",
                "flow_aggregate",
                "flow",
            )
            flows += data["flow"]
            if not data["flow"] or len(flows) >= data["flow_aggregate"]["aggregate"]["count"]:
                break
        tenant = self._own_tenant(data["tenant"])
        project_ids = {one["name"]: one["id"] for one in data["project"] if one["tenant_id"] == tenant["id"]}
        own = [one for one in flows if project_ids.get(one["project"]["name"]) == one["project"]["id"]]
        flows_of_ours = tuple(_registered_flow(one) for one in own)
        return Registered(project_ids, flows_of_ours, tenant["id"], tenant["slug"] or "")

    def _own_tenant(self, tenants: list[dict[str, Any]]) -> dict[str, Any]:
        # As `Client.tenant_id` decides, without asking again: the configured one, else the first.
        configured = self._client._tenant_id
        if configured is None and self._client.api_key:
            try:
                configured = self._client.tenant_id
            except Exception as error:
                raise self._not_authorised(str(error)) from error
        found = [one for one in tenants if configured in (None, one["id"])]
        if not found:
            raise UsageError(
                f"the Prefect API at {self.address} has no tenant {configured or ''}".rstrip(),
                "create one with `prefect server create-tenant`, or choose one with `prefect auth switch-tenants`",
            )
        return found[0]

    def create_project(self, name: str, tenant_id: str) -> str:
        """Create a project, or find the one that another client created meanwhile; its id."""
        try:
            data = self.ask(
                "mutation($input: create_project_input!) { create_project(input: $input) { id } }",
                {"input": {"name": name, "tenant_id": tenant_id}},
                "create_project",
            )
        except ApiRefused as error:
            if "Uniqueness violation" not in str(error):
                raise
            return self.registered([name], []).project_ids[name]
        created: str = data["create_project"]["id"]
        return created

    def create_flow(self, project_id: str, serialized: dict[str, Any], schedule_active: bool) -> str:
        """Register a new version of a flow; its id.

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
                }
            },
            "create_flow_from_compressed_string",
        )
        created: str = data["create_flow_from_compressed_string"]["id"]
        return created

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


class ApiRefused(GitPrefectError):
    """The API understood who we are and answered with errors."""


def _registered_flow(row: dict[str, Any]) -> RegisteredFlow:
    return RegisteredFlow(
        row["id"], row["name"], row["project"]["name"], row["version"], row["flow_group_id"],
        bool(row["is_schedule_active"]), row["serialized_flow"] or {},
    )  # fmt: skip


def _said(error: Exception) -> str:
    """The API's own words out of a client error."""
    first = error.args[0] if error.args else str(error)
    if isinstance(first, (list, tuple)) and first and isinstance(first[0], dict):
        return str(first[0].get("message") or first[0])
    lines = [line.strip() for line in str(first).splitlines() if line.strip()]
    return " ".join(lines) or "no reason given"


def _client() -> Any:
    import prefect
    import requests

    class Client(prefect.Client):  # type: ignore[misc]
        """Prefect's client over kept connections, and without its silent retries.

        Prefect retries every POST up to six times over a minute, on a refused connection and on 502
        alike: a person waits without a word, and a registration that was applied may be sent again.
        """

        _kept = threading.local()

        def _send_request(self, session: requests.Session, *args: Any, **kwargs: Any) -> requests.Response:
            if not hasattr(self._kept, "session"):
                self._kept.session = requests.Session()
            response: requests.Response = super()._send_request(self._kept.session, *args, **kwargs)
            return response

    return Client()
