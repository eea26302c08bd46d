"""Flows of several runtimes, really registered; agents of Prefect's own as their command line starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import prefect
import pytest
from prefect.utilities.configuration import set_temporary_config

from git_prefect.cli import main
from git_prefect.devserver.process import running
from git_prefect.git import configuration

from ..repository import Clone, known_checks
from .recorder import Edge, recording

BIN = Path(sys.executable).parent

FLOW = """\
import os

import prefect
from prefect import Flow, task


@task
def tell():
    prefect.context.logger.info("%s of team %s in %s", {name!r}, os.environ.get("TEAM"), prefect.context.get("image"))


with Flow({name!r}) as flow:
    tell()
"""

SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"

[[tool.git-prefect.target]]
branch = "main"
project = "{project}"
labels = ["{project}"]
create-project = true

[[tool.git-prefect.runtime]]
flows = ["flows/ml/**"]
run-config = {{ type = "KubernetesRun", image = "registry.example.com/ml:py39", job-template-path = "k8s/ml.yaml", \
cpu-request = "2", memory-limit = "4Gi", service-account-name = "trainer", env = {{ TEAM = "ml" }}, labels = ["gpu"] }}

[[tool.git-prefect.runtime]]
flows = ["flows/web/**"]
run-config = {{ type = "DockerRun", image = "registry.example.com/web:3", env = {{ TEAM = "web" }} }}

[[tool.git-prefect.runtime]]
flows = ["flows/aws/**"]
run-config = {{ type = "ECSRun", image = "registry.example.com/aws:7", task-definition-path = "ecs/task.yaml", cpu = "1024", \
memory = "2048", task-role-arn = "arn:aws:iam::1:role/etl", env = {{ TEAM = "aws" }} }}

[[tool.git-prefect.runtime]]
flows = ["flows/gcp/**"]
run-config = {{ type = "VertexRun", image = "registry.example.com/gcp:1", machine-type = "e2-highmem-2", env = {{ TEAM = "gcp" }} }}

[[tool.git-prefect.runtime]]
flows = ["flows/vm/**"]
run-config = {{ type = "LocalRun", env = {{ TEAM = "vm" }} }}
"""

JOB = """\
apiVersion: batch/v1
kind: Job
metadata: {name: training, labels: {team: ml}}
spec:
  backoffLimit: 0
  template:
    spec:
      nodeSelector: {pool: gpu}
      containers:
      - name: flow
        env:
        - {name: PREFECT__CONTEXT__SECRETS__CLONE_URL, valueFrom: {secretKeyRef: {name: git, key: url}}}
"""
TASK = """\
networkMode: bridge
cpu: 512
containerDefinitions:
- name: flow
  memory: 1024
  logConfiguration: {logDriver: awslogs, options: {awslogs-group: etl}}
"""
FOLDERS = ("ml", "web", "aws", "gcp", "vm", "plain")


class World(NamedTuple):
    """A project whose flows are registered, one for each runtime, and what an agent's machine has set."""

    clone: Clone
    project: str
    remote: Path
    environ: dict[str, str]

    def start(self, flow: str) -> str:
        """Create a run of a flow, as `prefect run` does; its id."""
        client = prefect.Client()
        found = client.graphql(
            {
                "query": {
                    f'flow(where: {{name: {{_eq: "{flow}"}}, project: {{name: {{_eq: "{self.project}"}}}}}})': {"id"}
                }
            }
        )
        (row,) = found.data.flow
        run_id: str = client.create_flow_run(flow_id=row.id)
        return run_id

    def agent(self, kind: str, *arguments: str, **environ: str) -> None:
        """Let an agent of Prefect's look for work once, for runs with the labels of this project and `gpu`."""
        result = subprocess.run(
            [BIN / "prefect", "agent", kind, "start", "--label", self.project, "--label", "gpu", "--max-polls", "1", *arguments],
            cwd=self.clone.path.parent, env={**self.environ, **environ}, stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=120,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr

    def execute(self, command: list[str], environ: dict[str, str]) -> None:
        """Run what a container would run, with its environment and nothing else of ours."""
        machine = {key: self.environ[key] for key in ("PATH", "HOME")}
        result = subprocess.run(
            command, cwd=self.clone.path.parent, env={**machine, **environ}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert result.returncode == 0, result.stdout + result.stderr

    def became(self, run_id: str) -> tuple[str, list[str]]:
        """The state of a run, and what its task logged."""
        data: Any = prefect.Client().graphql(
            {"query": {f'flow_run(where: {{id: {{_eq: "{run_id}"}}}})': {"state": True, "logs": {"message", "level"}}}}
        )
        (run,) = data.data.flow_run
        return run.state, [log.message for log in run.logs if " of team " in log.message]


@pytest.fixture
def edge() -> Iterator[Edge]:
    with recording() as made:
        yield made


@pytest.fixture(scope="session")
def api_url() -> Iterator[str]:
    with running() as url:
        yield url


@pytest.fixture
def registered(
    work: Clone, remote: Path, api_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checks: Path
) -> Iterator[World]:
    """Six flows, pushed and registered by `git prefect register`."""
    project = tmp_path.name.replace("_", "-")
    files = {f"flows/{name}/{name}.py": FLOW.format(name=name) for name in FOLDERS}
    work.commit(
        {**files, "pyproject.toml": SETTINGS.format(project=project), "k8s/ml.yaml": JOB, "ecs/task.yaml": TASK}, "flows"
    )  # fmt: skip
    work.git("push", "--quiet")
    # What is registered is what was pushed, whatever lies in the work tree.
    work.write({"k8s/ml.yaml": "kind: Pod\n"})
    configuration.cache_clear()
    monkeypatch.setenv("GIT_PREFECT_PYTHON", sys.executable)
    monkeypatch.chdir(work.path)
    environ = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PREFECT__BACKEND": "server",
        "PREFECT__SERVER__ENDPOINT": api_url,
        "PREFECT__CLOUD__API": api_url,
        "PYTHONWARNINGS": "ignore",
    }
    settings = {"backend": "server", "home_dir": str(tmp_path), "server.endpoint": api_url, "cloud.api": api_url}
    with known_checks(work, checks), set_temporary_config(settings):
        assert main(["register", "--ref", "main"]) == 0
        yield World(work, project, remote, environ)
