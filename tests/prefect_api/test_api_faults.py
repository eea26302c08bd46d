"""What an API and a network in trouble do to a registration: after each trouble the state of the API and of the queue.

Version 1 of a flow is registered, and a push that changes it has arrived; then trouble comes. In the end, whatever
came, version 2 is what is active, registered once, and nothing waits.
"""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
from prefect.utilities.configuration import set_temporary_config

from git_prefect.core.errors import OutOfReach
from git_prefect.core.model import RefUpdate
from git_prefect.deploy import delivery, pending
from git_prefect.git import configuration
from git_prefect.prefect_api import apply
from git_prefect.prefect_api.queries import Api

from ..proxy import Proxy, Trouble, with_body
from ..repository import Clone, known_checks

SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"
[[tool.git-prefect.target]]
branch = "feature/**"
project = "{project}"
create-project = true
"""
FLOW = """\
from prefect import Flow, task

@task
def one(): ...

with Flow("etl") as flow:
    one()
"""
QUERY, MUTATION = "flow_aggregate", "create_flow_from_compressed_string"


class Desk(NamedTuple):
    """A clone whose push has arrived and waits, the API directly, and what leads to it with the trouble."""

    clone: Clone
    project: str
    api: Api
    settings: dict[str, Any]

    def push(self, source: str) -> None:
        """Commit, push, and write down what the hook writes down."""
        head = self.clone.commit({"etl.py": source})
        self.clone.git("push", "--quiet", "origin", "feature/x")
        update = RefUpdate("origin", "", "refs/heads/feature/x", head, head, None, "push")
        pending.record(self.clone.repository, update, None, None, None)

    def settle(self, **settings: Any) -> None:
        """What the watcher does, or `git prefect register --pending`."""
        with set_temporary_config({**self.settings, **settings}):
            delivery.deliver(self.clone.repository, due_only=False)

    def active(self) -> list[tuple[str, int, int]]:
        """Name, version and number of tasks of what is active in the project."""
        flows = self.api.registered([self.project]).flows
        return sorted((one.name, one.version, len(one.serialized["tasks"])) for one in flows)

    def waiting(self) -> str:
        """Why the push waits; empty when nothing does."""
        return "; ".join(entry.error for entry in pending.entries(self.clone.repository))


@pytest.fixture
def desk(
    work: Clone, proxy: Proxy, api_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: Path
) -> Iterator[Desk]:
    monkeypatch.setenv("GIT_PREFECT_PYTHON", sys.executable)
    monkeypatch.setattr(apply, "PAUSES", (0.01, 0.02, 0.03))
    project = f"faults-{uuid.uuid4().hex}"
    work.git("switch", "--quiet", "--create", "feature/x")
    work.commit({"pyproject.toml": SETTINGS.format(project=project)})
    configuration.cache_clear()
    common = {"backend": "server", "home_dir": str(tmp_path), "cloud.api_key": None, "cloud.tenant_id": None}
    with known_checks(work, checks), set_temporary_config({**common, "server.endpoint": api_url, "cloud.api": api_url}):
        desk = Desk(work, project, Api(), {"server.endpoint": proxy.url, "cloud.api": proxy.url})
        desk.push(FLOW)
        desk.settle()
        assert (desk.active(), desk.waiting()) == ([("etl", 1, 1)], "")
        desk.push(FLOW + "    one()\n")
        yield desk
        requests.delete(f"{api_url}/_fault", timeout=60)


class Case(NamedTuple):
    """A trouble, and what it leads to."""

    faults: list[dict[str, Any]] = []
    """Of the development API."""
    troubles: list[Trouble] = []
    """Of the proxy."""
    settings: dict[str, Any] = {}
    """Of Prefect."""
    version: int = 1
    """What is active after the first attempt."""
    waits: str = ""
    """Why the push waits after it; empty when it does not."""


def query(**fault: Any) -> list[dict[str, Any]]:
    return [{"match": QUERY, **fault}]


def mutation(**fault: Any) -> list[dict[str, Any]]:
    return [{"match": MUTATION, **fault}]


def partial(answer: bytes) -> bytes:
    """An answer with errors, and data beside them."""
    data = json.loads(answer.partition(b"\r\n\r\n")[2])["data"]
    return with_body(answer, json.dumps({"errors": [{"message": "Lost half of it"}], "data": data}).encode())


def garbage(answer: bytes) -> bytes:
    return b"SSH-2.0-OpenSSH_9.2p1\r\n"


def truncated(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    return with_body(answer, body[: len(body) // 2])


def flipped(answer: bytes) -> bytes:
    head, _, body = answer.partition(b"\r\n\r\n")
    return with_body(answer, bytes(255 - byte for byte in body))


Q, M = QUERY.encode(), MUTATION.encode()
NOT_JSON = "it answered with something that is not JSON"
CASES = {
    "down": Case(settings={"cloud.api": "http://127.0.0.1:9", "server.endpoint": "http://127.0.0.1:9"}, waits="no connection"),
    "query: reset": Case(query(kind="drop-before"), waits="no connection"),
    "query: time-out": Case(query(kind="delay", seconds=3, times=3), settings={"cloud.request_timeout": 0.5}, waits="it did not answer in time"),
    "query: time-out of a large answer": Case(query(kind="delay", seconds=3), settings={"cloud.request_timeout": 0.5}, version=2),
    "query: slow": Case(query(kind="delay", seconds=0.5), version=2),
    "query: 500": Case(query(kind="status", status=500), waits="it answered HTTP 500"),
    "query: 502": Case(query(kind="html", status=502), waits="it answered HTTP 502"),
    "query: 429": Case(query(kind="status", status=429), waits="it answered HTTP 429"),
    "query: HTML": Case(query(kind="html", status=200), waits=NOT_JSON),
    "query: error": Case(query(kind="error", message="Operation timed out"), waits="it answered with an error (Operation timed out)"),
    "query: error and data": Case(troubles=[Trouble(Q, spoil=partial)], waits="it answered with an error (Lost half of it)"),
    "query: 401": Case(query(kind="status", status=401), waits="does not accept the API key (HTTP 401)"),
    "query: 403": Case(query(kind="html", status=403), waits="does not accept the API key (HTTP 403)"),
    "query: UNAUTHENTICATED": Case(query(kind="error", code="UNAUTHENTICATED"), waits="does not accept the API key"),
    "query: cut on the way there": Case(troubles=[Trouble(Q, cut_request=True)], waits="no connection"),
    "query: cut on the way back": Case(troubles=[Trouble(Q, cut_answer=True)], waits="no connection"),
    "query: half of the answer": Case(troubles=[Trouble(Q, spoil=truncated)], waits=NOT_JSON),
    "query: corrupted": Case(troubles=[Trouble(Q, spoil=flipped)], waits="not"),
    "query: no HTTP": Case(troubles=[Trouble(Q, spoil=garbage)], waits="no connection"),
    "query: delayed": Case(troubles=[Trouble(Q, delay=0.5)], version=2),
    "a tenant that is not there": Case(settings={"cloud.tenant_id": str(uuid.UUID(int=1))}, waits="has no tenant 00000000"),
    # From here on the mutation: what counts is what is read back.
    "reset before": Case(mutation(kind="drop-before"), version=2),
    "reset after it was applied": Case(mutation(kind="drop-after"), version=2),
    "reset before, always": Case(mutation(kind="drop-before", times=4), waits="no connection. What runs now: version 1"),
    "error before": Case(mutation(kind="error", message="Oh"), waits="refused it: Oh. What runs now: version 1"),
    "error after it was applied": Case(mutation(kind="error-after", message="Oh"), version=2),
    "500": Case(mutation(kind="status", status=500), version=2),
    "502": Case(mutation(kind="html", status=502), version=2),
    "502, always": Case(mutation(kind="html", status=502, times=4), waits="it answered HTTP 502. What runs now: version 1"),
    "413": Case(mutation(kind="html", status=413), waits="HTTP 413: the request is larger than the API takes (5 MB). What runs now: version 1"),
    "401": Case(mutation(kind="status", status=401), waits="does not accept the API key (HTTP 401). What runs now: version 1"),
    "HTML": Case(mutation(kind="html", status=200), version=2),
    "time-out before it was applied": Case(mutation(kind="delay", seconds=3), settings={"cloud.request_timeout": 0.5}, waits="it did not answer in time. What runs now: version 1"),
    "slow": Case(mutation(kind="delay", seconds=0.5), version=2),
    "cut on the way there": Case(troubles=[Trouble(M, cut_request=True)], version=2),
    "cut on the way back": Case(troubles=[Trouble(M, cut_answer=True)], version=2),
    "half of the answer": Case(troubles=[Trouble(M, spoil=truncated)], version=2),
    "corrupted": Case(troubles=[Trouble(M, spoil=flipped)], version=2),
    "error and data": Case(troubles=[Trouble(M, spoil=partial)], version=2),
    "no HTTP": Case(troubles=[Trouble(M, spoil=garbage)], version=2),
    # What is read back cannot be had: what was registered is not known, and is found the next time.
    "lost when reading back": Case([*query(kind="delay", seconds=0), *query(kind="drop-before", times=4)], version=2, waits="what became of the registrations in project"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_after_the_trouble(desk: Desk, proxy: Proxy, api_url: str, case: Case) -> None:
    requests.post(f"{api_url}/_fault", json=case.faults, timeout=60)
    proxy.trouble(*case.troubles)
    desk.settle(**case.settings)
    if case.waits:
        assert case.waits in desk.waiting()
    else:
        assert desk.waiting() == ""
    requests.delete(f"{api_url}/_fault", timeout=60)
    assert desk.active() == [("etl", case.version, case.version)]
    desk.settle()
    assert (desk.active(), desk.waiting()) == ([("etl", 2, 2)], "")


def test_a_time_out_after_which_it_was_applied_all_the_same_registers_nothing_twice(
    desk: Desk, api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The answer comes too late for the client, and in time for what is read back.
    monkeypatch.setattr(apply, "PAUSES", (1.5, 1.5, 1.5))
    requests.post(f"{api_url}/_fault", json=mutation(kind="delay", seconds=1.5), timeout=60)
    desk.settle(**{"cloud.request_timeout": 1})
    assert (desk.active(), desk.waiting()) == ([("etl", 2, 2)], "")
    desk.settle()
    assert desk.active() == [("etl", 2, 2)]


def test_two_tenants_with_a_project_of_the_same_name(desk: Desk) -> None:
    name = f"t-{uuid.uuid4().hex}"
    query = "mutation($input: create_tenant_input!) { create_tenant(input: $input) { id } }"
    tenant = desk.api.ask(query, {"input": {"name": name, "slug": name}})["create_tenant"]["id"]
    identity = desk.api.create_project(desk.project, tenant)
    (held,) = desk.api.registered([desk.project]).flows
    desk.api.create_flow(identity, {**held.serialized, "storage": {"type": "Docker"}}, True)
    desk.settle()
    assert (desk.active(), desk.waiting()) == ([("etl", 2, 2)], "")
    query = "query($id: uuid) { flow(where: {project_id: {_eq: $id}}) { version archived storage } }"
    theirs = desk.api.ask(query, {"id": identity})["flow"]
    assert theirs == [{"version": 1, "archived": False, "storage": {"type": "Docker"}}]


def test_a_query_that_is_too_deep_says_so_and_none_of_ours_is(desk: Desk) -> None:
    """The development API counts as Prefect Server does: all others in these tests have passed."""
    deep = "id"
    for _ in range(4):
        deep = f"project {{ flows {{ {deep} }} }}"
    with pytest.raises(OutOfReach) as raised:
        desk.api.ask(f"query {{ flow {{ {deep} }} }}", {})
    assert "exceeds maximum operation depth of 7" in raised.value.message


LARGE = """\
import base64, random
from prefect import Flow, Parameter

with Flow("etl") as flow:
    flow.add_task(Parameter("noise", default=base64.b64encode(random.Random(0).randbytes({bytes})).decode()))
"""


def test_a_flow_that_is_larger_than_the_api_takes_is_refused_before_it_is_sent(desk: Desk, api_url: str) -> None:
    desk.push(LARGE.format(bytes=6_000_000))
    requests.delete(f"{api_url}/_requests", timeout=60)
    desk.settle()
    asked = requests.get(f"{api_url}/_requests", timeout=60).json()["fields"]
    assert MUTATION not in asked
    said, _, runs = desk.waiting().partition(". What runs now: ")
    assert re.fullmatch(
        r"etl: the request has \d+\.\d MB, and the Prefect API at http://127\.0\.0\.1:\d+ takes 5 MB", said
    )
    assert runs.startswith("version 1, localhost/")
    assert desk.active() == [("etl", 1, 1)]


def test_a_flow_of_five_thousand_tasks_is_registered_as_a_whole(desk: Desk) -> None:
    desk.push(FLOW.replace("    one()\n", "    for _ in range(5000):\n        one()\n"))
    desk.settle()
    assert (desk.active(), desk.waiting()) == ([("etl", 2, 5000)], "")
    desk.settle()
    assert desk.active() == [("etl", 2, 5000)]
