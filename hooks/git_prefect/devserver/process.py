"""The development API as a process of its own, for as long as a ``with`` block runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import git_prefect

_SOURCES = str(Path(git_prefect.__file__).parent.parent)


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """Starts the API on a free port and gives its URL; ``arguments`` are those of the command line.

    Raises RuntimeError with what the process has said if it does not come up.
    """
    path = os.pathsep.join(filter(None, (_SOURCES, os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-m", "git_prefect.devserver", "--port", "0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        text=True,
    )
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"the development API did not start: {process.communicate()[1].strip()}")
        yield url
    finally:
        process.terminate()
        process.communicate()
