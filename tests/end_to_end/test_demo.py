"""`make demo` tells its whole story, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .conftest import PROJECT, Tools, until

DEMO = PROJECT / "demo" / "demo.py"


@pytest.fixture
def places(tmp_path: Path, tools: Tools, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the demo makes its throw-away folder."""
    folder = tmp_path / "places"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def of_the_demo(places: Path) -> list[str]:
    """Command lines of the processes that have to do with the demo's folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(places).encode() in (folder / "cmdline").read_bytes() + (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_the_demo_tells_its_story(places: Path, tools: Tools) -> None:
    before = of_the_demo(places)
    told = subprocess.run(
        [sys.executable, str(DEMO), "--hook", str(tools.hook), "--pre-commit-home", str(tools.pre_commit_home)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    for line in ("revenue: 120", "revenue: 180", "revenue: 360", "revenue: 1200"):
        assert line in told.stdout
    assert "unchanged: orders-etl → dev-feature--prices, version 1: the branch's HEAD is what runs" in told.stdout
    assert "registered: orders-etl → dev-feature--prices, version 2" in told.stdout
    assert "[import-not-on-agent]" in told.stdout
    assert "registered: 4 flows → production" in told.stdout
    assert "From git push to the flow running: " in told.stdout.splitlines()[-1]
    assert list(places.glob("git-prefect-demo-*")) == []
    until(lambda: of_the_demo(places) == before)


def test_ctrl_c_leaves_nothing_behind(places: Path, tools: Tools) -> None:
    before = of_the_demo(places)
    with subprocess.Popen(
        [sys.executable, str(DEMO), "--hook", str(tools.hook), "--pre-commit-home", str(tools.pre_commit_home)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as demo:
        assert demo.stdout is not None
        deadline = time.monotonic() + 60
        for line in demo.stdout:
            if "registered: orders-etl" in line:
                break
            assert time.monotonic() < deadline
        os.killpg(demo.pid, signal.SIGINT)
        demo.stdout.read()
    assert demo.returncode == 130
    assert list(places.glob("git-prefect-demo-*")) == []
    until(lambda: of_the_demo(places) == before)
