from __future__ import annotations

import pytest
import requests
from contract_flows import project_id, serialized
from prefect.exceptions import ClientError

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"unheard-of": {"a": 1}}, id="unknown keys"),
        pytest.param({"name": ""}, id="empty name"),
        pytest.param({"storage": None}, id="no storage"),
    ],
)
def test_validation_is_thin(register, flows, change):
    sent = {**serialized("etl"), **change}
    register(sent)
    assert flows("name storage serialized_flow") == [
        {"name": sent["name"], "storage": sent["storage"], "serialized_flow": sent}
    ]


def test_an_edge_to_an_unknown_task_is_an_internal_error_and_leaves_no_flow(register, flows):
    sent = serialized("etl")
    sent["edges"][0]["upstream_task"]["slug"] = "gone"
    with pytest.raises(ClientError, match="An internal API error occurred"):
        register(sent)
    assert flows("id") == []


def test_what_is_no_compressed_flow_is_refused(client, project, mutate):
    with pytest.raises(ClientError, match="Unable to decompress serialized flow"):
        mutate(
            "create_flow_from_compressed_string",
            "id",
            serialized_flow="42",
            project_id=project_id(client, project),
        )


def test_an_error_of_one_field_is_http_200_with_data_beside_it(client, project, post, ask):
    def create(name: str) -> str:
        return f'create_project(input: {{name: "{name}", tenant_id: "{client.tenant_id}"}}) {{ id }}'

    answer = post(f"mutation {{ first: {create(project + '-a')} second: {create(project)} }}")
    body = answer.json()
    assert answer.status_code == 200
    assert [(error["message"], error["path"]) for error in body["errors"]] == [("Uniqueness violation.", ["second"])]
    assert body["data"]["second"] is None
    # the first mutation is not taken back
    found = ask("query($n: String) { project(where: {name: {_eq: $n}}) { id } }", n=project + "-a")["project"]
    assert found == [body["data"]["first"]]
    client.delete_project(project + "-a")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("query { flow(", "GRAPHQL_PARSE_FAILED"),
        ("query { flow { no_such_field } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query { no_such_table { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query { flow(where: {no_such_column: {_eq: 1}}) { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ('query { flow(where: {name: {_equals: "x"}}) { id } }', "GRAPHQL_VALIDATION_FAILED"),
        ("query { flow(no_such_argument: 1) { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query { flow(order_by: {name: sideways}) { id } }", "GRAPHQL_VALIDATION_FAILED"),
        ("query { flow(limit: many) { id } }", "GRAPHQL_VALIDATION_FAILED"),
        (f'mutation {{ archive_flow(input: {{flow_id: "{UNKNOWN}", force: true}}) {{ success }} }}', None),
    ],
)
def test_what_the_schema_does_not_know_is_http_400(post, query, code):
    answer = post(query)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["extensions"]["code"] == code or code is None


def test_an_unknown_key_within_variables_is_http_400(post):
    query = "mutation($input: archive_flow_input!) { archive_flow(input: $input) { success } }"
    answer = post(query, input={"flow_id": UNKNOWN, "force": True})
    assert answer.status_code == 400
    assert '"force"' in answer.json()["errors"][0]["message"].replace("'", '"')


def nested(levels: int) -> str:
    """A query whose deepest field lies so many levels below the root's."""
    inner = "id"
    for level in range(levels):
        inner = f"{'flows' if level % 2 else 'project'} {{ {inner} }}"
    return f"query {{ ... {{ {'project' if inner.startswith('flows') else 'flow'}(limit: 0) {{ {inner} }} }} }}"


def test_queries_may_be_seven_levels_deep(post):
    assert post(nested(6)).status_code == 200
    answer = post(nested(7))
    assert answer.status_code == 400
    assert [error["message"] for error in answer.json()["errors"]] == ["'' exceeds maximum operation depth of 7"]


def test_a_body_above_five_megabytes_is_http_413_in_html(post):
    answer = post("query($a: String) { flow(where: {name: {_eq: $a}}) { id } }", a="x" * (5 * 1024 * 1024))
    assert (answer.status_code, answer.headers["content-type"]) == (413, "text/html; charset=utf-8")
    assert "PayloadTooLargeError" in answer.text


def test_a_body_that_is_not_json_is_an_html_error(api_url):
    answer = requests.post(api_url, data="{query", headers={"content-type": "application/json"}, timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
    answer = requests.post(api_url, data="query { hello }", headers={"content-type": "text/plain"}, timeout=30)
    assert answer.status_code == 500
    answer = requests.post(api_url, json="{ hello }", timeout=30)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "text/html; charset=utf-8")
    answer = requests.get(api_url, timeout=30)
    assert (answer.status_code, answer.text) == (400, "GET query missing.")


def test_an_argument_of_json_is_json_or_a_string_of_it_and_one_of_uuid_is_an_id(post, register, ask):
    def create(parameters: str, flow_id: str) -> requests.Response:
        given = f'flow_id: "{flow_id}", parameters: {parameters}'
        declared = "($one: JSON)" if "$one" in parameters else ""
        return post(f"mutation{declared} {{ create_flow_run(input: {{{given}}}) {{ id }} }}", one=1)

    flow_id = register(serialized("etl"))
    query = "query($id: uuid!) { flow_run_by_pk(id: $id) { parameters } }"
    for written in (r'"{\"n\": 1, \"deep\": [{\"a\": null}]}"', "{n: 1, deep: [{a: null}]}", "{n: $one, deep: [{a: null}]}"):
        answer = create(written, UNKNOWN)
        assert (answer.status_code, answer.json()["errors"][0]["message"]) == (200, f"Flow {UNKNOWN} not found")
        run = create(written, flow_id).json()["data"]["create_flow_run"]["id"]
        assert ask(query, id=run)["flow_run_by_pk"] == {"parameters": {"n": 1, "deep": [{"a": None}]}}
    assert create(r'"{}"', "mine").status_code == 400


def test_an_id_that_is_none_is_an_error_of_the_field(post):
    answer = post('query { flow(where: {id: {_eq: "mine"}}) { id } }')
    assert answer.status_code == 200
    assert [error["message"] for error in answer.json()["errors"]] == ['invalid input syntax for type uuid: "mine"']


def test_hello(client):
    assert "hello" in client.graphql("query { hello }").data


def test_several_requests_may_come_in_one_body(api_url):
    batch = [{"query": "{ first: hello }"}, {"query": "{ tenant(limit: 0) { id } }"}]
    answers = requests.post(api_url, json=batch, timeout=30).json()
    assert [list(answer["data"]) for answer in answers] == [["first"], ["tenant"]]


STATE = {"type": "Success"}


@pytest.mark.parametrize(
    ("mutation", "payload", "given", "said"),
    [
        ("set_project_name", "id", {"project_id": UNKNOWN, "name": "x"}, "Update failed"),
        ("register_agent", "id", {"type": "Local"}, "No tenant found."),
        ("set_task_run_name", "success", {"task_run_id": UNKNOWN, "name": ""}, "Invalid name"),
        ("cancel_flow_run", "state", {"flow_run_id": UNKNOWN}, f"Invalid flow run ID: {UNKNOWN}."),
        (
            "set_flow_run_states", "states { id }", {"states": [{"flow_run_id": UNKNOWN, "state": STATE}]},
            f"State update failed for flow run ID {UNKNOWN}",
        ),
        (
            "set_task_run_states", "states { id }", {"states": [{"task_run_id": UNKNOWN, "state": STATE}]},
            f"State update failed for task run ID {UNKNOWN}",
        ),
        (
            "create_task_run_artifact", "id", {"task_run_id": UNKNOWN, "kind": "markdown", "data": {}},
            f"Task run {UNKNOWN} not found",
        ),
        ("get_or_create_task_run", "id", {"flow_run_id": UNKNOWN, "task_id": UNKNOWN}, "Invalid ID"),
        ("get_or_create_task_run_info", "id", {"flow_run_id": UNKNOWN, "task_id": UNKNOWN}, "Invalid task ID"),
        (
            "update_flow_project", "id", {"flow_id": UNKNOWN, "project_id": UNKNOWN}, "Invalid flow or project ID.",
        ),
        ("enable_flow_heartbeat", "success", {"flow_id": UNKNOWN}, "Invalid flow ID."),
        (
            "register_edges", "success", {"flow_id": UNKNOWN, "serialized_edges": []},
            "'NoneType' object has no attribute 'tasks'",
        ),
        (
            "register_tasks", "success", {"flow_id": UNKNOWN, "serialized_tasks": []},
            "'NoneType' object has no attribute 'serialized_flow'",
        ),
        (
            "delete_tenant", "success", {"tenant_id": UNKNOWN, "confirm": False},
            "Must pass `confirm=True` to proceed.",
        ),
        ("create_flow_run", "id", {}, "A flow id or version group ID must be provided."),
        ("create_project", "id", {"tenant_id": UNKNOWN, "name": "x"}, "Foreign key violation."),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_named(post, mutation, payload, given, said):
    query = f"mutation($input: {mutation}_input!) {{ {mutation}(input: $input) {{ {payload} }} }}"
    answer = post(query, input=given)
    body = answer.json()
    assert (answer.status_code, body["data"]) == (200, {mutation: None})
    assert [error["message"] for error in body["errors"]] == [said]


def test_task_run_information_of_a_run_that_does_not_exist(post):
    query = "query($id: UUID!) { get_task_run_info(task_run_id: $id) { id } }"
    (error,) = post(query, id=UNKNOWN).json()["errors"]
    assert error["message"] == "Invalid task run ID"


def test_agents_and_their_configurations_that_are_gone_answer_success_false(mutate):
    assert mutate("delete_agent", agent_id=UNKNOWN) == {"success": False}
    assert mutate("delete_agent_config", agent_config_id=UNKNOWN) == {"success": False}
    assert mutate("update_agent_config", agent_config_id=UNKNOWN, name="x") == {"success": False}


def test_variables_that_are_no_json_and_a_request_without_a_query_are_answered_without_json(api_url, client):
    whole = {"query": "{ tenant { id } }"}
    for request, said in (
        ({**whole, "variables": "{"}, "Variables are invalid JSON."),
        ([whole, {**whole, "variables": "{"}], "Variables are invalid JSON."),
        ({"variables": {}}, "Must provide query string."),
        ({"query": ""}, "Must provide query string."),
        ({"query": 1}, "GraphQL queries must be strings."),
    ):
        answer = requests.post(api_url, json=request, timeout=30)
        assert (answer.status_code, answer.text) == (400, said)
    answer = requests.post(api_url, data="query { hello }", headers={"content-type": "text/plain"}, timeout=30)
    assert (answer.status_code, answer.text) == (500, "POST body missing. Did you forget use body-parser middleware?")
    assert requests.post(api_url, json={**whole, "variables": ""}, timeout=30).status_code == 200


def test_there_is_no_mutation_for_all_children_of_a_mapped_task(post):
    given = f'flow_run_id: "{UNKNOWN}", task_id: "{UNKNOWN}", max_map_index: 1'
    answer = post(f"mutation {{ get_or_create_mapped_task_run_children(input: {{{given}}}) {{ ids }} }}")
    assert answer.status_code == 400
    assert "get_or_create_mapped_task_run_children" in answer.json()["errors"][0]["message"]
