"""A team's repository with the real pre-commit and this project as its hook, a remote, an API and an agent."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, NamedTuple

import pytest

from git_prefect.deploy import pending
from git_prefect.devserver.process import running

from ..coverage import measure_too
from ..repository import Clone, bare_remote, clone, keep_checks, know_checks

PROJECT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PATIENCE = 60.0
"""Seconds that a condition may take to come true."""

CONFIG = """\
repos:
  - repo: {repo}
    rev: {rev}
    hooks:
      - id: prefect-validate
      - id: prefect-check-pushed
      - id: prefect-register
"""

SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"

[[tool.git-prefect.target]]
branch = "feature/**"
project = "{project}-{{branch}}"
labels = ["{project}"]
create-project = true

[[tool.git-prefect.target]]
tag = "v*"
project = "{project}-production"
labels = ["{project}"]
create-project = true
"""

FLOW = """\
import prefect
from prefect import Flow, task


@task
def extract():
    return [1, 2, 3]


@task
def load(rows):
    prefect.context.logger.info("loaded %s", rows)


with Flow("{name}") as flow:
    load(extract())
"""


def flow_file(name: str = "etl") -> str:
    """A flow file that loads everywhere."""
    return FLOW.format(name=name)


class Tools(NamedTuple):
    """What the whole run shares: the hook's repository at a commit, pre-commit's home, the API."""

    hook: Path
    rev: str
    pre_commit_home: Path
    api: str


def copy_of_the_hooks(folder: Path) -> None:
    """What pre-commit installs from, as it is now: from a clone and from an unpacked sdist alike."""
    shutil.copytree(PROJECT / "hooks", folder / "hooks", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("setup.cfg", "pyproject.toml", ".pre-commit-hooks.yaml", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, folder / name)
    shutil.copytree(PROJECT / "docs", folder / "docs")


@pytest.fixture(scope="session")
def api() -> Iterator[str]:
    """The address of an API that the whole run shares."""
    with running() as address:
        yield address


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory, api: str) -> Tools:
    """This project as it is now, committed in a repository of its own, and installed by pre-commit once."""
    hook = tmp_path_factory.mktemp("hook") / "git-prefect"
    copy_of_the_hooks(hook)
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        [*identity, "commit", "--quiet", "-m", "as it is"],
    ):
        subprocess.run(["git", *command], cwd=hook, check=True)
    rev = subprocess.run(["git", "rev-parse", "HEAD"], cwd=hook, capture_output=True, text=True, check=True).stdout
    return Tools(hook, rev.strip(), tmp_path_factory.mktemp("pre-commit"), api)


class Team(NamedTuple):
    """A team's clone, with settings and pre-commit's pre-push hook."""

    clone: Clone
    remote: Path
    project: str
    """Prefix of the Prefect projects that its targets lead to."""

    def push(self, *arguments: str, check: bool = True, **environ: str) -> str:
        """What `git push` prints, without the lines that tell times."""
        printed = self.clone.git("push", *arguments, check=check, **environ)
        return "\n".join(line for line in printed.splitlines() if not line.startswith("- duration:"))

    def prefect(self, *arguments: str, check: bool = True, **environ: str) -> str:
        """What `git prefect` prints."""
        return self.clone.git("prefect", *arguments, check=check, **environ)

    def settled(self) -> None:
        """Wait until the watcher has dealt with every push."""
        until(lambda: not pending.entries(self.clone.repository))

    def log(self) -> list[dict[str, object]]:
        """The outcomes of all pushes, without their times."""
        lines = pending.log_lines(self.clone.repository)
        return [{key: value for key, value in line.items() if key not in ("time", "format", "api")} for line in lines]


def until(done: Callable[[], object]) -> None:
    """Wait for a condition, a minute at most."""
    deadline = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < deadline, "the condition did not come true in a minute"
        time.sleep(0.05)


def adopt(work: Clone, remote: Path, config: dict[str, str], checks: Path | None = None) -> Team:
    """A clone on `feature/x` with settings, everything pushed, and what is known of flow files before."""
    made = Team(work, remote, remote.parent.name.replace("_", "-"))
    work.commit({**config, "pyproject.toml": SETTINGS.format(project=made.project)}, "adopt git-prefect")
    work.git("push", "--quiet")
    work.git("switch", "--quiet", "--create", "feature/x")
    if checks:
        know_checks(work, checks)
    return made


USUAL = [
    {"flows/etl.py": flow_file()},
    {"flows/etl.py": flow_file() + "    extract()\n"},
    {"flows/etl.py": flow_file().replace("load(extract())", "load(extract())\n    extract()")},
    {"flows/more.py": flow_file("more")},
]


@pytest.fixture(scope="session")
def place_of_checks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where `usual_checks` are, once the first test has made it."""
    return tmp_path_factory.mktemp("known") / "checks"


@pytest.fixture
def usual_checks(place_of_checks: Path, tmp_path: Path, shell: None) -> Path:
    """What a clone knows from which the usual flow files were registered before.

    A first load takes as long as all the rest of a push. Tests of a clone that knows nothing set this fixture to None.
    """
    if not place_of_checks.exists():
        (tmp_path / "known").mkdir()
        remote = bare_remote(tmp_path / "known" / "remote.git")
        team = adopt(clone(remote, tmp_path / "known" / "work"), remote, {})
        team.prefect("install")
        branches = [f"feature/{number}" for number in range(len(USUAL))]
        for branch, files in zip(branches, USUAL):
            team.clone.git("switch", "--quiet", "--create", branch, "feature/x")
            team.clone.commit(files)
        team.push("origin", *branches)
        team.settled()
        assert [line["result"] for line in team.log()] == ["registered"] * len(USUAL)
        keep_checks(team.clone, place_of_checks)
    return place_of_checks


@pytest.fixture
def shell(api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`git prefect` on PATH, set to the API."""
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PREFECT__BACKEND", "server")
    monkeypatch.setenv("PREFECT__SERVER__ENDPOINT", api)


@pytest.fixture
def native(work: Clone, remote: Path, shell: None, usual_checks: Path | None) -> Team:
    """A team whose hook is git's own: pre-commit is not installed."""
    made = adopt(work, remote, {}, usual_checks)
    made.prefect("install")
    return made


@pytest.fixture
def team(
    work: Clone, remote: Path, tools: Tools, shell: None, usual_checks: Path | None, monkeypatch: pytest.MonkeyPatch
) -> Team:
    """A team that uses pre-commit, with this project as its hook."""
    monkeypatch.setenv("PRE_COMMIT_HOME", str(tools.pre_commit_home))
    made = adopt(work, remote, {".pre-commit-config.yaml": CONFIG.format(repo=tools.hook, rev=tools.rev)}, usual_checks)
    subprocess.run(
        ["pre-commit", "install", "--hook-type", "pre-push", "--install-hooks"],
        cwd=work.path, check=True, capture_output=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    for site in tools.pre_commit_home.glob("*/py_env-*/lib/python*/site-packages"):
        measure_too(site)
    return made


@pytest.fixture
def agent(team: Team) -> Iterator[None]:
    """Prefect's own local agent, with the clone URL as its local secret."""
    with running_agent(team):
        yield


@contextmanager
def running_agent(team: Team, *import_paths: Path) -> Iterator[None]:
    """Prefect's own local agent for a team's flows, with the clone URL as its local secret, and what its image has."""
    remote, tmp_path = team.remote, team.remote.parent
    environ = {**os.environ, "PREFECT__CONTEXT__SECRETS__CLONE_URL": f"file://{remote}"}
    with open(tmp_path / "agent.log", "wb") as log:
        process = subprocess.Popen(
            ["prefect", "agent", "local", "start", "--label", team.project, "--no-hostname-label",
             *(part for path in import_paths for part in ("--import-path", str(path)))],
            cwd=tmp_path, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)
