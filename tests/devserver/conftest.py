"""Helpers for what is the development API's own; what it shares with Prefect Server is in tests/contract."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
import requests

import git_prefect
from git_prefect.devserver.process import running


@pytest.fixture(scope="session")
def api_url() -> Iterator[str]:
    with running() as url:
        yield url


@pytest.fixture
def post(api_url: str) -> Callable[..., requests.Response]:
    def call(query: str, url: str = api_url, headers: Any = None, **variables: Any) -> requests.Response:
        body = {"query": query, "variables": variables}
        return requests.post(url, json=body, headers=headers, timeout=30)

    return call


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """For processes of prefect and of ours: nothing of the user's, everything below a temporary folder."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    return {
        "HOME": str(home),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "PYTHONPATH": str(Path(git_prefect.__file__).parent.parent),
        "PYTHONWARNINGS": "ignore",
    }
