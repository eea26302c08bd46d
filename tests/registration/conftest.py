"""The development API, the real client, and flows as the loader gives them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest
from prefect import Flow
from prefect.serialization.run_config import RunConfigSchema
from prefect.utilities.configuration import set_temporary_config

from git_prefect.devserver.process import running
from git_prefect.model import GitStorage, LoadedFlow, RefUpdate
from git_prefect.registration.api import Api
from git_prefect.registration.plan import Wanted
from git_prefect.registration.runtimes import run_config_of
from git_prefect.registration.storage import git_storage, with_storage

WHERE = GitStorage("github.com", "team/etl", False, None, None, None)


@pytest.fixture(scope="session")
def api_url() -> Iterator[str]:
    with running() as url:
        yield url


@pytest.fixture
def api(api_url: str, tmp_path: Path) -> Iterator[Api]:
    settings = {
        "backend": "server",
        "home_dir": str(tmp_path / "prefect-home"),
        "server.endpoint": api_url,
        "cloud.api": api_url,
        "cloud.api_key": None,
        "cloud.tenant_id": None,
    }
    with set_temporary_config(settings):
        yield Api()


def update(ref: str, source: str = "push") -> RefUpdate:
    return RefUpdate("origin", "https://github.com/team/etl.git", ref, "c", "c", None, source)


def loaded(flow: Flow) -> LoadedFlow:
    serialized: dict[str, Any] = json.loads(json.dumps(flow.serialize()))
    declared = RunConfigSchema().dump(flow.run_config) if flow.run_config else None
    return LoadedFlow(flow.name, len(flow.tasks), {**serialized, "storage": None}, None, declared)


@pytest.fixture
def wanted() -> Callable[..., Wanted]:
    def make(flow: Flow, ref: RefUpdate, where: GitStorage = WHERE, concerned: bool = True) -> Wanted:
        one, path = loaded(flow), f"flows/{flow.name}.py"
        storage = git_storage(where, ref, path, flow.name)
        return Wanted(path, flow.name, with_storage(one, storage, run_config_of(one, path, [], [], [])), concerned)

    return make
