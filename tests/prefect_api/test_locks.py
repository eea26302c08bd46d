"""One project, one process: real processes, which wait, are told for whom, and never wait for ever."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from git_prefect.core.errors import UsageError
from git_prefect.prefect_api import locks

HOLDER = """\
import sys
from git_prefect.prefect_api import locks
with locks.project_lock(sys.argv[1], sys.argv[2], "origin/main at c29dcbe"):
    print("held", flush=True)
    sys.stdin.read()
"""
API = "http://localhost:4200"


@pytest.fixture
def holder() -> subprocess.Popen[str]:
    """Another process that holds the project `dev`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, f"{API}/", "dev"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout and process.stdout.readline() == "held\n"
    return process


def test_another_process_is_waited_for_and_named(
    holder: subprocess.Popen[str], capsys: pytest.CaptureFixture[str], world: Path
) -> None:
    with pytest.raises(locks.StillRegistering) as raised, locks.project_lock(API, "dev", "me", longest_wait=0.1):
        pass
    who = f"process {holder.pid} (origin/main at c29dcbe)"
    assert raised.value.message == f"project 'dev' is still being registered into by {who}, after 0 s"
    assert capsys.readouterr().err == f"waiting for {who}, which registers into project 'dev'\n"
    with locks.project_lock(API, "other", "me"), locks.project_lock("http://elsewhere:4200", "dev", "me"):
        pass
    holder.communicate("")
    with locks.project_lock(API, "dev", "me", longest_wait=0.1):
        assert len(list((world / ".local/state/git-prefect/locks").iterdir())) == 3


def test_a_process_that_is_killed_holds_nothing(holder: subprocess.Popen[str]) -> None:
    holder.kill()
    holder.communicate()
    with locks.project_lock(API, "dev", "me", longest_wait=0.1):
        pass


def test_where_locks_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with locks.project_lock(API, "dev", "me"):
        assert len(list((tmp_path / "state/git-prefect/locks").iterdir())) == 1
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    with locks.project_lock(API, "dev", "me"):
        assert len(list((tmp_path / "tmp").glob("git-prefect-*/locks/*.lock"))) == 1


def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    with pytest.raises(UsageError) as raised, locks.project_lock(API, "dev", "me"):
        pass
    assert str(raised.value) == (
        f"{tmp_path}/file/git-prefect/locks: Not a directory, so registrations cannot be kept apart from those of other "
        "processes\nhint: set XDG_STATE_HOME to a folder that can be written"
    )
