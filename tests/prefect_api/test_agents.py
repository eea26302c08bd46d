"""Which agents would take a run, and could run it."""

from __future__ import annotations

import time
from datetime import datetime, timezone

import prefect
import pytest

from git_prefect.prefect_api.agents import Agent, agents_of, describe, start
from git_prefect.prefect_api.queries import Api


def agent(*labels: str, kind: str = "LocalAgent", ago: float | None = 1.0) -> Agent:
    return Agent("worker", kind, frozenset(labels), ago)


@pytest.mark.parametrize(
    ("has", "wanted", "takes"),
    [
        (("dev", "ml"), ("dev",), True),
        (("dev",), ("dev", "ml"), False),
        ((), ("dev",), False),
        ((), (), True),
        # As Prefect's API has it: an agent with labels is handed no run without any.
        (("dev",), (), False),
    ],
)
def test_labels(has: tuple[str, ...], wanted: tuple[str, ...], takes: bool) -> None:
    assert agent(*has).takes(wanted) is takes


@pytest.mark.parametrize(
    ("kind", "run_config", "runs"),
    [
        ("LocalAgent", "LocalRun", True),
        ("LocalAgent", "UniversalRun", True),
        ("LocalAgent", "DockerRun", False),
        ("KubernetesAgent", "KubernetesRun", True),
        ("KubernetesAgent", "UniversalRun", True),
        ("DockerAgent", "KubernetesRun", False),
    ],
)
def test_run_configs(kind: str, run_config: str, runs: bool) -> None:
    assert agent(kind=kind).runs(run_config) is runs


def test_an_agent_that_stopped_asking_is_gone() -> None:
    assert [agent(ago=ago).living for ago in (0.0, 299.0, 301.0, None)] == [True, True, False, False]


def test_the_agents_of_the_tenant_by_when_they_asked(api: Api) -> None:
    client = prefect.Client()
    silent = f"silent-{time.monotonic_ns()}"
    client.register_agent(agent_type="LocalAgent", name=silent, labels=["b", "a"])
    name = f"asking-{time.monotonic_ns()}"
    client.attach_headers({"X-PREFECT-AGENT-ID": client.register_agent("DockerAgent", name=name, labels=["dev"])})
    client.graphql(
        "mutation($input: get_runs_in_queue_input!) { get_runs_in_queue(input: $input) { flow_run_ids } }",
        variables={"input": {"tenant_id": client.tenant_id, "labels": ["dev"]}},
    )
    found = [one for one in agents_of(api, client.tenant_id) if one.name in (silent, name)]
    assert [(one.name, one.kind, one.labels, one.living) for one in found] == [
        (name, "DockerAgent", {"dev"}, True),
        (silent, "LocalAgent", {"a", "b"}, False),
    ]
    assert agents_of(api, "00000000-0000-0000-0000-000000000000") == []


def test_the_moments_of_postgres(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime.now(timezone.utc)
    moments = [
        now.strftime(f"%Y-%m-%dT%H:%M:%S{end}")
        for end in ("+00:00", "Z", ".5+00:00", ".123456+00:00", ".123456789+00:00")
    ]
    rows = [{"name": None, "type": None, "labels": None, "last_queried": one, "tenant_id": "t"} for one in moments]
    monkeypatch.setattr(api, "ask", lambda *_: {"agent": rows})
    assert all(abs(one.seconds_ago or 99) < 60 for one in agents_of(api, "t"))


def test_words_and_commands() -> None:
    assert [describe(labels) for labels in ([], ["dev"], ["ml", "dev"])] == ["no labels", "label dev", "labels dev, ml"]
    assert start("UniversalRun", ["dev"]) == "prefect agent local start --no-hostname-label --label dev"
    assert start("KubernetesRun", ["a", "b"]) == "prefect agent kubernetes start --label a --label b"
