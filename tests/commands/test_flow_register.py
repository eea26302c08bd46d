"""What `flow.register()` has registered: the API has its tasks in the serialized flow, and its edges in a table."""

from __future__ import annotations

import json
from typing import Any

import prefect
import pytest
from prefect.serialization.run_config import RunConfigSchema
from prefect.serialization.storage import StorageSchema

from git_prefect.prefect_api.client import Connection
from git_prefect.report.text import short

from .conftest import Desk, query

FLOW = """\
from prefect import Flow, Parameter, task

@task
def extract(day): return [1, 2]

@task
def load(rows, log=None): return rows

@task
def report(lines): ...

with Flow("etl") as flow:
    rows = extract(Parameter("day", default="today"))
    loaded = load(rows, log=rows)
    report.map(loaded)
    again = load(rows)
"""
AGAIN = "    again = load(rows)\n"


def by_flow_register(desk: Desk, source: str = FLOW) -> None:
    """Replace what is registered as somebody does who calls `flow.register()` with the same storage and run config."""
    (held,) = query(f'flow(where: {{archived: {{_eq: false}}, project: {{name: {{_eq: "{desk.project}"}}}}}})', "storage run_config")
    values: dict[str, Any] = {}
    exec(source, values)
    flow = values["flow"]
    flow.storage, flow.run_config = StorageSchema().load(held["storage"]), RunConfigSchema().load(held["run_config"])
    flow.register(project_name=desk.project, build=False, no_url=True)


@pytest.fixture
def registered(desk: Desk) -> Desk:
    """A flow that was pushed, and registered once more by `flow.register()`."""
    desk.commit(etl=FLOW)
    desk.register("main")
    by_flow_register(desk)
    return desk


def test_the_same_flow_has_no_drift_and_is_not_registered_anew(registered: Desk) -> None:
    """Two edges lead from `extract` to the first `load`: the table of the API holds one of them."""
    (row,) = query(f'flow(where: {{id: {{_eq: "{registered.id_of("etl")}"}}}})', "serialized_flow edges_aggregate { aggregate { count } }")
    assert ("edges" in row["serialized_flow"], row["edges_aggregate"]["aggregate"]["count"]) == (False, 4)
    assert len(row["serialized_flow"]["tasks"]) == 5
    code, out, _ = registered("status")
    assert (code, out) == (
        0, f"main → {registered.project}\n  etl  v2  no schedule  never ran\n1 runtime serves 1 flow: UniversalRun (1)\n",
    )  # fmt: skip
    code, out, err = registered("register", "--ref", "main")
    assert (code, out.splitlines()[-1], err) == (0, "0 registered, 1 unchanged", "")


@pytest.mark.parametrize(
    ("before", "after", "code", "said"),
    [
        (
            AGAIN, "    again = load(extract('x'))\n", "structure-drift",
            "has a task that is not registered: extract-2; the next run fails",
        ),
        (
            AGAIN, "", "structure-drift", "has no longer load-2, which is registered; the next run fails",
        ),
        (
            "report.map(loaded)", "report(loaded)", "settings-drift",
            ["edge load-1 → report-1 (lines): mapped True → False"],
        ),
        (
            AGAIN, "    again = load(loaded)\n", "settings-drift",
            ["edge added: load-1 → load-2 (rows)", "edge removed: extract-1 → load-2 (rows)"],
        ),
        (
            AGAIN, "    again = load(log=rows, rows=None)\n", "settings-drift",
            ["edge added: extract-1 → load-2 (log)", "edge removed: extract-1 → load-2 (rows)"],
        ),
        (
            "def report(lines): ...", "def report(lines): ...\nreport.max_retries = 1", "settings-drift",
            ["task report-1: max_retries 0 → 1"],
        ),
    ],
)  # fmt: skip
def test_what_head_changes_is_drift_and_a_new_version(
    registered: Desk, before: str, after: str, code: str, said: str | list[str]
) -> None:
    if "max_retries" in after:
        after = after.replace("report.max_retries = 1", "import datetime\nreport.max_retries = 1\nreport.retry_delay = datetime.timedelta(1)")
        said = [*said, "task report-1: retry_delay none → 86400"]
    head = short(registered.commit(etl=FLOW.replace(before, after)))
    found, out, _ = registered("status")
    finding = out.splitlines()[2:-1]
    if isinstance(said, str):
        assert (found, finding) == (
            1, [f"    flows/etl.py: HEAD ({head}) {said} [{code}]", "      hint: git prefect register --ref main"],
        )  # fmt: skip
    else:
        text = f"HEAD ({head}) differs from what is registered, and runs start as it is registered"
        assert (found, finding) == (
            0, [f"    flows/etl.py: warning: {text} [{code}]", *(f"        {line}" for line in said), "      hint: git prefect register --ref main"],
        )  # fmt: skip
    planned = registered("register", "--dry-run", "--ref", "main", "--format", "json")[1]
    (row,) = json.loads(planned)["registrations"]
    assert row["action"] == "updated"
    if not isinstance(said, str):
        assert row["changes"] == said
    registered.register("main")
    assert registered("status")[0] == 0


def test_the_graph_marks_what_changes(registered: Desk) -> None:
    registered.commit(etl=FLOW.replace(AGAIN, "    again = load(loaded)\n"))
    drawn = registered("register", "--dry-run", "--ref", "main", "--format", "markdown")[1]
    edges = [line.strip() for line in drawn.splitlines() if ">|" in line]
    assert sorted(edges) == [
        'n0 -->|"day"| n1', 'n1 -->|"log"| n2', 'n1 -->|"rows"| n2', 'n1 -.->|"rows"| n3', 'n2 -->|"lines"| n4',
        'n2 ==>|"rows"| n3',
    ]  # fmt: skip


def test_edges_are_asked_for_only_where_they_are_missing(registered: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    real = Connection.ask

    def counted(self: Connection, text: str, variables: dict[str, Any], *fields: Any) -> dict[str, Any]:
        asked.append(text)
        return real(self, text, variables, *fields)

    monkeypatch.setattr(Connection, "ask", counted)
    assert registered("status")[0] == 0
    assert [("edges" in text) for text in asked] == [False, True]
    registered.commit(etl=FLOW.replace(AGAIN, ""))
    registered.register("main")
    asked.clear()
    assert registered("status")[0] == 0
    assert [("edges" in text) for text in asked] == [False]


def test_tasks_that_are_not_there_yet_are_told(registered: Desk) -> None:
    """A client that is between `create_flow` and `register_tasks`, or has failed there."""
    sent = prefect.Flow("etl").serialize()
    (held,) = query(f'flow(where: {{id: {{_eq: "{registered.id_of("etl")}"}}}})', "storage run_config project { id }")
    from prefect.utilities.graphql import compress

    sent = {**{key: value for key, value in sent.items() if key not in ("tasks", "edges")}, "storage": held["storage"]}
    prefect.Client().graphql(
        "mutation($input: create_flow_from_compressed_string_input!) { create_flow_from_compressed_string(input: $input) { id } }",
        variables={"input": {"project_id": held["project"]["id"], "serialized_flow": compress(sent)}},
    )
    code, out, _ = registered("status")
    assert (code, "has 5 tasks that are not registered: day, extract-1, load-1 and 2 more; the next run fails" in out) == (1, True)
