"""Agents that clone from a real git server and load one flow each."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def served(place: Path) -> Iterator[str]:
    """The repositories of a folder by `git daemon`; the URL that they are below."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    daemon = subprocess.Popen(
        ["git", "daemon", "--export-all", f"--base-path={place}", "--listen=127.0.0.1", f"--port={port}", "--reuseaddr", str(place)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        _wait_for(port)
        yield f"git://127.0.0.1:{port}"
    finally:
        os.killpg(daemon.pid, 15)
        daemon.wait()


def _wait_for(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            continue


def ask(place: Path, requests: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What an agent does with each request (agent.py has its form); `place` is a folder for what it writes."""
    (place / "requests.json").write_text(json.dumps(requests))
    script = Path(__file__).with_name("agent.py")
    (place / "temporary").mkdir()
    # The environment that a local agent gives to `prefect execute flow-run`.
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(place),
        "TMPDIR": str(place / "temporary"),
        "PREFECT__BACKEND": "server",
        "PREFECT__LOGGING__LEVEL": "INFO",
        "PREFECT__CLOUD__API": "http://127.0.0.1:9",
        "PREFECT__CLOUD__SEND_FLOW_RUN_LOGS": "false",
        "PREFECT__CLOUD__USE_LOCAL_SECRETS": "false",
        "PREFECT__CLOUD__AGENT__LABELS": "[]",
        "PREFECT__CONTEXT__FLOW_RUN_ID": "7c3c1f5e-0000-4000-8000-000000000001",
        "PREFECT__CONTEXT__FLOW_ID": "7c3c1f5e-0000-4000-8000-000000000002",
        "PREFECT__ENGINE__FLOW_RUNNER__DEFAULT_CLASS": "prefect.engine.cloud.CloudFlowRunner",
    }
    subprocess.run(
        [sys.executable, str(script), "requests.json", "answers.json"], cwd=place, env=environment, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    answers: list[dict[str, Any]] = json.loads((place / "answers.json").read_text())
    return answers
