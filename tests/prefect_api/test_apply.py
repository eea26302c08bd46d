"""What Prefect's races and lost answers leave behind, detected by reading back, and mended or told."""

from __future__ import annotations

import threading
import uuid
from typing import Any, Callable

import pytest
import requests
from msgspec.structs import replace
from prefect import Flow, Parameter

from git_prefect.core.settings import Target
from git_prefect.prefect_api import apply as module
from git_prefect.prefect_api.queries import Api

from .conftest import BRANCH, HOURLY, OTHER, active, etl, load, outcome

CREATE = "create_flow_from_compressed_string"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES", (0.01, 0.01, 0.01))


@pytest.fixture
def identity(api: Api, target: Target) -> str:
    """The id of the target's project, which exists."""
    return api.create_project(target.project, api.registered([], []).tenant_id)


def meanwhile(api: Api, monkeypatch: pytest.MonkeyPatch, does: Callable[[], object], times: int = 1) -> None:
    """Let another client do something after each of our first registrations, before we read back."""
    ours = api.create_flow
    left = iter(range(times))

    def create_flow(*arguments: Any) -> str:
        created = ours(*arguments)
        if next(left, None) is not None:
            does()
        return created

    monkeypatch.setattr(api, "create_flow", create_flow)


def archive_all(api: Api, project: str) -> None:
    for held in api.registered([project]).flows:
        api.archive(held.id)


def test_flows_are_registered_side_by_side_and_one_failure_stops_no_other(register: Any, wanted: Any) -> None:
    flows = []
    for number in range(12):
        with Flow(f"flow-{number:02}") as flow:
            load(Parameter("rows", default=number))
        flows.append(wanted(flow, BRANCH))
    flows[3].serialized["edges"][0]["upstream_task"]["slug"] = "nobody"
    rows = register(flows)
    assert [row.action for row in rows] == ["created"] * 3 + ["failed"] + ["created"] * 8
    assert rows[3].reason.endswith("What runs now: nothing under this name")
    assert [row.action for row in register(flows[:3])] == ["unchanged"] * 3


def test_so_many_at_once_and_no_more(api: Api, register: Any, wanted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, lock = api.create_flow, threading.Lock()
    now = most = 0
    together = threading.Barrier(3)

    def create_flow(*arguments: Any) -> str:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        together.wait(60)
        created = ours(*arguments)
        with lock:
            now -= 1
        return created

    monkeypatch.setattr(api, "create_flow", create_flow)
    rows = register([wanted(etl(name=f"flow-{number}"), BRANCH) for number in range(9)], parallel=3)
    assert [row.action for row in rows] == ["created"] * 9
    assert most == 3


def test_all_versions_archived_by_a_race_are_registered_again(
    api: Api, register: Any, wanted: Any, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    register([wanted(etl(), BRANCH)])
    meanwhile(api, monkeypatch, lambda: archive_all(api, target.project))
    (row,) = register([wanted(etl(3), BRANCH)])
    assert outcome(row) == ("updated", 3, ("task added: load-2",), "")
    assert active(api, target) == [("etl", 3, False)]


def test_a_race_that_never_ends_is_told(
    api: Api, register: Any, wanted: Any, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    register([wanted(etl(), BRANCH)])
    meanwhile(api, monkeypatch, lambda: archive_all(api, target.project), times=99)
    (row,) = register([wanted(etl(3), BRANCH)])
    assert (row.action, row.reason) == (
        "failed",
        "the API took it, but has no active version of it: another client may have been at it at the same time. "
        "What runs now: nothing under this name",
    )


def several_groups(api: Api, identity: str, wanted: Any, *tasks: int) -> None:
    """As parallel first registrations of one name leave it: a flow group each."""
    for count in tasks:
        serialized = wanted(etl(count), BRANCH).serialized
        api.ask(
            "mutation($input: create_flow_input!) { create_flow(input: $input) { id } }",
            {"input": {"project_id": identity, "serialized_flow": serialized, "version_group_id": uuid.uuid4().hex}},
        )


def test_several_groups_are_reduced_to_one(api: Api, identity: str, register: Any, wanted: Any, target: Target) -> None:
    several_groups(api, identity, wanted, 2, 2, 2)
    assert len(active(api, target)) == 3
    (row,) = register([wanted(etl(2), BRANCH)])
    assert outcome(row) == ("updated", 1, ("archived: version 1, active beside it",) * 2, "")
    assert active(api, target) == [("etl", 1, False)]
    assert [row.action for row in register([wanted(etl(2), BRANCH)])] == ["unchanged"]


def test_several_groups_that_a_race_makes_are_reduced_to_one(
    api: Api, identity: str, register: Any, wanted: Any, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(api, monkeypatch, lambda: several_groups(api, identity, wanted, 2, 2))
    (row,) = register([wanted(etl(2), BRANCH)])
    assert (row.action, row.reason) == ("created", "")
    assert active(api, target) == [("etl", 1, False)]


def test_a_new_version_leaves_no_other_group_behind(
    api: Api, identity: str, register: Any, wanted: Any, target: Target
) -> None:
    several_groups(api, identity, wanted, 2, 2)
    (row,) = register([wanted(etl(3), BRANCH)])
    assert (row.action, row.version) == ("updated", 2)
    assert active(api, target) == [("etl", 2, False)]


def test_another_branch_beside_ours_is_told_and_not_archived(
    api: Api, identity: str, register: Any, wanted: Any, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def theirs() -> None:
        api.ask(
            "mutation($input: create_flow_input!) { create_flow(input: $input) { id } }",
            {"input": {"project_id": identity, "serialized_flow": wanted(etl(), OTHER).serialized, "version_group_id": "x" + identity}},
        )  # fmt: skip

    meanwhile(api, monkeypatch, theirs)
    (row,) = register([wanted(etl(), BRANCH)])
    assert row.action == "failed"
    assert row.reason.startswith(
        "active beside it: version 1 (github.com/team/etl flows/etl.py@feature/y). What runs now"
    )
    assert len(active(api, target)) == 2


def test_what_another_client_registers_at_the_same_time_is_not_fought_over(
    api: Api, identity: str, register: Any, wanted: Any, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def theirs() -> None:
        ours(identity, wanted(etl(4), BRANCH).serialized, True)

    ours = api.create_flow
    meanwhile(api, monkeypatch, theirs)
    (row,) = register([wanted(etl(3), BRANCH)])
    assert (row.action, row.version) == ("failed", 2)
    assert row.reason == (
        "another client registered something else under this name at the same time. What runs now: version 2, "
        "github.com/team/etl flows/etl.py@feature/x"
    )


def test_an_answer_with_the_old_flow_is_noticed(
    api: Api, register: Any, wanted: Any, target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    register([wanted(etl(), BRANCH)])
    (held,) = api.registered([target.project]).flows
    ours = api.create_flow
    answers = iter([held.id])
    # As the server answers a retry with a key that failed before.
    monkeypatch.setattr(api, "create_flow", lambda *arguments: next(answers, None) or ours(*arguments))
    (row,) = register([wanted(etl(3), BRANCH)])
    assert outcome(row) == ("updated", 2, ("task added: load-2",), "")
    monkeypatch.setattr(api, "create_flow", lambda *arguments: held.id)
    (row,) = register([wanted(etl(4), BRANCH)])
    assert row.reason.startswith("the API took it, but still has the version from before. What runs now: version 2")


@pytest.mark.parametrize("rule", ["keep", "on", "off"])
def test_a_schedule_that_somebody_switches_meanwhile_is_left_and_reported(
    api: Api, register: Any, wanted: Any, target: Target, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    target = replace(target, schedule=rule)
    theirs = rule == "off"

    def switch() -> None:
        for held in api.registered([target.project]).flows:
            api.set_schedule(held.id, theirs)

    meanwhile(api, monkeypatch, switch)
    (row,) = register([wanted(etl(2, HOURLY), BRANCH)], rule=target)
    what = "switched on" if theirs else "paused"
    assert (row.action, row.reason) == (
        "created", f"its schedule was {what} by another client meanwhile, and is left as it is"
    )  # fmt: skip
    assert active(api, target) == [("etl", 1, theirs)]


@pytest.mark.parametrize("answered", [True, False])
def test_a_schedule_that_we_set_and_somebody_switches_back_is_left(
    api: Api, register: Any, wanted: Any, target: Target, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    register([wanted(etl(2, HOURLY), BRANCH)])
    ours, calls = api.set_schedule, []

    def set_schedule(flow: str, active: bool) -> bool:
        calls.append(active)
        if answered:
            # A person switches it back at once.
            ours(flow, active)
            return ours(flow, not active)
        return len(calls) > 1 and ours(flow, active)

    monkeypatch.setattr(api, "set_schedule", set_schedule)
    (row,) = register([wanted(etl(2, HOURLY), BRANCH)], rule=replace(target, schedule="off"))
    assert (len(calls), active(api, target)) == ((1, [("etl", 1, True)]) if answered else (2, [("etl", 1, False)]))
    assert ("by another client meanwhile" in row.reason) == answered
    assert row.action == "updated"


def test_an_answer_that_was_lost_is_found_by_reading_back(api: Api, register: Any, wanted: Any, target: Target) -> None:
    register([wanted(etl(), BRANCH)])
    requests.post(f"{api.address}/_fault", json=[{"match": CREATE, "kind": "drop-after"}], timeout=10)
    assert [outcome(row) for row in register([wanted(etl(3), BRANCH)])] == [("updated", 2, ("task added: load-2",), "")]
    assert active(api, target) == [("etl", 2, False)]


def test_an_error_in_one_flow_does_not_stop_the_others(api: Api, register: Any, wanted: Any, target: Target) -> None:
    faults = [{"match": CREATE, "kind": "error", "message": "Oh"}, {"match": CREATE, "kind": "status", "status": 502}]
    requests.post(f"{api.address}/_fault", json=faults, timeout=10)
    rows = register([wanted(etl(name=f"flow-{number}"), BRANCH) for number in range(5)])
    assert sorted(row.action for row in rows) == ["created"] * 4 + ["failed"]
    assert len(active(api, target)) == 4
