"""The development API, the real client, and flows as the loader gives them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable

import pytest
from prefect import Flow, task
from prefect.schedules import IntervalSchedule
from prefect.serialization.run_config import RunConfigSchema
from prefect.utilities.configuration import set_temporary_config

from git_prefect.core.deployment import Deployment
from git_prefect.core.model import GitStorage, LoadedFlow, RefUpdate
from git_prefect.core.results import PlannedFlow, Registration
from git_prefect.core.settings import Settings, Source, Target
from git_prefect.devserver.process import running
from git_prefect.prefect_api.apply import apply_plan
from git_prefect.prefect_api.plan import Circumstances, Wanted, plan_flows, storages_of
from git_prefect.prefect_api.queries import Api
from git_prefect.prefect_api.run_configs import run_config_of
from git_prefect.prefect_api.storage import git_storage, with_storage

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


@task
def extract() -> int:
    return 1


@task
def load(rows: int) -> None:
    pass


def etl(tasks: int = 2, schedule: IntervalSchedule | None = None, name: str = "etl") -> Flow:
    """A flow of so many tasks."""
    with Flow(name, schedule=schedule) as flow:
        rows = extract()
        for _ in range(tasks - 1):
            load(rows)
    return flow


HOURLY = IntervalSchedule(interval=timedelta(hours=1))
BRANCH, OTHER = update("refs/heads/feature/x"), update("refs/heads/feature/y")


@pytest.fixture
def target() -> Target:
    """A rule that takes every branch, to a project of this test's own."""
    return Target(project=f"dev-{uuid.uuid4().hex}", branch="**", create_project=True)


def deployment(ref: RefUpdate, rule: Target, default_branch: str | None = None, parallel: int = 8) -> Deployment:
    """A ref on its way to the project of a target."""
    source = Source(Settings(parallel=parallel), "pyproject.toml")
    return Deployment(
        update=ref, source=source, url=ref.url, storage=WHERE, default_branch=default_branch, target=rule, project=rule.project
    )


def planned(
    api: Api, flows: list[Wanted], ref: RefUpdate, rule: Target, default_branch: str | None = None, **circumstances: Any
) -> list[PlannedFlow]:
    """What a registration of these flows from a ref would do."""
    given = Circumstances(deployment(ref, rule, default_branch), **circumstances)
    registered = api.registered([rule.project], [one.flow for one in flows], storages_of(deployment(ref, rule)))
    return plan_flows(flows, registered, given)


@pytest.fixture
def register(api: Api, target: Target) -> Callable[..., list[Registration]]:
    """Plans and applies, as a registration of these flows from a ref does."""

    def go(
        flows: list[Wanted], ref: RefUpdate = BRANCH, rule: Target = target, parallel: int = 8,
        default_branch: str | None = None, **circumstances: Any,
    ) -> list[Registration]:  # fmt: skip
        given = Circumstances(deployment(ref, rule, default_branch, parallel), **circumstances)
        registered = api.registered([rule.project], [one.flow for one in flows], storages_of(deployment(ref, rule)))
        return apply_plan(api, plan_flows(flows, registered, given), registered, given)

    return go


def outcome(row: Registration) -> tuple[Any, ...]:
    """Action, version, changes and reason."""
    return row.action, row.version, row.changes, row.reason


def mutate(api: Api, mutation: str, **given: Any) -> None:
    """What another client, or a person in the UI, does."""
    api.ask(f"mutation($input: {mutation}_input!) {{ {mutation}(input: $input) {{ success }} }}", {"input": given})


def active(api: Api, target: Target) -> list[tuple[Any, ...]]:
    """Name, version and schedule of every unarchived version in the target's project."""
    flows = api.registered([target.project]).flows
    return sorted((one.name, one.version, one.schedule_active) for one in flows)
