from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from contract_flows import hourly, serialized, with_parameter
from prefect.exceptions import ClientError
from prefect.schedules import CronSchedule, IntervalSchedule, Schedule
from prefect.schedules.clocks import IntervalClock
from prefect.schedules.filters import is_weekday

AHEAD = "is_schedule_active flow_runs_aggregate(where: {auto_scheduled: {_eq: true}}) { aggregate { count } }"


def state(active: bool, ahead: int) -> dict:
    return {"is_schedule_active": active, "flow_runs_aggregate": {"aggregate": {"count": ahead}}}


@pytest.mark.parametrize(
    "schedule",
    [
        pytest.param(IntervalSchedule(interval=timedelta(minutes=5)), id="interval"),
        pytest.param(CronSchedule("0 * * * *"), id="cron"),
        pytest.param(Schedule([IntervalClock(timedelta(hours=2))], filters=[is_weekday]), id="filtered"),
    ],
)
def test_a_schedule_is_active_from_registration_on_and_creates_ten_runs(register, flows, schedule):
    register(serialized("etl", schedule=schedule))
    assert flows(AHEAD) == [state(True, 10)]


def test_runs_are_created_at_the_times_of_the_schedule(register, flows):
    register(serialized("etl", schedule=IntervalSchedule(interval=timedelta(hours=1))))
    (flow,) = flows("flow_runs(order_by: {scheduled_start_time: asc}) { scheduled_start_time state auto_scheduled }")
    times = [datetime.fromisoformat(run["scheduled_start_time"]) for run in flow["flow_runs"]]
    assert [(moment.minute, moment.second) for moment in times] == [(0, 0)] * 10
    assert {later - earlier for earlier, later in zip(times, times[1:])} == {timedelta(hours=1)}
    assert {(run["state"], run["auto_scheduled"]) for run in flow["flow_runs"]} == {("Scheduled", True)}


def test_a_cron_schedule_runs_from_its_start_to_its_end(register, flows):
    start = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
    schedule = CronSchedule("0 * * * *", start_date=start, end_date=start + timedelta(hours=2, minutes=30))
    register(serialized("etl", schedule=schedule))
    (flow,) = flows("flow_runs(order_by: {scheduled_start_time: asc}) { scheduled_start_time }")
    times = [datetime.fromisoformat(run["scheduled_start_time"]) for run in flow["flow_runs"]]
    assert times == [start, start + timedelta(hours=1), start + timedelta(hours=2)]


def test_a_schedule_that_cannot_be_read_creates_no_run(register, flows):
    register({**serialized("etl", schedule=hourly()), "schedule": {"type": "Schedule", "clocks": [{"type": "Sundial"}]}})
    assert flows(AHEAD) == [state(True, 0)]


def test_a_schedule_can_be_left_inactive(register, flows):
    register(serialized("etl", schedule=hourly()), set_schedule_active=False)
    assert flows(AHEAD) == [state(False, 0)]


def test_a_flow_without_schedule_is_inactive_whatever_is_asked(register, flows):
    register(serialized("etl"), set_schedule_active=True)
    assert flows(AHEAD) == [state(False, 0)]


def test_a_pause_is_not_inherited(register, mutate, flows):
    first = register(serialized("etl", schedule=hourly()))
    assert mutate("set_schedule_inactive", flow_id=first) == {"success": True}
    assert flows(AHEAD) == [state(False, 0)]
    register(serialized("etl", schedule=hourly()))
    assert flows(AHEAD) == [state(False, 0), state(True, 10)]


def test_switching_on_again_creates_no_run_twice(register, mutate, flows):
    flow_id = register(serialized("etl", schedule=hourly()))
    assert mutate("set_schedule_active", flow_id=flow_id) == {"success": True}
    assert flows(AHEAD) == [state(True, 10)]


def test_a_required_parameter_without_a_value_leaves_the_schedule_inactive(register, mutate, flows):
    flow_id = register(with_parameter("etl", required=True, schedule=hourly()))
    assert flows(AHEAD) == [state(False, 0)]
    with pytest.raises(ClientError, match="Can not schedule a flow that has required parameters."):
        mutate("set_schedule_active", flow_id=flow_id)


def test_a_required_parameter_may_come_from_the_clock(register, flows):
    register(with_parameter("etl", required=True, schedule=hourly(n=5)))
    assert flows(AHEAD) == [state(True, 10)]
    (flow,) = flows("flow_runs(limit: 1) { parameters }")
    assert flow == {"flow_runs": [{"parameters": {"n": 5}}]}


def test_an_unknown_flow_has_no_schedule(mutate):
    unknown = "00000000-0000-4000-8000-000000000000"
    assert mutate("set_schedule_active", flow_id=unknown) == {"success": False}
    assert mutate("set_schedule_inactive", flow_id=unknown) == {"success": False}
