"""The durable record of pushes that wait."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from git_prefect.core.model import RefUpdate
from git_prefect.deploy import pending
from git_prefect.git.process import Process, _look, ancestors, is_running, wait_for_end

from ..repository import Clone

UPDATE = RefUpdate("origin", "https://h/r", "refs/heads/x", "c" * 40, "c" * 40, None, "push")


def test_an_entry_comes_back_as_it_was_written(work: Clone) -> None:
    made = pending.record(work.repository, UPDATE, "b" * 40, Process(4, "5"), "dev")
    assert pending.entries(work.repository) == [made]
    assert replace(made, id="", created=0.0) == pending.Entry(
        "", 0.0, "origin", "https://h/r", "refs/heads/x", "c" * 40, "c" * 40, "b" * 40, Process(4, "5"), "dev"
    )


def test_a_push_that_two_hooks_see_is_written_down_once(work: Clone) -> None:
    made = pending.record(work.repository, UPDATE, None, Process(4, "5"), "dev")
    assert pending.record(work.repository, UPDATE, "b" * 40, Process(4, "5"), None) == made
    # Another push of the same, and one that nobody saw, are others.
    pending.record(work.repository, UPDATE, None, Process(4, "6"), "dev")
    pending.record(work.repository, UPDATE, None, None, "dev")
    assert len(pending.entries(work.repository)) == 3


def test_entries_are_private_to_the_user(work: Clone) -> None:
    made = pending.record(work.repository, UPDATE, None, None, None)
    path = Path(work.repository.state_dir, "pending", f"{made.id}.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_torn_foreign_and_newer_entries_are_passed_over_and_stay(work: Clone) -> None:
    made = pending.record(work.repository, UPDATE, None, None, None)
    folder = Path(work.repository.state_dir, "pending")
    (folder / "0.json").write_text("{")
    (folder / "1.json").write_text("[]")
    newer = json.loads((folder / f"{made.id}.json").read_text())
    for name, odd in (
        ("2", {"format": pending.FORMAT + 1}), ("3", {"colour": "red"}), ("4", {"ref": None}), ("5", {"attempts": "many"}),
        ("6", {"id": "another"}), ("7", {"remote": "a\0b"}),
    ):  # fmt: skip
        (folder / f"{name}.json").write_text(json.dumps({**newer, "id": name, **odd}))
    assert pending.entries(work.repository) == [made]
    assert len(os.listdir(folder)) == 9


def test_a_failure_waits_longer_each_time_an_hour_at_most(work: Clone) -> None:
    entry = pending.record(work.repository, UPDATE, None, None, None)
    waits = []
    for _ in range(9):
        entry = pending.postpone(work.repository, entry, "down")
        path = Path(work.repository.state_dir, "pending", f"{entry.id}.json")
        waits.append(round(entry.not_before - path.stat().st_mtime))
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert pending.entries(work.repository) == [entry]
    assert (entry.attempts, entry.error) == (9, "down")


def test_a_closed_entry_is_a_line_of_the_log(work: Clone) -> None:
    entry = pending.record(work.repository, UPDATE, None, None, None)
    pending.close(work.repository, entry, "not arrived", {"reason": "rejected"})
    assert pending.entries(work.repository) == []
    (line,) = pending.log_lines(work.repository)
    del line["time"]
    assert line == {
        "format": 1,
        "result": "not arrived",
        "ref": "refs/heads/x",
        "remote": "origin",
        "commit": "c" * 40,
        "reason": "rejected",
    }


def test_one_settles_at_a_time(work: Clone) -> None:
    with (
        pending.delivery_lock(work.repository, wait=False) as first,
        pending.delivery_lock(work.repository, wait=False) as second,
    ):
        assert (first, second) == (True, False)


def test_a_process_is_known_by_its_start(work: Clone) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        started = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
        assert is_running(Process(child.pid, started))
        assert not is_running(Process(child.pid, "another"))
        assert not wait_for_end(Process(child.pid, started), 0.01)
        child.communicate(b"\n")
        assert wait_for_end(Process(child.pid, started), 10)


def test_a_process_is_known_by_its_start_where_there_is_no_proc(work: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS: by `ps`, and looked at now and again."""
    monkeypatch.setattr("sys.platform", "darwin")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        (parent, arguments), *_ = ancestors()
        assert is_running(parent) and arguments
        seen = _look(child.pid)
        assert seen is not None and seen.parent == os.getpid()
        assert is_running(Process(child.pid, seen.started))
        assert not is_running(Process(child.pid, "another"))
        assert not wait_for_end(Process(child.pid, seen.started), 0.01)
        child.communicate(b"\n")
        assert wait_for_end(Process(child.pid, seen.started), 10)


ENTRY_OF_0_1_0 = """\
{
 "format": 1, "id": "01795766192000000000-42", "created": 1795766192.5, "remote": "origin", "url": "https://h/r",
 "ref": "refs/heads/x", "commit": "cccc", "pushed_object": "cccc", "tracking_before": null,
 "pusher": {"pid": 4, "started": "5"}, "project": null, "attempts": 1, "not_before": 1795766222.5, "error": "down"
}"""
LINE_OF_0_1_0 = (
    '{"format": 1, "time": 1795766192.5, "result": "registered", "ref": "refs/heads/x", "remote": "origin", "commit": "cccc",'
    ' "flows": [{"flow": "etl", "path": "etl.py", "project": "dev", "action": "created", "version": 1}]}'
)


def test_what_0_1_0_has_written_is_read(work: Clone) -> None:
    state = Path(work.repository.state_dir)
    (state / "pending").mkdir(parents=True)
    (state / "pending" / "01795766192000000000-42.json").write_text(ENTRY_OF_0_1_0)
    (state / "log.jsonl").write_text(f"{LINE_OF_0_1_0}\n")
    assert pending.entries(work.repository) == [
        pending.Entry(
            "01795766192000000000-42", 1795766192.5, "origin", "https://h/r", "refs/heads/x", "cccc", "cccc", None,
            Process(4, "5"), None, 1, 1795766222.5, "down",
        )
    ]  # fmt: skip
    assert pending.log_lines(work.repository) == [json.loads(LINE_OF_0_1_0)]
