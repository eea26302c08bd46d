from __future__ import annotations

import datetime

import pendulum
import prefect
import pytest
from contract_flows import serialized, with_parameter
from prefect.backend import FlowRunView, FlowView, TenantView
from prefect.engine.state import Cancelled, Failed, Pending, Retrying, Running, Scheduled, Submitted, Success
from prefect.exceptions import ClientError
from prefect.run_configs import LocalRun

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def flow_id(register):
    return register(serialized("etl", labels=("x",)))


@pytest.fixture
def run(client, flow_id):
    return client.create_flow_run(flow_id)


def kind(state):
    return type(state).__name__, state.message


def test_a_new_run_is_scheduled_and_has_a_run_for_each_task(client, flow_id, project, ask):
    start = pendulum.datetime(2031, 1, 2, 3, 4, 5)
    run = client.create_flow_run(
        flow_id, context={"a": 1}, run_name="mine", scheduled_start_time=start, labels=["b", "a"]
    )
    info = client.get_flow_run_info(run)
    assert (info.id, info.name, info.flow_id, info.version) == (run, "mine", flow_id, 1)
    assert (info.parameters, info.context, info.project.name) == ({}, {"a": 1}, project)
    assert info.scheduled_start_time == start
    assert (kind(info.state), info.state.start_time) == (("Scheduled", "Flow run scheduled."), start)
    assert sorted((task.task_slug, task.version, kind(task.state)) for task in info.task_runs) == [
        ("extract-1", 1, ("Pending", "Task run created")),
        ("load-1", 1, ("Pending", "Task run created")),
    ]
    states = ask(
        "query($id: uuid!) { task_run(where: {flow_run_id: {_eq: $id}}) { states { version state message } } }", id=run
    )["task_run"]
    assert states == [{"states": [{"version": 1, "state": "Pending", "message": "Task run created"}]}] * 2
    query = """query($id: uuid!) { flow_run_by_pk(id: $id) {
      labels state state_message start_time end_time auto_scheduled
      states(order_by: {version: asc}) { version state message }
    } }"""
    assert ask(query, id=run)["flow_run_by_pk"] == {
        "labels": ["a", "b"],
        "state": "Scheduled",
        "state_message": "Flow run scheduled.",
        "start_time": None,
        "end_time": None,
        "auto_scheduled": False,
        "states": [
            {"version": 0, "state": "Pending", "message": "Flow run created"},
            {"version": 1, "state": "Scheduled", "message": "Flow run scheduled."},
        ],
    }


def test_parameters(client, register):
    flow_id = register(with_parameter("etl", required=True))
    with pytest.raises(ClientError, match="Required parameters were not supplied"):
        client.create_flow_run(flow_id)
    run = client.create_flow_run(flow_id, parameters={"n": [1, {"a": None}]})
    assert client.get_flow_run_info(run).parameters == {"n": [1, {"a": None}]}


def test_a_default_is_filled_in_unless_it_is_false(client, register, mutate, ask):
    def parameters_of(flow_id, **given):
        return client.get_flow_run_info(client.create_flow_run(flow_id, **given)).parameters

    flow_id = register(with_parameter("etl", required=False))
    assert parameters_of(flow_id) == {"n": 1}
    assert parameters_of(flow_id, parameters={"n": 0, "m": 2}) == {"n": 0, "m": 2}
    query = "query($id: uuid!) { flow_by_pk(id: $id) { flow_group_id } }"
    group = ask(query, id=flow_id)["flow_by_pk"]["flow_group_id"]
    mutate("set_flow_group_default_parameters", flow_group_id=group, parameters={"n": 7})
    assert parameters_of(flow_id) == {"n": 7}
    sent = with_parameter("false", required=False)
    sent["parameters"][0]["default"] = 0
    assert parameters_of(register(sent)) == {}


def test_an_unknown_flow_cannot_run(client):
    with pytest.raises(ClientError, match=f"Flow {UNKNOWN} not found"):
        client.create_flow_run(UNKNOWN)
    with pytest.raises(ClientError, match="Version group none has no unarchived flows."):
        client.create_flow_run(version_group_id="none")


def test_a_run_goes_through_its_states(client, run, ask):
    client.set_flow_run_state(run, Submitted(state=Scheduled()), version=1)
    client.set_flow_run_state(run, Running("Running flow."), version=99)
    assert kind(client.get_flow_run_state(run)) == ("Running", "Running flow.")
    client.set_flow_run_state(run, Success("Done.", result=None))
    query = """query($id: uuid!) { flow_run_by_pk(id: $id) {
      version state state_message serialized_state start_time end_time heartbeat state_timestamp
    } }"""
    found = ask(query, id=run)["flow_run_by_pk"]
    assert found["start_time"] <= found["end_time"] == found["state_timestamp"]
    assert found["heartbeat"] is not None
    assert (found["version"], found["state"], found["state_message"]) == (4, "Success", "Done.")
    assert found["serialized_state"]["type"] == "Success"


def test_the_state_of_an_unknown_run_cannot_be_set(client):
    with pytest.raises(ClientError, match=f"State update failed for flow run ID {UNKNOWN}"):
        client.set_flow_run_state(UNKNOWN, Running())
    with pytest.raises(ClientError, match=f"State update failed for task run ID {UNKNOWN}"):
        client.set_task_run_state(UNKNOWN, Pending())
    with pytest.raises(ClientError, match=f'Flow run ID not found: "{UNKNOWN}"'):
        client.get_flow_run_info(UNKNOWN)


def test_what_is_no_state_is_refused(mutate, run):
    for state in (
        {"type": "Dancing"},
        {"message": "no type"},
        {"type": "Success", "message": "x" * 1_000_001},
    ):
        with pytest.raises(ClientError):
            mutate("set_flow_run_states", "states { status }", states=[{"flow_run_id": run, "state": state}])


def test_a_task_runs_only_within_a_running_flow(client, run):
    (task, _) = sorted(client.get_flow_run_info(run).task_runs, key=lambda info: info.task_slug)
    with pytest.raises(ClientError, match="is not in a running state"):
        client.set_task_run_state(task.id, Running())
    client.set_flow_run_state(run, Running())
    assert kind(client.set_task_run_state(task.id, Running("Starting."))) == ("Running", "Starting.")
    client.set_task_run_state(task.id, Failed("Broken."))
    assert kind(client.get_task_run_state(task.id)) == ("Failed", "Broken.")
    info = client.get_task_run_info(run, task.task_id)
    assert (info.id, info.task_id, info.version, kind(info.state)) == (
        task.id,
        task.task_id,
        3,
        ("Failed", "Broken."),
    )


def test_mapped_task_runs_are_created_on_demand(client, run, mutate, ask):
    task = client.get_flow_run_info(run).task_runs[0]
    first = client.get_task_run_info(run, task.task_id, map_index=0)
    assert (first.version, kind(first.state)) == (0, ("Pending", "Task run created"))
    again = client.get_task_run_info(run, task.task_id, map_index=0)
    assert (again.id, again.version) == (first.id, 1)
    key = {"flow_run_id": run, "task_id": task.task_id}
    assert mutate("get_or_create_task_run", "id", map_index=0, **key) == {"id": first.id}
    query = """query($run: uuid, $task: uuid) { task_run(
      where: {flow_run_id: {_eq: $run}, task_id: {_eq: $task}}, order_by: {map_index: asc}
    ) { map_index state } }"""
    assert ask(query, run=run, task=task.task_id)["task_run"] == [
        {"map_index": -1, "state": "Pending"},
        {"map_index": 0, "state": "Pending"},
    ]
    with pytest.raises(ClientError, match="Invalid task ID"):
        client.get_task_run_info(run, UNKNOWN)


def test_logs(client, run):
    moment = pendulum.datetime(2031, 1, 1)
    common = {"flow_run_id": run, "name": "prefect.CloudFlowRunner", "level": "INFO", "task_run_id": None}
    messages = ("second", 2), ("first", 1)
    client.write_run_logs(
        [{**common, "message": text, "timestamp": moment.add(seconds=at).isoformat()} for text, at in messages]
    )
    view = FlowRunView.from_flow_run_id(run)
    found = view.get_logs(end_time=moment.add(days=1))
    assert [(log.message, log.level, log.timestamp) for log in found] == [
        ("first", 20, moment.add(seconds=1)),
        ("second", 20, moment.add(seconds=2)),
    ]
    with pytest.raises(ClientError, match="LOUD"):
        client.write_run_logs([{**common, "message": "x", "level": "LOUD"}])


def test_names_labels_and_heartbeats(client, run, mutate, ask):
    task = client.get_flow_run_info(run).task_runs[0]
    assert client.set_flow_run_name(run, "renamed") is True
    assert client.set_task_run_name(task.id, "step") is True
    assert mutate("set_flow_run_labels", flow_run_id=run, labels=["b", "a"]) == {"success": True}
    client.update_flow_run_heartbeat(run)
    assert mutate("update_task_run_heartbeat", task_run_id=task.id) == {"success": True}
    with pytest.raises(ClientError, match="Invalid name"):
        client.set_flow_run_name(run, "")
    query = (
        'query($id: uuid!) { flow_run_by_pk(id: $id) { name labels } task_run(where: {name: {_eq: "step"}, '
        "flow_run_id: {_eq: $id}}) { id } }"
    )
    assert ask(query, id=run) == {
        "flow_run_by_pk": {"name": "renamed", "labels": ["a", "b"]},
        "task_run": [{"id": task.id}],
    }


def test_artifacts(client, run, ask):
    task = client.get_flow_run_info(run).task_runs[0]
    artifact = client.create_task_run_artifact(task.id, "markdown", {"markdown": "# A"})
    client.update_task_run_artifact(artifact, {"markdown": "# B"})
    query = "query($id: uuid) { task_run_artifact(where: {task_run_id: {_eq: $id}}) { id kind data } }"
    assert ask(query, id=task.id)["task_run_artifact"] == [
        {"id": artifact, "kind": "markdown", "data": {"markdown": "# B"}}
    ]
    client.delete_task_run_artifact(artifact)
    assert ask(query, id=task.id)["task_run_artifact"] == []


@pytest.mark.parametrize(
    ("before", "after", "message", "tasks"),
    [
        (None, "Cancelled", "Flow run is cancelled", "Cancelled"),
        (Running(), "Cancelling", "Flow run is cancelling", "Pending"),
        (Success("Done."), "Success", "Done.", "Pending"),
    ],
)
def test_cancelling(client, run, before, after, message, tasks):
    if before is not None:
        client.set_flow_run_state(run, before)
    assert client.cancel_flow_run(run) == after
    info = client.get_flow_run_info(run)
    assert kind(info.state) == (after, message)
    assert {type(task.state).__name__ for task in info.task_runs} == {tasks}


def test_a_cancelled_run_leaves_what_is_finished(client, run):
    first, second = sorted(client.get_flow_run_info(run).task_runs, key=lambda info: info.task_slug)
    client.set_flow_run_state(run, Running())
    client.set_task_run_state(first.id, Success("Done."))
    client.set_flow_run_state(run, Cancelled("Enough."))
    assert (kind(client.get_task_run_state(first.id)), kind(client.get_task_run_state(second.id))) == (
        ("Success", "Done."),
        ("Cancelled", "Enough."),
    )


def test_states_are_kept_as_prefects_schemas_write_them(client, run, mutate, ask):
    task = client.get_flow_run_info(run).task_runs[0]
    mutate("set_flow_run_states", "states { status }", states=[{"flow_run_id": run, "state": {"type": "Running"}}])
    mutate("set_task_run_states", "states { status }", states=[{"task_run_id": task.id, "state": {"type": "Failed"}}])
    for table, given, made in ("flow_run", run, Running()), ("task_run", task.id, Failed()):
        query = f"query($id: uuid!) {{ {table}_by_pk(id: $id) {{ serialized_state }} }}"
        found = ask(query, id=given)[f"{table}_by_pk"]["serialized_state"]
        assert found.pop("__version__") and found["_result"].pop("__version__")
        wanted = made.serialize()
        assert wanted.pop("__version__") == wanted["_result"].pop("__version__") == prefect.__version__
        assert found == wanted


def test_a_task_run_keeps_the_inputs_that_it_had(client, run, mutate, ask):
    task = client.get_flow_run_info(run).task_runs[0]
    inputs = {"rows": {"type": "NoResultType", "__version__": "1"}}
    for state in ({"type": "Pending", "cached_inputs": inputs}, {"type": "Retrying"}):
        mutate("set_task_run_states", "states { status }", states=[{"task_run_id": task.id, "state": state}])
    query = "query($id: uuid!) { task_run_by_pk(id: $id) { state state_start_time serialized_state } }"
    found = ask(query, id=task.id)["task_run_by_pk"]
    kept = found["serialized_state"]
    assert (kept["type"], list(kept["cached_inputs"]), kept["cached_inputs"]["rows"]["type"]) == (
        "Retrying", ["rows"], "NoResultType",
    )  # fmt: skip
    # One that says not when it starts starts now.
    begun = pendulum.parse(found["state_start_time"])
    assert abs(pendulum.now("UTC") - begun) < datetime.timedelta(minutes=1)


def queue(client, mutate, labels, **when):
    answer = mutate("get_runs_in_queue", "flow_run_ids", tenant_id=client.tenant_id, labels=labels, **when)
    return answer["flow_run_ids"]


def test_an_agent_gets_the_runs_that_it_has_all_labels_of(client, register, mutate, project):
    x, y = f"{project}-x", f"{project}-y"
    one = client.create_flow_run(register(serialized("one", labels=(x,))))
    both = client.create_flow_run(register(serialized("both", labels=(x, y))))
    assert queue(client, mutate, [x]) == [one]
    assert queue(client, mutate, [y, x]) == [one, both]
    assert queue(client, mutate, [y]) == []
    assert set(queue(client, mutate, [])).isdisjoint({one, both})


def test_a_run_without_labels_is_for_agents_without(client, register, mutate, project):
    run = client.create_flow_run(register(serialized("none")))
    assert run in queue(client, mutate, [])
    assert run not in queue(client, mutate, [project])
    client.cancel_flow_run(run)
    assert run not in queue(client, mutate, [])


def test_a_run_is_in_the_queue_once_it_is_due(client, register, mutate, project):
    flow_id = register(serialized("etl", labels=(project,)))
    start = pendulum.now("UTC").add(minutes=5)
    run = client.create_flow_run(flow_id, scheduled_start_time=start)
    assert queue(client, mutate, [project]) == []
    assert queue(client, mutate, [project], before=start.add(seconds=1).isoformat()) == [run]
    client.set_flow_run_state(run, Submitted(state=Scheduled()))
    assert queue(client, mutate, [project], before=start.add(seconds=1).isoformat()) == []


def test_a_running_flow_with_a_task_to_retry_is_in_the_queue(client, register, mutate, project):
    run = client.create_flow_run(register(serialized("etl", labels=(project,))))
    client.set_flow_run_state(run, Running())
    assert queue(client, mutate, [project]) == []
    task = client.get_flow_run_info(run).task_runs[0]
    client.set_task_run_state(task.id, Retrying(start_time=pendulum.now("UTC").subtract(seconds=1), run_count=1))
    assert queue(client, mutate, [project]) == [run]


def test_agents(client, mutate, ask, project):
    agent = client.register_agent("LocalAgent", name=project, labels=["b", "a"])
    assert client.register_agent("LocalAgent", name=project, labels=["a", "b"]) == agent
    client.attach_headers({"X-PREFECT-AGENT-ID": agent})
    queue(client, mutate, ["a", "b"])
    query = "query($id: uuid!) { agent_by_pk(id: $id) { name type labels core_version last_queried } }"
    found = ask(query, id=agent)["agent_by_pk"]
    asked = pendulum.parse(found.pop("last_queried"))
    assert abs(pendulum.now("UTC") - asked) < datetime.timedelta(minutes=1)
    assert found == {
        "name": project,
        "type": "LocalAgent",
        "labels": ["a", "b"],
        "core_version": prefect.__version__,
    }
    assert mutate("delete_agent", agent_id=agent) == {"success": True}


def test_prefects_views_of_the_api(client, flow_id, run, project):
    flow = FlowView.from_flow_id(flow_id)
    assert (flow.flow_id, flow.name, flow.project_name, flow.archived) == (flow_id, "etl", project, False)
    assert flow.run_config.serialize() == serialized("etl", labels=("x",))["run_config"]
    view = FlowRunView.from_flow_run_id(run)
    assert (view.flow_id, view.labels, view.parameters, kind(view.state)[0]) == (
        flow_id,
        ["x"],
        {},
        "Scheduled",
    )
    assert view.run_config.serialize() == flow.run_config.serialize()
    assert TenantView.from_current_tenant().tenant_id == client.tenant_id
    assert client.get_cloud_url("flow", flow_id).endswith(f"/flow/{flow_id}")


def test_a_run_config_of_its_own(client, flow_id, ask):
    config = LocalRun(env={"A": "1"}, labels=["own"])
    run = client.create_flow_run(flow_id, run_config=config)
    query = "query($id: uuid!) { flow_run_by_pk(id: $id) { labels run_config } }"
    assert ask(query, id=run)["flow_run_by_pk"] == {"labels": ["own"], "run_config": config.serialize()}


def test_settings_of_a_flow(flow_id, mutate, ask):
    assert mutate("disable_flow_heartbeat", flow_id=flow_id) == {"success": True}
    assert mutate("disable_flow_lazarus_process", flow_id=flow_id) == {"success": True}
    query = "query($id: uuid!) { flow_by_pk(id: $id) { flow_group { settings } } }"
    assert ask(query, id=flow_id)["flow_by_pk"]["flow_group"]["settings"] == {
        "heartbeat_enabled": False,
        "disable_heartbeat": True,
        "lazarus_enabled": False,
        "version_locking_enabled": False,
        "idempotency_key": None,
    }
    assert mutate("enable_flow_heartbeat", flow_id=flow_id) == {"success": True}
    assert mutate("enable_flow_lazarus_process", flow_id=flow_id) == {"success": True}
    assert ask(query, id=flow_id)["flow_by_pk"]["flow_group"]["settings"] == {
        "heartbeat_enabled": True,
        "disable_heartbeat": False,
        "lazarus_enabled": True,
        "version_locking_enabled": False,
        "idempotency_key": None,
    }


def test_the_runs_of_mapped_tasks(client, run, mutate, ask):
    parent = next(one for one in client.get_flow_run_info(run).task_runs if one.task_slug == "load-1")

    def child(index):
        key = {"flow_run_id": run, "task_id": parent.task_id, "map_index": index}
        return mutate("get_or_create_task_run", "id", **key)["id"]

    children = [child(0), child(1)]
    assert len(set(children)) == 2
    # Asked for again, with one more.
    assert [child(0), child(1)] == children
    child(2)
    client.set_flow_run_state(run, state=Running())
    client.set_task_run_state(children[0], state=Running())
    client.set_task_run_state(children[0], state=Success())
    query = "query($id: UUID!) { mapped_children(task_run_id: $id) { min_start_time max_end_time state_counts } }"
    told = ask(query, id=parent.id)["mapped_children"]
    assert told["state_counts"] == {"Pending": 2, "Success": 1}
    assert told["min_start_time"] <= told["max_end_time"]
    assert mutate("set_task_run_name", task_run_id=children[0], name="first") == {"success": True}
    query = "query($id: uuid!) { task_run_by_pk(id: $id) { name } }"
    assert ask(query, id=children[0])["task_run_by_pk"] == {"name": "first"}
