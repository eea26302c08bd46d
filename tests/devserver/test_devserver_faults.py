from __future__ import annotations

import pytest
import requests
from prefect import Client
from prefect.cli.build_register import register_serialized_flow
from prefect.utilities.configuration import set_temporary_config

CREATE = "mutation($input: create_tenant_input!) { create_tenant(input: $input) { id } }"


@pytest.fixture
def fault(api_url):
    """Adds faults; they are gone after the test."""

    def call(*faults):
        return requests.post(f"{api_url}/_fault", json=list(faults), timeout=30)

    yield call
    assert requests.delete(f"{api_url}/_fault", timeout=30).json() == {"waiting": 0}


@pytest.fixture
def create(post):
    """Creates a tenant with this slug, so that one can see whether a request was executed."""
    return lambda slug: post(CREATE, input={"name": slug, "slug": slug})


@pytest.fixture
def exists(post):
    query = "query($slug: String) { tenant(where: {slug: {_eq: $slug}}) { slug } }"
    return lambda slug: post(query, slug=slug).json()["data"]["tenant"] == [{"slug": slug}]


@pytest.mark.parametrize(
    ("given", "status", "body"),
    [
        (
            {"kind": "status", "status": 502, "message": "Bad gateway"},
            502,
            {"errors": [{"message": "Bad gateway", "extensions": {"code": "INTERNAL_SERVER_ERROR"}}]},
        ),
        (
            {"kind": "error", "message": "Try later", "code": "API_ERROR"},
            200,
            {"errors": [{"message": "Try later", "extensions": {"code": "API_ERROR"}}], "data": None},
        ),
    ],
    ids=["status", "error"],
)
def test_a_refusal_executes_nothing(fault, create, exists, request, given, status, body):
    slug = f"refused-{given['kind']}"
    assert fault({"match": "create_tenant", **given}).json() == {"waiting": 1}
    answer = create(slug)
    assert (answer.status_code, answer.json()) == (status, body)
    assert not exists(slug)
    assert create(slug).status_code == 200
    assert exists(slug)


def test_a_page_instead_of_json(fault, create, exists):
    fault({"kind": "html", "status": 504, "message": "Gateway timeout"})
    answer = create("page")
    assert (answer.status_code, answer.headers["content-type"]) == (504, "text/html; charset=utf-8")
    assert "<pre>Gateway timeout</pre>" in answer.text
    assert not exists("page")


@pytest.mark.parametrize(("kind", "executed"), [("drop-before", False), ("drop-after", True)])
def test_a_dropped_connection(fault, create, exists, kind, executed):
    fault({"match": "create_tenant", "kind": kind})
    with pytest.raises(requests.ConnectionError):
        create(kind)
    assert exists(kind) is executed


def test_prefects_client_repeats_what_was_dropped_and_so_registers_twice(api_url, fault, tmp_path):
    settings = {
        "backend": "server",
        "server.endpoint": api_url,
        "cloud.api": api_url,
        "home_dir": str(tmp_path),
    }
    with set_temporary_config(settings):
        client = Client()
        project = client.create_project("dropped")
        fault({"match": "create_flow_from_compressed_string", "kind": "drop-after"})
        register_serialized_flow(client, {"name": "etl"}, project, force=True)
        query = """query($id: uuid) {
          flow(where: {project_id: {_eq: $id}}, order_by: {version: asc}) { version archived }
        }"""
        assert client.graphql(query, variables={"id": project})["data"]["flow"] == [
            {"version": 1, "archived": True},
            {"version": 2, "archived": False},
        ]


def test_an_error_after_the_deed(fault, create, exists):
    fault({"match": "create_tenant", "kind": "error-after", "message": "Oh"})
    assert create("after").json()["errors"][0]["message"] == "Oh"
    assert exists("after")


def test_a_delay(fault, create, exists):
    fault({"match": "create_tenant", "kind": "delay", "seconds": 0.2})
    answer = create("delay")
    assert answer.status_code == 200
    assert answer.elapsed.total_seconds() >= 0.2
    assert exists("delay")


def test_faults_come_in_order_and_so_many_times(fault, post):
    fault({"match": "hello", "kind": "status", "status": 500, "times": 2}, {"kind": "status", "status": 501})
    statuses = [post(query).status_code for query in ("{ hello }", "{ api { mode } }", "{ hello }", "{ hello }")]
    assert statuses == [500, 501, 500, 200]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["x"],
            "a fault is an object with keys among code, kind, match, message, seconds, status, times; got 'x'",
        ),
        ([{"kind": "drop-before", "after": 1}], "a fault is an object with keys among"),
        (
            [{"kind": "boom"}],
            "kind must be one of status, html, drop-before, drop-after, delay, error, error-after",
        ),
        ([{}], "kind must be one of"),
    ],
)
def test_a_fault_that_cannot_be(fault, given, message):
    answer = fault(*given)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(message)


def test_requests_are_counted(api_url, post):
    counted = f"{api_url}/_requests"
    requests.delete(counted, timeout=30)
    post("{ hello flow { id } }")
    post("{ greeting: hello }")
    post("{ no such query")
    assert requests.get(counted, timeout=30).json() == {"requests": 3, "fields": {"hello": 2, "flow": 1}}
    assert requests.delete(counted, timeout=30).json() == {"requests": 0, "fields": {}}
