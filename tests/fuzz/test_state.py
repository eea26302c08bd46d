"""Kept state: whatever is in the files below the git directory, the hooks and commands go on without it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prefect.utilities.configuration import set_temporary_config

from git_prefect.deploy import delivery
from git_prefect.git import configuration

from ..repository import Clone
from .conftest import Command
from .strategies import DEEP, JSON, places, spoiled, tries

SETTINGS = 'clone-url-secret = "URL"\n[[target]]\nbranch = "**"\nproject = "p"\n'
FLOW = "from prefect import Flow\nflow = Flow('etl')\n"




@pytest.fixture
def clone(work: Clone, monkeypatch: pytest.MonkeyPatch) -> Iterator[Clone]:
    monkeypatch.chdir(work.path)
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("GIT_PREFECT_PYTHON", sys.executable)
    work.commit({".git-prefect.toml": SETTINGS, "etl.py": FLOW})
    # Nobody listens there: an API that is down, so that what has arrived stays.
    with set_temporary_config({"backend": "server", "server.endpoint": "http://127.0.0.1:9", "cloud.api": "http://127.0.0.1:9"}):
        yield work


def push(clone: Clone, command: Command) -> None:
    line = f"refs/heads/main {clone.head()} refs/heads/main {'0' * 40}\n"
    ended = command("pre-push", "origin", clone.git("remote", "get-url", "origin"), stdin=line.encode())
    assert ended.code == 0, ended


def files(clone: Clone) -> dict[str, bytes]:
    """What a push, a refusal and a failure leave behind."""
    state = Path(clone.repository.state_dir)
    names = [one for one in state.rglob("*") if one.is_file() and "snapshot" not in one.parts and one.suffix != ".lock"]
    return {str(one.relative_to(state)): one.read_bytes() for one in names}


FLOW_LINE = {
    "flow": "etl", "path": "etl.py", "project": "p", "action": "failed", "version": 1, "changes": ["task added: x"],
    "reason": "no", "storage": "h/r etl.py@main", "url": "http://h", "overrides": ["labels dev"],
}  # fmt: skip
LINES = [
    {"format": 1, "time": 1.0, "result": "refused", "ref": "refs/heads/main", "remote": "origin", "commit": "c" * 40,
     "flows": [FLOW_LINE], "left_out": ["x.py: no"], "unclonable": ["y"], "notes": ["z"]},
    {"format": 1, "time": 2.0, "result": "not arrived", "ref": "refs/heads/x", "remote": "origin", "commit": "c" * 40, "reason": "rejected"},
    {"format": 1, "time": 2.0, "result": "registered", "ref": "refs/tags/v1", "remote": "origin", "commit": "c" * 40, "flows": [FLOW_LINE]},
]  # fmt: skip
ENTRY = {
    "format": 1, "id": "00000000001764000000-1", "created": 1.0, "remote": "origin", "url": "x", "ref": "refs/heads/main",
    "commit": "c" * 40, "pushed_object": "c" * 40, "tracking_before": None, "pusher": {"pid": 1, "started": "2"},
    "project": None, "attempts": 0, "not_before": 0.0, "error": "",
}  # fmt: skip


def write(clone: Clone, name: str, content: bytes) -> None:
    path = Path(clone.repository.state_dir, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def look(clone: Clone, command: Command) -> None:
    """What reads the state: a push, one that is up to date, a settling, status."""
    push(clone, command)
    command("pre-push", "origin", "x")
    configuration.cache_clear()
    delivery.deliver(clone.repository, due_only=False)
    assert not Path(clone.repository.state_dir, "crash.log").exists(), "a bug while settling"
    command("register", "--pending")
    command("status")


@given(spoiled(ENTRY))
@example({**ENTRY, "attempts": 10**6})
@example({**ENTRY, "attempts": "x"})
@example({**ENTRY, "not_before": "x"})
@example({**ENTRY, "not_before": None, "error": 1})
@example({**ENTRY, "not_before": 1e999})
@example({**ENTRY, "pusher": {"pid": "x", "started": []}})
@example({**ENTRY, "pusher": {"pid": 10**400, "started": ""}})
@example({**ENTRY, "ref": None})
@example({**ENTRY, "id": "../../../x"})
@example({**ENTRY, "id": "x\0y"})
@example({**ENTRY, "commit": "--help", "tracking_before": 5})
@tries(6, seconds=60)
def test_any_entry(clone: Clone, command: Command, document: Any) -> None:
    write(clone, f"pending/{ENTRY['id']}.json", json.dumps(document).encode())
    look(clone, command)
    shutil.rmtree(clone.repository.state_dir + "/pending", ignore_errors=True)


@given(st.lists(st.sampled_from(LINES).flatmap(spoiled), max_size=3))
@example([{**LINES[0], "time": "x"}])
@example([{**LINES[0], "time": 1e400}])
@example([{**LINES[0], "time": 10**400}])
@example([{**LINES[0], "ref": None}])
@example([{**LINES[0], "ref": "x", "flows": 1}])
@example([{**LINES[0], "flows": [{}]}])
@example([{**LINES[0], "flows": [None]}])
@example([{**LINES[0], "flows": [{**FLOW_LINE, "changes": 1}]}])
@example([{**LINES[0], "left_out": {}, "notes": 1}])
@example([{**LINES[2], "commit": None, "reason": {}}])
@example([{**LINES[0], "flows": None}])
@example([{**LINES[0], "flows": [{key: value for key, value in FLOW_LINE.items() if key != "reason"}]}])
@example([{**LINES[0], "flows": [{**FLOW_LINE, "changes": None}]}])
@tries(6, seconds=60)
def test_any_log(clone: Clone, command: Command, lines: list[Any]) -> None:
    write(clone, "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines).encode())
    (Path(clone.repository.state_dir) / "told").unlink(missing_ok=True)
    look(clone, command)


KEPT = ["pending/0.json", "log.jsonl", "told", "recall.json", "interpreters.json", "verdicts/sources"]


@given(st.sampled_from(KEPT), st.one_of(st.binary(max_size=60), JSON.map(lambda one: json.dumps(one).encode())))
@example("pending/0.json", DEEP.encode())
@example("log.jsonl", DEEP.encode())
@example("log.jsonl", b"\xff\n{}")
@example("recall.json", DEEP.encode())
@example("interpreters.json", DEEP.encode())
@example("told", b"nan")
@tries(6, seconds=60)
def test_any_bytes(clone: Clone, command: Command, name: str, content: bytes) -> None:
    write(clone, name, content)
    look(clone, command)
    Path(clone.repository.state_dir, name).unlink(missing_ok=True)


@given(st.data())
@tries(4, seconds=60)
def test_what_a_push_has_kept_spoiled(clone: Clone, command: Command, data: st.DataObject) -> None:
    """Every file that a real push keeps, verdicts and the memory of an idle push among them."""
    shutil.rmtree(clone.repository.state_dir, ignore_errors=True)
    push(clone, command)
    push(clone, command)
    for name, content in files(clone).items():
        kind = data.draw(st.sampled_from(["document", "bytes", "half", "as it is"]))
        if kind == "document":
            try:
                # What varies from run to run is not drawn from.
                document = json.loads(content)
            except ValueError:
                continue
            content = json.dumps(spoilt(document, data.draw(st.integers(0, 1000)), data.draw(JSON))).encode()
        elif kind != "as it is":
            content = data.draw(st.binary(max_size=100)) if kind == "bytes" else content[: len(content) // 2]
        write(clone, name, content)
    look(clone, command)


def spoilt(document: Any, number: int, value: Any) -> Any:
    """The document with one of its parts, by number, replaced."""
    ways = places(document)
    way = ways[number % len(ways)]
    if not way:
        return value
    holder = document
    for key in way[:-1]:
        holder = holder[key]
    holder[way[-1]] = value
    return document
