from __future__ import annotations

import pytest
from contract_flows import hourly, serialized, with_parameter
from prefect.exceptions import ClientError
from prefect.run_configs import LocalRun

GROUP = "flow_group { labels run_config default_parameters schedule description }"


@pytest.fixture
def group_of(ask):
    def call(flow_id):
        query = "query($id: uuid!) { flow_by_pk(id: $id) { flow_group_id } }"
        return ask(query, id=flow_id)["flow_by_pk"]["flow_group_id"]

    return call


@pytest.fixture
def run_of(client, ask):
    def call(flow_id, **kwargs):
        run = client.create_flow_run(flow_id, **kwargs)
        query = "query($id: uuid!) { flow_run_by_pk(id: $id) { labels parameters run_config } }"
        return ask(query, id=run)["flow_run_by_pk"]

    return call


def test_a_new_group_has_no_settings_of_its_own(register, flows):
    register(serialized("etl"))
    assert flows(GROUP) == [
        {
            "flow_group": {
                "labels": None,
                "run_config": None,
                "default_parameters": {},
                "schedule": None,
                "description": None,
            }
        }
    ]


def test_labels_of_the_group_win_over_the_flow(register, mutate, group_of, run_of):
    flow_id = register(serialized("etl", labels=("flow",)))
    group = group_of(flow_id)
    assert run_of(flow_id)["labels"] == ["flow"]
    assert mutate("set_flow_group_labels", flow_group_id=group, labels=["z", "a", "a"]) == {"success": True}
    assert run_of(flow_id)["labels"] == ["a", "z"]
    assert run_of(flow_id, labels=["mine"])["labels"] == ["mine"]
    newer = register(serialized("etl", labels=("flow",)))
    assert run_of(newer)["labels"] == ["a", "z"]
    mutate("set_flow_group_labels", flow_group_id=group, labels=None)
    assert run_of(newer)["labels"] == ["flow"]


def test_the_run_config_of_the_group_wins_over_the_flow(register, mutate, group_of, run_of):
    sent = serialized("etl")
    flow_id = register(sent)
    assert run_of(flow_id)["run_config"] == sent["run_config"]
    ours = LocalRun(env={"A": "1"}).serialize()
    mutate("set_flow_group_run_config", flow_group_id=group_of(flow_id), run_config=ours)
    assert run_of(flow_id)["run_config"] == ours
    own = LocalRun(env={"A": "2"}, labels=["own"])
    assert run_of(flow_id, run_config=own) == {
        "labels": ["own"],
        "parameters": {},
        "run_config": own.serialize(),
    }


def test_default_parameters_of_the_group_stand_in_for_required_ones(client, register, mutate, group_of, run_of):
    flow_id = register(with_parameter("etl", required=True))
    with pytest.raises(ClientError, match="Required parameters were not supplied: {'n'}"):
        client.create_flow_run(flow_id)
    mutate("set_flow_group_default_parameters", flow_group_id=group_of(flow_id), parameters={"n": 7})
    assert run_of(flow_id)["parameters"] == {"n": 7}
    assert run_of(flow_id, parameters={"n": 8})["parameters"] == {"n": 8}


def test_the_schedule_of_the_group_wins_over_the_flow(register, mutate, group_of, flows):
    flow_id = register(serialized("etl", schedule=hourly()))
    group = group_of(flow_id)
    cron = {"cron": "0 5 * * *", "parameter_defaults": {"n": 1}}
    assert mutate("set_flow_group_schedule", flow_group_id=group, cron_clocks=[cron]) == {"success": True}
    assert flows("flow_runs { id }") == [{"flow_runs": []}]
    register(serialized("etl", schedule=hourly()))
    _, newer = flows("flow_runs(order_by: {scheduled_start_time: asc}) { scheduled_start_time parameters }")
    assert {run["scheduled_start_time"][11:] for run in newer["flow_runs"]} == {"05:00:00+00:00"}
    assert [run["parameters"] for run in newer["flow_runs"]] == [{"n": 1}] * 10
    assert mutate("delete_flow_group_schedule", flow_group_id=group) == {"success": True}
    assert flows("flow_group { schedule } flow_runs { id }")[1] == {
        "flow_group": {"schedule": None},
        "flow_runs": [],
    }


def test_a_flow_without_schedule_follows_the_group(register, mutate, group_of, flows):
    flow_id = register(serialized("etl"))
    clocks = [{"interval": 3600}]
    mutate(
        "set_flow_group_schedule",
        flow_group_id=group_of(flow_id),
        interval_clocks=clocks,
        timezone="Europe/Rome",
    )
    register(serialized("etl"))
    assert [flow["is_schedule_active"] for flow in flows("is_schedule_active")] == [False, True]
    (clock,) = flows("flow_group { schedule }")[0]["flow_group"]["schedule"]["clocks"]
    assert (clock["type"], clock["interval"], clock["start_date"]["tz"]) == (
        "IntervalClock",
        3_600_000_000,
        "Europe/Rome",
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cron_clocks": [{"cron": "not cron"}]}, "Invalid clock provided for schedule"),
        ({"interval_clocks": [{"interval": 30}]}, "Invalid clock provided for schedule"),
        (
            {"cron_clocks": [{"cron": "* * * * *"}], "timezone": "Nowhere"},
            "Invalid timezone provided for schedule",
        ),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(register, mutate, group_of, given, message):
    flow_id = register(serialized("etl"))
    with pytest.raises(ClientError, match=message):
        mutate("set_flow_group_schedule", flow_group_id=group_of(flow_id), **given)
