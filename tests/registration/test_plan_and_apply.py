"""A plan, carried out through the real client and read back from an API."""

from __future__ import annotations

import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable

import pytest
import requests
from prefect import Flow, Parameter, task
from prefect.schedules import IntervalSchedule
from prefect.utilities.configuration import set_temporary_config

from git_prefect.devserver.process import running
from git_prefect.errors import NotAuthorised, OutOfReach, UsageError
from git_prefect.model import RefUpdate, Registration
from git_prefect.registration.api import Api
from git_prefect.registration.apply import apply
from git_prefect.registration.plan import Wanted, plan
from git_prefect.settings import Target

from .conftest import WHERE, update

BRANCH, OTHER = update("refs/heads/feature/x"), update("refs/heads/feature/y")


@task
def extract() -> int:
    return 1


@task
def load(rows: int) -> None:
    pass


def etl(tasks: int = 2, schedule: IntervalSchedule | None = None) -> Flow:
    with Flow("etl", schedule=schedule) as flow:
        rows = extract()
        for _ in range(tasks - 1):
            load(rows)
    return flow


@pytest.fixture
def target(api: Api) -> Target:
    return Target(project=f"dev-{uuid.uuid4().hex}", branch="**", create_project=True)


@pytest.fixture
def register(api: Api, target: Target) -> Callable[..., list[Registration]]:
    def go(
        flows: list[Wanted], ref: RefUpdate = BRANCH, living: set[str] | None = None, rule: Target = target
    ) -> list[Registration]:
        registered = api.registered([rule.project], [one.flow for one in flows])
        return apply(api, plan(flows, registered, rule, rule.project, ref, living), registered, rule, ref)

    return go


def outcome(row: Registration) -> tuple[Any, ...]:
    return row.action, row.version, row.changes, row.reason


def test_first_registration_says_all(register: Any, wanted: Any, target: Target) -> None:
    (row,) = register([wanted(etl(), BRANCH)])
    group = row.url.rsplit("/", 1)[1]
    assert row == Registration(
        ref="refs/heads/feature/x",
        flow="etl",
        path="flows/etl.py",
        project=target.project,
        action="created",
        version=1,
        changes=(),
        reason="",
        storage="github.com/team/etl flows/etl.py@feature/x",
        url=f"http://localhost:8080/default/flow/{group}",
    )


def test_the_same_structure_is_left_alone_and_another_is_a_new_version(register: Any, wanted: Any) -> None:
    register([wanted(etl(), BRANCH)])
    assert [outcome(row) for row in register([wanted(etl(), BRANCH)])] == [
        ("unchanged", 1, (), "the branch's HEAD is what runs")
    ]
    assert [outcome(row) for row in register([wanted(etl(3), BRANCH)])] == [("updated", 2, ("task added: load-2",), "")]


def test_a_branch_does_not_take_a_flow_from_another(register: Any, wanted: Any, target: Target) -> None:
    register([wanted(etl(), BRANCH)])
    assert [outcome(row) for row in register([wanted(etl(3), OTHER)], OTHER)] == [
        (
            "failed",
            1,
            (),
            f"branch 'feature/x' is what project '{target.project}' runs under this name (version 1); registering "
            "feature/y of github.com/team/etl would archive it. Give feature/y a target with another project, or rename the flow",
        )
    ]


def test_a_branch_that_is_gone_may_be_replaced(register: Any, wanted: Any) -> None:
    register([wanted(etl(), BRANCH)])
    (row,) = register([wanted(etl(), OTHER)], OTHER, {"refs/heads/feature/y"})
    assert outcome(row) == ("updated", 2, ("storage: branch_name feature/x → feature/y",), "")


def test_another_repository_is_not_replaced(register: Any, wanted: Any) -> None:
    register([wanted(etl(), BRANCH)])
    (row,) = register([wanted(etl(), BRANCH, WHERE._replace(repo="other/etl"))], BRANCH, set())
    assert row.action == "failed"
    assert row.reason.startswith("repository github.com/team/etl is what project")


@pytest.mark.parametrize(
    ("first", "then", "source", "action"),
    [
        ("v1.9", "v1.10", "push", "updated"),
        ("v1.10", "v1.9", "push", "failed"),
        ("v1.10", "v1.9", "--ref", "updated"),
        ("v2", "v2", "push", "unchanged"),
    ],
)
def test_a_newer_tag_follows_an_older_one(
    register: Any, wanted: Any, first: str, then: str, source: str, action: str
) -> None:
    older, newer = update(f"refs/tags/{first}"), update(f"refs/tags/{then}", source)
    register([wanted(etl(), older)], older)
    assert [row.action for row in register([wanted(etl(), newer)], newer)] == [action]


def test_a_flow_that_the_branch_does_not_change_is_left_alone_unless_it_is_registered_from_it(
    register: Any, wanted: Any
) -> None:
    assert [outcome(row) for row in register([wanted(etl(), BRANCH, concerned=False)])] == [
        ("skipped", None, (), "feature/x does not change its file")
    ]
    register([wanted(etl(), BRANCH)])
    assert [row.action for row in register([wanted(etl(3), BRANCH, concerned=False)])] == ["updated"]
    assert [row.action for row in register([wanted(etl(3), OTHER, concerned=False)], OTHER)] == ["skipped"]


def active(api: Api, target: Target) -> list[bool]:
    return [one.schedule_active for one in api.registered([target.project]).flows]


def test_keep_leaves_a_paused_schedule_paused(api: Api, register: Any, wanted: Any, target: Target) -> None:
    hourly = IntervalSchedule(interval=timedelta(hours=1))
    register([wanted(etl(2, hourly), BRANCH)])
    assert active(api, target) == [True]
    (held,) = api.registered([target.project]).flows
    api.ask(
        "mutation($input: set_schedule_inactive_input!) { set_schedule_inactive(input: $input) { success } }",
        {"input": {"flow_id": held.id}},
    )
    register([wanted(etl(3, hourly), BRANCH)])
    assert active(api, target) == [False]


@pytest.mark.parametrize(("policy", "expected"), [("keep", [True]), ("on", [True]), ("off", [False])])
def test_schedule_policies_for_a_new_flow(
    api: Api, register: Any, wanted: Any, target: Target, policy: Any, expected: list[bool]
) -> None:
    rule = Target(project=target.project, branch="**", create_project=True, schedule=policy)
    register([wanted(etl(2, IntervalSchedule(interval=timedelta(hours=1))), BRANCH)], rule=rule)
    assert active(api, target) == expected


def test_a_project_that_does_not_exist(api: Api, register: Any, wanted: Any) -> None:
    rule = Target(project="nowhere", branch="**")
    with pytest.raises(UsageError) as raised:
        register([wanted(etl(), BRANCH)], rule=rule)
    assert str(raised.value) == (
        f"project 'nowhere' does not exist at {api.address}\n"
        "hint: create it with `prefect create project 'nowhere'`, or set `create-project = true` in its target"
    )


def test_flows_are_registered_side_by_side_and_one_failure_stops_no_other(
    register: Any, wanted: Any, target: Target
) -> None:
    flows = []
    for number in range(12):
        with Flow(f"flow-{number:02}") as flow:
            load(Parameter("rows", default=number))
        flows.append(wanted(flow, BRANCH))
    broken = flows[3].serialized
    broken["edges"][0]["upstream_task"]["slug"] = "nobody"
    rows = register(flows)
    assert [row.action for row in rows] == ["created"] * 3 + ["failed"] + ["created"] * 8
    assert rows[3].reason.endswith("What runs now: nothing under this name")
    assert [row.action for row in register(flows[:3])] == ["unchanged"] * 3


def test_an_api_that_is_down(api: Api) -> None:
    api._client.api_server = "http://127.0.0.1:9"
    with pytest.raises(OutOfReach) as raised:
        api.registered(["dev"])
    assert str(raised.value).splitlines()[0] == "the Prefect API at http://127.0.0.1:9 is out of reach: no connection"


KEY = "cloud-style-key"


def test_a_cloud_style_key_and_tenant_are_passed_on(tmp_path: Path, wanted: Any) -> None:
    with running("--api-key", KEY) as url:
        settings = {"backend": "cloud", "home_dir": str(tmp_path), "cloud.api": url, "cloud.tenant_id": None}
        rule = Target(project="dev", branch="**", create_project=True)
        with set_temporary_config({**settings, "cloud.api_key": KEY}):
            cloud = Api()
            flows = [wanted(etl(), BRANCH)]
            registered = cloud.registered(["dev"], ["etl"])
            rows = apply(cloud, plan(flows, registered, rule, "dev", BRANCH, None), registered, rule, BRANCH)
        assert [outcome(row) for row in rows] == [("created", 1, (), "")]
        with set_temporary_config({**settings, "cloud.api_key": "another"}), pytest.raises(NotAuthorised) as raised:
            Api().registered(["dev"])
    assert str(raised.value) == (
        f"the Prefect API at {url} does not accept the API key (HTTP 401)\n"
        "hint: log in with `prefect auth login --key KEY`, or set PREFECT__CLOUD__API_KEY"
    )


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({"kind": "html", "status": 200}, "it answered with something that is not JSON"),
        ({"kind": "status", "status": 502}, "it answered HTTP 502"),
        ({"kind": "drop-before"}, "no connection"),
    ],
)
def test_answers_that_are_not_the_apis(api: Api, fault: dict[str, Any], said: str) -> None:
    requests.post(f"{api.address}/_fault", json=[{"match": "flow", **fault}], timeout=10)
    with pytest.raises(OutOfReach) as raised:
        api.registered(["dev"])
    assert raised.value.message == f"the Prefect API at {api.address} is out of reach: {said}"


def test_an_answer_that_was_lost_is_found_by_reading_back(api: Api, register: Any, wanted: Any, target: Target) -> None:
    register([wanted(etl(), BRANCH)])
    fault = {"match": "create_flow_from_compressed_string", "kind": "drop-after"}
    requests.post(f"{api.address}/_fault", json=[fault], timeout=10)
    assert [outcome(row) for row in register([wanted(etl(3), BRANCH)])] == [("updated", 2, ("task added: load-2",), "")]
    assert [(one.name, one.version) for one in api.registered([target.project]).flows] == [("etl", 2)]
