"""Agents that the API knows, and which of them would take a run."""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Optional

import msgspec

from .client import Connection

GONE = 300.0
"""Seconds without a question for runs after which an agent counts as stopped; a living one asks every ten at most."""
KINDS = {
    "DockerRun": "DockerAgent", "ECSRun": "ECSAgent", "KubernetesRun": "KubernetesAgent", "LocalRun": "LocalAgent",
    "VertexRun": "VertexAgent",
}  # fmt: skip
"""The one kind of agent that takes a run config; a `UniversalRun` is every agent's."""


class _Row(msgspec.Struct):
    name: Optional[str] = None
    type: Optional[str] = None
    labels: Optional[list[str]] = None
    last_queried: Optional[str] = None
    tenant_id: Optional[str] = None


class _Agents(msgspec.Struct):
    agent: list[_Row]


class Agent(msgspec.Struct, frozen=True):
    """An agent, as it registered itself."""

    name: str
    kind: str
    """`LocalAgent`, `KubernetesAgent`, …"""
    labels: frozenset[str]
    seconds_ago: float | None
    """When it last asked for runs; None when it never did."""

    @property
    def living(self) -> bool:
        """Whether it asked for runs lately."""
        return self.seconds_ago is not None and self.seconds_ago < GONE

    def takes(self, labels: Collection[str]) -> bool:
        """Whether the API hands it runs with these labels: it has them all, and runs without any go to one without."""
        return set(labels) <= self.labels and bool(labels or not self.labels)

    def runs(self, run_config: str) -> bool:
        """Whether it can run a run config of this type; a run that it takes and cannot run fails at once."""
        return KINDS.get(run_config, self.kind) == self.kind


def agents_of(api: Connection, tenant_id: str) -> list[Agent]:
    """The tenant's agents, the one that asked for runs last first.

    Raises:
        OutOfReach, NotAuthorised: the API.
    """
    rows = api.ask("query { agent { name type labels last_queried tenant_id } }", {}, _Agents)["agent"]
    found = [_agent(row) for row in rows if row.get("tenant_id") == tenant_id]
    return sorted(found, key=lambda one: (one.seconds_ago is None, one.seconds_ago))


def _agent(row: dict[str, Any]) -> Agent:
    try:
        ago = time.time() - _seconds_since_epoch(row.get("last_queried") or "")
    except ValueError:
        ago = None
    return Agent(row.get("name") or "agent", row.get("type") or "", frozenset(row.get("labels") or ()), ago)


def _seconds_since_epoch(moment: str) -> float:
    whole, _, zone = moment.replace("Z", "+00:00").partition("+")
    # Python before 3.11 takes three or six digits after the point, and Postgres leaves zeros out.
    seconds, _, fraction = whole.partition(".")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6]:0<6}+{zone or '00:00'}").timestamp()


def describe(labels: Collection[str]) -> str:
    """Labels as people read them: `labels dev, ml`, `no labels`."""
    if not labels:
        return "no labels"
    return f"label{'s' if len(labels) > 1 else ''} {', '.join(sorted(labels))}"


def start(run_config: str, labels: Sequence[str]) -> str:
    """The command that starts an agent for such runs."""
    kind = {"DockerRun": "docker", "ECSRun": "ecs", "KubernetesRun": "kubernetes", "VertexRun": "vertex"}.get(
        run_config, "local"
    )
    # A local agent adds the label of its host, and is then handed no run without labels.
    only = " --no-hostname-label" if kind == "local" else ""
    return f"prefect agent {kind} start{only}" + "".join(f" --label {shlex.quote(label)}" for label in labels)
