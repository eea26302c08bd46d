"""What changes a run, and in which words a difference is told; on flows that Prefect serialized."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from prefect import Flow, Parameter, task
from prefect.run_configs import DockerRun, UniversalRun
from prefect.schedules import CronSchedule

from git_prefect.registration.structure import differences


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
        ({"schedule": CronSchedule("0 6 * * *")}, ("schedule added",)),
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
