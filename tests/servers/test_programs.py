"""A machine without the servers: its tests are skipped with the command that installs them, and fail in CI."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from . import programs

MISSING = "nginx is not installed here: run `make servers`"


def test_a_missing_program_skips_and_names_the_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "FOLDERS", str(tmp_path))
    monkeypatch.setattr(programs, "IN_CI", False)
    with pytest.raises(pytest.skip.Exception, match=MISSING):
        programs.program("nginx")


def test_in_ci_it_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(programs, "FOLDERS", str(tmp_path))
    monkeypatch.setattr(programs, "IN_CI", True)
    with pytest.raises(pytest.fail.Exception, match=MISSING):
        programs.program("nginx")


def test_make_servers_does_nothing_where_they_are() -> None:
    for name in ("nginx", "fcgiwrap", "sshd"):
        programs.program(name)
    done = subprocess.run(["make", "servers"], cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "all servers are installed\n")
