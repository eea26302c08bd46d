"""The servers' programs: where they are, and what a machine without them has to do."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Callable

import pytest

PATIENCE = 60.0
"""Seconds that a server may take to answer."""
FOLDERS = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"])
"""Where servers are: /usr/sbin is not on every user's PATH."""
IN_CI = os.environ.get("CI", "") not in ("", "0", "false")


def program(name: str) -> str:
    """Full path of a server's program; the test is skipped without it, and fails where CI is set."""
    found = shutil.which(name, path=FOLDERS)
    if found is None:
        missing = f"{name} is not installed here: run `make servers`"
        if IN_CI:
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def http_backend() -> str:
    """Full path of git's own server for http."""
    folder = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    return os.path.join(folder, "git-http-backend")


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(command: Sequence[str], log: Path, ready: Callable[[], bool], environ: Mapping[str, str]) -> Iterator[None]:
    """A server in the foreground of its own session, from when it is ready to the end of the block."""
    with open(log, "ab") as output:
        process = subprocess.Popen(
            command, env=dict(environ), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE
        while not ready():
            assert process.poll() is None, f"{command[0]} ended: {log.read_text()}"
            assert time.monotonic() < deadline, f"{command[0]} does not answer: {log.read_text()}"
            time.sleep(0.05)
        yield
    finally:
        # The whole session: what a server has forked for its requests ends with it.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def answers(port: int) -> bool:
    """Whether somebody listens on a port of loopback."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0
