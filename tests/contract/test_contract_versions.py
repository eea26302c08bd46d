from __future__ import annotations

import hashlib
import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import prefect
import pytest
from contract_flows import hourly, project_id, serialized
from prefect.cli.build_register import register_serialized_flow
from prefect.engine.state import Running, Scheduled
from prefect.exceptions import ClientError

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def test_a_registered_flow_can_be_read_back(register, flows, project):
    sent = serialized("etl", labels=("a",))
    flow_id = register(sent)
    assert flows(
        "id name version archived is_schedule_active schedule storage run_config parameters serialized_flow "
        "core_version description environment settings project { name } "
        "tasks_aggregate { aggregate { count } } "
        "edges { upstream_task { name } downstream_task { name } key mapped }"
    ) == [
        {
            "id": flow_id,
            "name": "etl",
            "version": 1,
            "archived": False,
            "is_schedule_active": False,
            "schedule": None,
            "storage": sent["storage"],
            "run_config": sent["run_config"],
            "parameters": [],
            "serialized_flow": sent,
            "core_version": sent["__version__"],
            "description": None,
            "environment": None,
            "settings": {},
            "project": {"name": project},
            "tasks_aggregate": {"aggregate": {"count": 2}},
            "edges": [
                {
                    "upstream_task": {"name": "extract"},
                    "downstream_task": {"name": "load"},
                    "key": "rows",
                    "mapped": False,
                }
            ],
        }
    ]


def test_the_version_group_comes_from_project_and_name(client, register, flows, project):
    register(serialized("one"))
    register(serialized("two"))
    register(serialized("one"))
    other = client.create_project(f"{project}-other")
    register(serialized("one"), project_id=other)
    found = flows("name version archived flow_group { id } version_group_id")
    assert [(flow["name"], flow["version"], flow["archived"]) for flow in found] == [
        ("one", 1, True),
        ("two", 1, False),
        ("one", 2, False),
    ]
    first, second, third = (flow["flow_group"]["id"] for flow in found)
    assert first == third != second
    client.delete_project(f"{project}-other")


def test_an_explicit_version_group_joins_flows_of_different_names(register, flows):
    group = uuid.uuid4().hex
    register(serialized("one"), version_group_id=group)
    register(serialized("two"), version_group_id=group)
    assert flows("name version archived") == [
        {"name": "one", "version": 1, "archived": True},
        {"name": "two", "version": 2, "archived": False},
    ]


def test_a_new_version_takes_the_schedule_over_and_lets_running_runs_go_on(client, register, ask):
    first = register(serialized("etl", schedule=hourly()))
    by_hand = client.create_flow_run(first)
    running = client.create_flow_run(first)
    client.set_flow_run_state(running, Running())
    second = register(serialized("etl", schedule=hourly()))
    query = "query($id: uuid) { flow_run(where: {flow_id: {_eq: $id}}, order_by: {created: asc}) { id state } }"
    assert ask(query, id=first)["flow_run"] == [
        {"id": by_hand, "state": "Cancelled"},
        {"id": running, "state": "Running"},
    ]
    assert [run["state"] for run in ask(query, id=second)["flow_run"]] == ["Scheduled"] * 10


def test_there_is_no_way_back_from_the_archive(mutate, register, flows):
    flow_id = register(serialized("etl"))
    assert mutate("archive_flow", flow_id=flow_id) == {"success": True}
    with pytest.raises(ClientError, match="unarchive_flow"):
        mutate("unarchive_flow", flow_id=flow_id)
    with pytest.raises(ClientError, match=f"Flow {flow_id} is archived."):
        mutate("create_flow_run", "id", flow_id=flow_id)
    assert flows("archived") == [{"archived": True}]


def test_a_renamed_flow_leaves_its_old_name_active(register, flows):
    register(serialized("before"))
    register(serialized("after"))
    assert flows("name archived version") == [
        {"name": "before", "archived": False, "version": 1},
        {"name": "after", "archived": False, "version": 1},
    ]


def test_archiving_and_deleting_an_unknown_flow_is_no_error(mutate):
    assert mutate("archive_flow", flow_id=UNKNOWN) == {"success": False}
    assert mutate("delete_flow", flow_id=UNKNOWN) == {"success": False}


def test_deleting_a_version_leaves_the_others_and_the_group(mutate, register, flows, ask):
    first = register(serialized("etl"))
    second = register(serialized("etl"))
    group = flows("flow_group_id")[0]["flow_group_id"]
    assert mutate("delete_flow", flow_id=second) == {"success": True}
    assert flows("id archived") == [{"id": first, "archived": True}]
    mutate("delete_flow", flow_id=first)
    assert ask("query($id: uuid!) { flow_group_by_pk(id: $id) { id flows { id } } }", id=group) == {
        "flow_group_by_pk": {"id": group, "flows": []}
    }


def test_prefect_client_registers_tasks_and_edges_apart_from_the_flow(client, flows, project):
    """The server keeps the tasks in the serialized flow as well, and the edges in their table only."""

    @prefect.task
    def number(x):
        return x

    with prefect.Flow("etl") as flow:
        number.map(number.map(prefect.Parameter("xs", default=[1])))
    with pytest.warns(UserWarning):
        flow_id = client.register(flow, project, build=False, no_url=True)
    (found,) = flows("id serialized_flow tasks(order_by: {slug: asc}) { slug mapped } edges { mapped }")
    sent = flow.serialize()
    assert "edges" not in found["serialized_flow"]
    assert found["serialized_flow"]["tasks"] == sent["tasks"]
    assert found == {
        "id": flow_id,
        "serialized_flow": found["serialized_flow"],
        "tasks": [
            {"slug": "number-1", "mapped": True},
            {"slug": "number-2", "mapped": True},
            {"slug": "xs", "mapped": False},
        ],
        "edges": [{"mapped": True}, {"mapped": True}],
    }


def test_tasks_and_edges_that_the_flow_has_are_left_as_they_are(register, mutate, flows):
    sent = serialized("etl")
    flow_id = register(sent)
    more = [{**sent["tasks"][0], "name": "another"}, {**sent["tasks"][0], "slug": "more-1"}]
    assert mutate("register_tasks", flow_id=flow_id, serialized_tasks=more) == {"success": True}
    (edge,) = sent["edges"]
    # Of several edges between two tasks the server keeps one.
    again = [{**edge, "key": "other"}, {**edge, "downstream_task": {"slug": "more-1"}}]
    assert mutate("register_edges", flow_id=flow_id, serialized_edges=[*again, again[1]]) == {"success": True}
    (found,) = flows("serialized_flow tasks(order_by: {slug: asc}) { slug } edges(order_by: {created: asc}) { key }")
    assert found == {
        "serialized_flow": {**sent, "tasks": [*sent["tasks"], more[1]]},
        "tasks": [{"slug": "extract-1"}, {"slug": "load-1"}, {"slug": "more-1"}],
        "edges": [{"key": "rows"}, {"key": "rows"}],
    }
    gone = [{**edge, "downstream_task": {"slug": "gone"}}]
    with pytest.raises(ClientError, match="some edges reference tasks that do not exist within this flow"):
        mutate("register_edges", flow_id=flow_id, serialized_edges=gone)


def test_a_flow_without_tasks_is_kept_with_an_empty_list(register, flows):
    register({"name": "etl"})
    assert flows("serialized_flow") == [{"serialized_flow": {"name": "etl", "tasks": []}}]


def test_the_prefect_command_registers_only_what_changed(client, project, flows):
    identity = project_id(client, project)
    sent = serialized("etl")
    first = register_serialized_flow(client, json.loads(json.dumps(sent)), identity)
    again = register_serialized_flow(client, json.loads(json.dumps(sent)), identity)
    forced = register_serialized_flow(client, json.loads(json.dumps(sent)), identity, force=True)
    assert [first[1:], again, forced[1:]] == [(1, True), (first[0], 1, False), (2, True)]
    assert flows("version archived") == [{"version": 1, "archived": True}, {"version": 2, "archived": False}]


def test_the_key_of_the_prefect_command_is_a_hash_of_the_flow(client, project, flows):
    sent = serialized("etl")
    register_serialized_flow(client, sent, project_id(client, project))
    key = hashlib.sha256(json.dumps(sent, sort_keys=True).encode()).hexdigest()
    assert flows("flow_group { settings }")[0]["flow_group"]["settings"]["idempotency_key"] == key


def test_different_flows_may_be_registered_side_by_side(client, project, flows):
    identity = project_id(client, project)
    names = [f"flow-{number}" for number in range(8)]

    def register(name):
        return register_serialized_flow(client, {"name": name}, identity)[1:]

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(register, names)) == [(1, True)] * 8
    found = sorted(flows("name version archived"), key=lambda flow: flow["name"])
    assert found == [{"name": name, "version": 1, "archived": False} for name in names]


def test_a_version_group_runs_its_unarchived_version(client, register, flows, ask):
    register(serialized("etl"))
    second = register(serialized("etl"))
    group = flows("version_group_id")[0]["version_group_id"]
    run = client.create_flow_run(version_group_id=group, scheduled_start_time=Scheduled().start_time)
    assert client.get_flow_run_info(run).flow_id == second
