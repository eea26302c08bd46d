"""Answers of an API: any JSON, HTML, wrong types, read by the real client and by every command that asks.

The development API answers, and what it answers is spoiled on its way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prefect.utilities.configuration import set_temporary_config

from git_prefect.core.errors import GitPrefectError
from git_prefect.core.settings import Target
from git_prefect.deploy.diagnosis import backend as doctor
from git_prefect.prefect_api import agents, apply
from git_prefect.prefect_api.queries import Api

from ..prefect_api.conftest import deployment, update
from ..proxy import Proxy, Trouble, with_body
from ..repository import Clone
from .conftest import Command
from .strategies import DEEP, JSON, places, tries

SETTINGS = """\
clone-url-secret = "URL"
[[target]]
branch = "**"
project = "{project}"
create-project = true
"""
FLOW = """\
from prefect import Flow, Parameter, task
from prefect.schedules import CronSchedule
from prefect.run_configs import DockerRun

@task
def one(x): ...

with Flow("etl", schedule=CronSchedule("0 0 * * *"), run_config=DockerRun(image="x")) as flow:
    one(one(Parameter("x", default={default})))
"""


@pytest.fixture
def clone(
    work: Clone, command: Command, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> Iterator[Clone]:
    """A clone with a registered flow, of a branch that is gone another, and an agent; asked through the proxy."""
    monkeypatch.chdir(work.path)
    monkeypatch.setenv("GIT_PREFECT_PYTHON", sys.executable)
    monkeypatch.setattr(apply, "PAUSES", (0.001, 0.001, 0.001))
    project = tmp_path.name.replace("_", "-")
    work.commit({".git-prefect.toml": SETTINGS.format(project=project), "etl.py": FLOW.format(default=0)})
    work.git("push", "--quiet")
    configured = {"backend": "server", "home_dir": str(tmp_path), "server.endpoint": proxy.url, "cloud.api": proxy.url}
    proxy.clear()
    with set_temporary_config(configured):
        ended = command("register")
        assert ended.code == 0, ended
        yield work
        proxy.clear()


def answer_with(body: bytes, status: int = 200, kind: str = "application/json") -> Any:
    head = f"HTTP/1.1 {status} Whatever\r\ncontent-type: {kind}\r\n\r\n".encode()
    return lambda answer: with_body(head, body)


def spoil(proxy: Proxy, spoil: Any, times: int = 1000) -> None:
    """From now on all answers are spoiled so, and in no other way."""
    proxy.clear()
    proxy.trouble(Trouble(b"query", times=times, spoil=spoil))


BODIES = st.one_of(
    st.binary(max_size=80),
    JSON.map(lambda one: json.dumps(one).encode()),
    JSON.map(lambda one: json.dumps({"data": one}).encode()),
    JSON.map(lambda one: json.dumps({"errors": one}).encode()),
    JSON.map(lambda one: json.dumps({"errors": [one], "data": None}).encode()),
    st.sampled_from([b"<html>It works!</html>", b"", b"null", b"NaN", b"{}", DEEP.encode(), b'{"data": ' + DEEP.encode() + b"}"]),
)
STATUS = st.sampled_from([200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 413, 418, 429, 500, 502, 503, 599])
TYPES = st.sampled_from(["application/json", "text/html; charset=utf-8", "application/json; charset=nonsense", ""])


@given(BODIES, STATUS, TYPES)
@example(b'{"data": {"tenant": 1, "project": [], "flow_aggregate": {}, "flow": []}}', 200, "application/json")
@example(b'{"errors": {"message": "x"}}', 200, "application/json")
@example(b'{"errors": [[]]}', 200, "application/json")
@example(b'{"errors": 5}', 200, "application/json")
@tries(60)
def test_any_answer_is_out_of_reach_or_a_refusal(clone: Clone, proxy: Proxy, body: bytes, status: int, kind: str) -> None:
    spoil(proxy, answer_with(body, status, kind))
    with pytest.raises(GitPrefectError) as raised:
        Api().registered(["p"], ["etl"])
    assert proxy.url in raised.value.message or raised.value.message.startswith("HTTP 413: ")


COMMANDS = [("status",), ("prune", "--yes"), ("register",), ("register", "--dry-run"), ("run", "etl", "--project", "none")]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@given(BODIES, STATUS, TYPES)
@tries(3, seconds=60)
def test_commands_end_well_whatever_the_api_answers(
    arguments: tuple[str, ...], clone: Clone, proxy: Proxy, command: Command, body: bytes, status: int, kind: str
) -> None:
    spoil(proxy, answer_with(body, status, kind))
    assert command(*arguments).code != 0


def replaced(answer: bytes, number: int, value: Any) -> bytes:
    """The answer with the part of its data of this number replaced; without a value: taken away."""
    document = json.loads(answer.partition(b"\r\n\r\n")[2])
    ways = [way for way in places(document) if len(way) > 1]
    way = ways[number % len(ways)]
    holder = document
    for key in way[:-1]:
        holder = holder[key]
    if value is GONE:
        del holder[way[-1]]
    else:
        holder[way[-1]] = value
    return with_body(answer, json.dumps(document).encode())


GONE = object()
ODD = st.one_of(st.just(GONE), JSON, st.sampled_from([None, [], {}, "", 0, "x", [None], [[]], [{}], {"x": None}, True, 1e999]))


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
@given(st.integers(0, 10_000), ODD, st.integers(1, 4))
@example(3, GONE, 1)
@tries(5, seconds=60)
def test_commands_end_well_with_an_answer_of_which_one_part_is_odd(
    arguments: tuple[str, ...], clone: Clone, proxy: Proxy, command: Command, number: int, value: Any, times: int
) -> None:
    # There is something to register, and nothing new to load.
    clone.commit({"etl.py": FLOW.format(default=number % 2)})
    clone.git("push", "--quiet")
    spoil(proxy, lambda answer: replaced(answer, number, value), times)
    command(*arguments)


@given(st.one_of(st.tuples(BODIES, STATUS, TYPES), st.tuples(st.integers(0, 100), ODD)))
@example((0, {"last_queried": "yesterday"}))
@tries(30)
def test_the_doctor_says_what_is_wrong_with_the_api(clone: Clone, proxy: Proxy, spoiling: tuple[Any, ...]) -> None:
    spoil(proxy, answer_with(*spoiling) if len(spoiling) == 3 else lambda answer: replaced(answer, *spoiling))
    check, api = doctor.api()
    assert check.problem or api
    found, registered = doctor.tenant_and_project(Api(), deployment(update("refs/heads/x"), Target(project="none", branch="**")))
    assert all(one.problem or one.facts for one in found)
    check = doctor.agents_for(Api(), registered.tenant_id if registered else "x", [("DockerRun", ("dev",))])
    assert check.problem


@pytest.mark.parametrize("moment", ["yesterday", "", "2020-13-01T00:00:00+00:00", "2020-01-01T00:00:00.1+99:99"])
def test_an_agent_that_asked_at_no_time_counts_as_stopped(moment: str) -> None:
    assert not agents._agent({"last_queried": moment, "name": None, "type": None, "labels": None}).living
