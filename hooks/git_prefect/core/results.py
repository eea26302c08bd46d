"""What commands find and do, flow by flow: the plan, the report, and the rows of both.

Apart from the model, since a push that touches no flow has none of them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .model import Finding

CHANGES = ("created", "updated", "taken-over", "archived")
"""Actions that ask something of the API."""


class PlannedFlow(msgspec.Struct, frozen=True):
    """What a registration would do with one flow."""

    path: str
    flow: str
    project: str
    action: str
    """`created`, `updated`, `taken-over`, `unchanged`, `archived`, `left-behind`, `skipped` or `failed`."""
    changes: tuple[str, ...]
    """One short line for each structural difference."""
    reason: str
    serialized: dict[str, Any]
    """What would be sent, storage and run config included."""
    registered_id: str | None
    registered_version: int | None
    schedule_active: bool
    new_version: bool = False
    """True when it is registered anew; a schedule is paused or resumed without."""
    surplus: tuple[str, ...] = ()
    """Versions that are active beside it, and are archived."""
    description: str = ""
    """What a new version says of itself, in Markdown."""
    overrides: tuple[str, ...] = ()
    """What is set on the flow group in Prefect's UI, and wins over the code's."""

    @property
    def changes_something(self) -> bool:
        """Whether carrying it out asks anything of the API."""
        return self.action in CHANGES


class Registration(msgspec.Struct, frozen=True):
    """What became of one flow: a row of `registrations` in the JSON report.

    An empty `flow`, `path` or `project` is null there: what is said then holds for every flow of the ref.
    """

    ref: str
    flow: str
    path: str
    project: str
    action: str
    """As that of a planned flow, or `queued`."""
    version: int | None
    changes: tuple[str, ...]
    reason: str
    storage: str = ""
    """Host, repository, path and ref, as a person reads them."""
    url: str = ""
    """The flow's page in Prefect's UI."""
    overrides: tuple[str, ...] = ()
    """What is set on the flow group in Prefect's UI, and wins over the code's."""


class FlowStatus(msgspec.Struct, frozen=True):
    """A flow that Prefect holds of this repository, and how it stands: a row of `registered` in the JSON report."""

    ref: str
    """Full name of the branch or tag that its runs are loaded from; empty when nobody can tell which is the default."""
    path: str
    flow: str
    project: str
    version: int
    schedule: str
    """In words, `cron 0 6 * * *`; empty when it has none."""
    schedule_active: bool
    runtime: str
    """Type of its run config and what tells it from others: `KubernetesRun registry/ml:py39`."""
    last_run: str
    """State of the last run that has begun, of whatever version: `Success`, `Failed`, `Running`; empty: none has."""
    last_run_at: str
    """When that run was to start, as the API writes it (ISO 8601); empty: none has begun."""
    url: str
    """The flow's page in Prefect's UI."""
    id: str
    """Of this very version."""
    drift: tuple[Finding, ...] = ()
    """What is wrong with it against what the remote has now; all of them are findings of the report, too."""


class ReportedRef(msgspec.Struct, frozen=True):
    """A branch or tag that a report is about: a row of `refs` in the JSON report."""

    name: str
    """The short name: `feature/x`, `v1.0`."""
    kind: str
    """`branch` or `tag`."""
    commit: str | None
    source: str
    """Who named it: `push`, `--ref`, `BUILD_TAG`, `GIT_BRANCH`, `active branch`, …"""
    target: str | None
    """The Prefect project that its target leads to; None when no target takes it, or nobody asked."""
    heading: str = ""
    """What a person reads above its registrations: `origin/feature/x at c29dcbe: registered 4 s ago`. In no JSON."""

    @property
    def ref(self) -> str:
        """The full name, as findings and registrations have it."""
        return f"refs/{'tags' if self.kind == 'tag' else 'heads'}/{self.name}"


class ReportedFlow(msgspec.Struct, frozen=True):
    """A flow that was looked at: a row of `flows` in the JSON report."""

    ref: str | None
    """The full name of the ref it was loaded from; None for the work tree."""
    path: str
    name: str | None
    """None for a file whose flows are not known, since it does not load."""
    status: str
    """`ok`, `failed`, `skipped` (this ref does not change it) or `unchecked` (the interpreter cannot tell)."""
    tasks: int | None
    cached: bool


class Node(msgspec.Struct, frozen=True):
    """A task or parameter of a flow's graph, and whether a registration adds or removes it."""

    slug: str
    mark: str = ""
    """`added`, `removed`, or empty."""
    parameter: bool = False


class Edge(msgspec.Struct, frozen=True):
    """A dependency between two tasks, by their slugs."""

    upstream: str
    downstream: str
    key: str = ""
    """The argument of the downstream task that takes the result; empty when only the order is meant."""
    mark: str = ""
    """`added`, `removed`, or empty."""


class Graph(msgspec.Struct, frozen=True):
    """What a registration makes of a flow's structure, for those who would rather look than read."""

    flow: str
    project: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def changes(self) -> bool:
        """Whether a task or a dependency comes or goes."""
        return any(node.mark for node in self.nodes) or any(edge.mark for edge in self.edges)


class Check(msgspec.Struct, frozen=True):
    """A thing that `git prefect doctor` looked at: a row of `checks` in the JSON report."""

    name: str
    """`git`, `hooks`, `clone`, …"""
    facts: tuple[str, ...]
    """What was found, a line each."""
    problem: str = ""
    """What is wrong, and what it would mean at run time; empty when all is well."""
    remedy: str = ""
    """What to type next; empty when all is well."""
    code: str = ""
    """The finding's code, where it is one of docs/findings.md; else the name stands for it."""


class Report(msgspec.Struct, frozen=True):
    """The result of a command; every `--format` is made from it, and nothing else is printed on stdout."""

    command: str
    """As it is typed, without arguments: `validate`, `register`; a plan is `register --dry-run`."""
    exit: int
    refs: tuple[ReportedRef, ...] = ()
    flows: tuple[ReportedFlow, ...] = ()
    findings: tuple[Finding, ...] = ()
    registrations: tuple[Registration, ...] = ()
    registered: tuple[FlowStatus, ...] = ()
    """What Prefect holds of this repository."""
    checks: tuple[Check, ...] = ()
    """What `git prefect doctor` looked at; its problems are among the findings, too."""
    codes: tuple[str, ...] = ()
    """The codes of findings that `git prefect explain` explains."""
    graphs: tuple[Graph, ...] = ()
    """Of the flows whose structure changes; drawn by Markdown only."""
    summary: tuple[str, ...] = ()
    """Sentences that sum up, for people: in text and Markdown, and in no machine's format."""
    root: str = ""
    """Folder that paths are relative to; empty: they are shown as they are."""

    @property
    def is_plan(self) -> bool:
        """Whether it tells what would be done, and nothing was."""
        return self.command.endswith("--dry-run")
