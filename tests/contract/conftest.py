"""The contract of Prefect Server 1.x that the registration relies on, held against a running API.

The API is the one at GIT_PREFECT_CONTRACT_API; without that variable it is our development API, started for
the run. Only what every Prefect Server offers is used, so that the same tests can be run against a real one.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from typing import Any, Callable

import prefect
import pytest
import requests
from contract_flows import project_id
from prefect.utilities.configuration import set_temporary_config
from prefect.utilities.graphql import compress

from git_prefect.devserver.process import running

CREATE_FLOW = (
    "mutation($input: create_flow_from_compressed_string_input!) "
    "{ create_flow_from_compressed_string(input: $input) { id } }"
)


@pytest.fixture(scope="session")
def api_url() -> Iterator[str]:
    given = os.environ.get("GIT_PREFECT_CONTRACT_API")
    if given:
        yield given
    else:
        with running() as url:
            yield url


@pytest.fixture
def client(api_url: str, tmp_path: Any) -> Iterator[prefect.Client]:
    settings = {
        "backend": "server",
        "home_dir": str(tmp_path / "prefect-home"),
        "server.endpoint": api_url,
        "cloud.api": api_url,
        "cloud.api_key": None,
        "cloud.tenant_id": None,
    }
    with set_temporary_config(settings):
        yield prefect.Client()


@pytest.fixture
def project(client: prefect.Client) -> Iterator[str]:
    """A new project's name."""
    name = f"contract-{uuid.uuid4().hex}"
    client.create_project(name)
    yield name
    client.delete_project(name)


@pytest.fixture
def mutate(client: prefect.Client) -> Callable[..., Any]:
    """Calls a mutation whose argument is ``input`` and gives its payload."""

    def call(name: str, payload: str = "success", /, **given: Any) -> Any:
        query = f"mutation($input: {name}_input!) {{ {name}(input: $input) {{ {payload} }} }}"
        return json.loads(json.dumps(client.graphql(query, variables={"input": given})["data"][name]))

    return call


@pytest.fixture
def ask(client: prefect.Client) -> Callable[..., Any]:
    """Runs a query and gives its data as plain JSON."""

    def call(query: str, **variables: Any) -> Any:
        return json.loads(json.dumps(client.graphql(query, variables=variables)["data"]))

    return call


@pytest.fixture
def post(api_url: str) -> Callable[..., requests.Response]:
    """A bare request, without prefect.Client's retries."""

    def call(query: str, **variables: Any) -> requests.Response:
        return requests.post(api_url, json={"query": query, "variables": variables}, timeout=30)

    return call


@pytest.fixture
def register(client: prefect.Client, project: str) -> Callable[..., str]:
    """Registers a serialized flow in the project and gives the flow's id."""

    def call(serialized: dict[str, Any], **given: Any) -> str:
        given.setdefault("project_id", project_id(client, project))
        sent = {"serialized_flow": compress(serialized), **given}
        answer = client.graphql(CREATE_FLOW, variables={"input": sent}, retry_on_api_error=False)
        return str(answer.data.create_flow_from_compressed_string.id)

    return call


@pytest.fixture
def flows(ask: Callable[..., Any], project: str) -> Callable[..., list[dict[str, Any]]]:
    """The project's flows by version, with the columns that are asked for."""

    def call(columns: str) -> list[dict[str, Any]]:
        query = f"""query($project: String) {{
          flow(where: {{project: {{name: {{_eq: $project}}}}}}, order_by: [{{created: asc}}]) {{ {columns} }}
        }}"""
        found: list[dict[str, Any]] = ask(query, project=project)["flow"]
        return found

    return call
