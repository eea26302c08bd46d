"""A clone whose flows can be registered, an API of its own, and commands run in it as a person or a CI job does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

from git_prefect.devserver.process import running

from ..repository import Clone

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "report.schema.json").read_text())
SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"

[[tool.git-prefect.target]]
branch = "**"
project = "{project}"
create-project = true
"""
FLOW = """\
from prefect import Flow, task

@task
def extract(): ...

@task
def load(rows): ...

with Flow("{name}") as flow:
    load(extract())
"""


class Desk(NamedTuple):
    """Where somebody types `git prefect …`."""

    clone: Clone
    project: str

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """A command with its output, as without a terminal."""
        result = subprocess.run(
            [sys.executable, "-m", "git_prefect", *arguments],
            cwd=self.clone.path,
            env={**os.environ, "GIT_PREFECT_PYTHON": sys.executable, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in result.stderr
        return result

    def object(self, *arguments: str, **environ: str) -> dict[str, Any]:
        """What a command prints with `--format json`: valid by the schema, with its own exit code."""
        result = self.run(*arguments, "--format", "json", **environ)
        report: dict[str, Any] = json.loads(result.stdout)
        jsonschema.validate(report, SCHEMA, jsonschema.Draft202012Validator)
        assert report["exit"] == result.returncode, result.stderr
        return report

    def commit(self, **flows: str) -> str:
        """Commit and push flow files by name; the commit."""
        head = self.clone.commit({f"flows/{name}.py": source for name, source in flows.items()})
        self.clone.git("push", "--quiet", "--no-verify")
        return head


@pytest.fixture(scope="session")
def api() -> Iterator[str]:
    """The development API's address."""
    with running() as url:
        yield url


@pytest.fixture
def desk(work: Clone, api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A clone of `main` with settings that lead every branch to a project of this test's own."""
    monkeypatch.setenv("PREFECT__BACKEND", "server")
    monkeypatch.setenv("PREFECT__SERVER__ENDPOINT", api)
    project = tmp_path.name.replace("_", "-")
    work.commit({"pyproject.toml": SETTINGS.format(project=project)}, "adopt git-prefect")
    work.git("push", "--quiet")
    return Desk(work, project)
