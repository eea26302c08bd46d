"""What changes a run, and in which words a difference is told; on flows that Prefect serialized."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pendulum
import pytest
from prefect import Flow, Parameter, task
from prefect.run_configs import DockerRun, UniversalRun
from prefect.schedules import CronSchedule, IntervalSchedule, Schedule
from prefect.schedules.clocks import CronClock, DatesClock

from git_prefect.prefect_api.structure import can_be_scheduled, differences, graph, schedule_in_words


@task
def extract(day: str) -> list[int]:
    return [1]


@task(tags=["b", "a"])
def load(rows: list[int]) -> None:
    pass


@task
def store(rows: list[int]) -> None:
    pass


@task(name="load", tags=["b", "a"], max_retries=3, retry_delay=timedelta(minutes=1))
def retried(rows: list[int]) -> None:
    pass


def mapped(rows: Any) -> Any:
    return load.map(rows)


def serialized(**changes: Any) -> dict[str, Any]:
    with Flow("etl", schedule=changes.get("schedule")) as flow:
        day = Parameter("day", default=changes.get("day", "today"))
        changes.get("last", load)(extract(day))
        if changes.get("again"):
            extract("yesterday")
    flow.run_config = changes.get("run_config", UniversalRun(labels=["b", "a"]))
    found: dict[str, Any] = json.loads(json.dumps(flow.serialize()))
    found["storage"] = {"type": "Git", "branch_name": changes.get("branch", "main"), "flow_path": "etl.py"}
    return found


def test_the_same_flow_has_no_difference() -> None:
    assert differences(serialized(), serialized()) == ()


def test_versions_and_order_are_noise() -> None:
    other = serialized()
    other["__version__"] = "0.15.0"
    other["storage"] = {**other["storage"], "__version__": "0.15.0", "prefect_version": "0.15.0"}
    other["tasks"] = [{**one, "__version__": "x", "tags": one["tags"][::-1]} for one in other["tasks"][::-1]]
    other["edges"] = other["edges"][::-1]
    other["run_config"] = {**other["run_config"], "labels": ["b", "a"]}
    assert differences(serialized(), other) == ()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"again": True}, ("task added: extract-2",)),
        ({"last": store}, ("task renamed: load-a-b-1 → store-1",)),
        ({"day": "monday"}, ("parameter day: default today → monday",)),
        ({"schedule": CronSchedule("0 6 * * *")}, ("schedule added: cron 0 6 * * *",)),
        ({"branch": "feature/x"}, ("storage: branch_name main → feature/x",)),
        (
            {"run_config": DockerRun(image="etl:2")},
            (
                "run config: image none → etl:2",
                "run config: labels ['a', 'b'] → []",
                "run config: type UniversalRun → DockerRun",
            ),
        ),
        ({"last": mapped}, ("edge extract-1 → load-a-b-1 (rows): mapped False → True",)),
        ({"last": retried}, ("task load-a-b-1: max_retries 0 → 3", "task load-a-b-1: retry_delay none → 60")),
    ],
)
def test_what_is_told(changes: dict[str, Any], told: tuple[str, ...]) -> None:
    assert differences(serialized(), serialized(**changes)) == told


ROME = pendulum.datetime(2020, 1, 1, tz="Europe/Rome")


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (CronSchedule("0 6 * * *"), "cron 0 6 * * *"),
        (CronSchedule("0 6 * * *", start_date=ROME), "cron 0 6 * * * (Europe/Rome)"),
        (IntervalSchedule(interval=timedelta(days=1, minutes=90)), "every 1 d 1 h 30 min"),
        (Schedule([CronClock("0 6 * * *"), DatesClock([ROME, ROME.add(days=1)])]), "cron 0 6 * * * and 2 dates"),
    ],
)
def test_schedules_in_words(schedule: Schedule, words: str) -> None:
    assert schedule_in_words(serialized(schedule=schedule)["schedule"]) == words


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (CronSchedule("0 6 * * *"), None, ("schedule removed: cron 0 6 * * *",)),
        (
            CronSchedule("0 6 * * *"),
            IntervalSchedule(interval=timedelta(hours=1)),
            ("schedule: cron 0 6 * * * → every 1 h",),
        ),
        (
            Schedule([CronClock("0 6 * * *", parameter_defaults={"day": "monday"})]),
            Schedule([CronClock("0 6 * * *", parameter_defaults={"day": "sunday"})]),
            ("schedule cron 0 6 * * *: parameter_defaults {'day': 'monday'} → {'day': 'sunday'}",),
        ),
    ],
)
def test_how_a_schedule_differs(before: Any, after: Any, told: tuple[str, ...]) -> None:
    assert differences(serialized(schedule=before), serialized(schedule=after)) == told


def chain(*names: str, retries: int = 0) -> dict[str, Any]:
    """Tasks of these names, one after the other."""

    def step(rows: Any = None) -> Any:
        return rows

    with Flow("chain") as flow:
        rows = None
        for name in names:
            rows = task(step, name=name, max_retries=retries, retry_delay=timedelta(1) if retries else None)(rows)
    found: dict[str, Any] = json.loads(json.dumps(flow.serialize()))
    return found


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (("a", "b", "c"), ("a", "x", "c"), ("task renamed: b-1 → x-1",)),
        (
            ("a", "b", "c", "d", "e"),
            ("a", "x", "c", "y", "e"),
            ("task renamed: b-1 → x-1", "task renamed: d-1 → y-1"),
        ),
        (("a", "b", "c"), ("a", "c"), ("task removed: b-1", "edge added: a-1 → c-1 (rows)")),
        (("a",), ("b",), ("task renamed: a-1 → b-1",)),
        (("a", "b"), ("x", "y"), ("task renamed: a-1 → x-1", "task renamed: b-1 → y-1")),
    ],
)
def test_renamed_tasks_are_told_from_new_ones(
    before: tuple[str, ...], after: tuple[str, ...], told: tuple[str, ...]
) -> None:
    assert differences(chain(*before), chain(*after)) == told


def test_a_renamed_task_that_changes_otherwise_says_so() -> None:
    assert differences(chain("a", "b"), chain("a", "x", retries=2)) == (
        "task renamed: b-1 → x-1",
        "task x-1: max_retries 0 → 2",
        "task x-1: retry_delay none → 86400",
        "task a-1: max_retries 0 → 2",
        "task a-1: retry_delay none → 86400",
    )


def test_what_flow_register_sends_apart_from_the_flow_is_not_compared() -> None:
    apart = {key: value for key, value in serialized().items() if key not in ("tasks", "edges")}
    told = "tasks: not compared, flow.register() keeps them apart from the flow"
    assert differences(apart, serialized()) == (told,)
    assert differences(apart, serialized(day="yesterday"))[1:] == ("parameter day: default today → yesterday",)
    drawn = graph("etl", "p", apart, serialized())
    assert [node.mark for node in drawn.nodes] == ["", "", ""]
    assert not drawn.changes


def test_another_kind_of_storage_is_one_line() -> None:
    before = {**serialized(), "storage": {"type": "Docker", "registry_url": "registry.example.com", "image_name": "etl"}}
    after = serialized()
    after["storage"] = {**after["storage"], "repo_host": "github.com", "repo": "team/etl"}
    assert differences(before, after) == ("storage: Docker storage → github.com/team/etl etl.py@main",)


def test_type_hints_are_noise() -> None:
    hinted = serialized()
    for one in hinted["tasks"]:
        one["outputs"] = "typing.List[int]"
        one["inputs"] = {name: {**told, "type": "typing.Any"} for name, told in one["inputs"].items()}
    assert differences(serialized(), hinted) == ()


CRON, FOR_X = {"clocks": [{"cron": "0 0 * * *"}]}, {"clocks": [{"cron": "0 0 * * *", "parameter_defaults": {"x": 1}}]}
NEEDS_X = [{"name": "x", "slug": "x", "required": True}]


@pytest.mark.parametrize(
    ("serialized", "group", "can"),
    [
        ({}, None, False),
        ({"schedule": CRON}, None, True),
        ({"schedule": CRON, "parameters": [{"name": "x", "slug": "x", "required": False}]}, None, True),
        ({"schedule": CRON, "parameters": NEEDS_X}, None, False),
        ({"schedule": FOR_X, "parameters": NEEDS_X}, None, True),
        ({"schedule": {"clocks": [*FOR_X["clocks"], *CRON["clocks"]]}, "parameters": NEEDS_X}, None, False),
        ({"schedule": CRON, "parameters": NEEDS_X}, {"default_parameters": {"x": 1}}, True),
        ({}, {"schedule": CRON}, True),
    ],
)
def test_a_schedule_can_be_active_when_it_gives_every_required_parameter_a_value(
    serialized: dict[str, Any], group: dict[str, Any] | None, can: bool
) -> None:
    assert can_be_scheduled(serialized, group) == can
