"""A clone whose refs lead to projects of its own, an API, and flows that are registered from it."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
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

SETTINGS = """\
[tool.git-prefect]
clone-url-secret = "CLONE_URL"

[[tool.git-prefect.target]]
branch = "main"
project = "{project}"
create-project = true

[[tool.git-prefect.target]]
branch = "feature/**"
project = "{project}-{{branch}}"
schedule = "off"
create-project = true

[[tool.git-prefect.target]]
tag = "v*"
project = "{project}-production"
create-project = true

[[tool.git-prefect.runtime]]
flows = ["flows/ml/**"]
run-config = {{ type = "DockerRun", image = "registry/ml:1" }}
"""
FLOW = """\
from prefect import Flow, task
from prefect.schedules import CronSchedule

@task
def extract(): ...

@task
def load(rows): ...

with Flow("{name}", schedule={schedule}) as flow:
    load(extract())
"""


def flow(name: str, cron: str | None = None) -> str:
    """A flow file with two tasks."""
    return FLOW.format(name=name, schedule=f'CronSchedule("{cron}")' if cron else None)


class Desk(NamedTuple):
    """Where somebody types `git prefect …`: in this process, or in a terminal."""

    clone: Clone
    project: str
    capture: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command, times replaced by `now`."""
        configuration.cache_clear()
        self.capture.readouterr()
        code = main(list(arguments))
        printed = self.capture.readouterr()
        return code, self._steady(printed.out), self._steady(printed.err)

    def _steady(self, text: str) -> str:
        text = re.sub(r"\d+ (s|minutes?) ago", "now", text)
        text = re.sub(r"in \d+ s or later", "SOON", text)
        return re.sub(r"http://localhost:8080/default/flow/[0-9a-f-]{36}", "PAGE", text)

    def in_terminal(
        self, *arguments: str, answer: str = "", columns: int = 80, interrupt_at: str = ""
    ) -> tuple[int, str]:
        """Exit code and all that a terminal shows; `answer` is typed to the question, Ctrl-C once a text is shown."""
        import fcntl
        import struct
        import termios

        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        address = {"PREFECT__BACKEND": "server", "PREFECT__SERVER__ENDPOINT": prefect.config.cloud.api}
        process = subprocess.Popen(
            [sys.executable, "-m", "git_prefect", *arguments], cwd=self.clone.path, env={**os.environ, **address, "TERM": "dumb"},
            stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        shown = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if not select.select([leader], [], [], 0.5)[0]:
                continue
            try:
                shown += os.read(leader, 65536)
            except OSError:
                break
            if interrupt_at and interrupt_at.encode() in shown:
                os.killpg(process.pid, signal.SIGINT)
                interrupt_at = ""
            if answer and shown.endswith((b"] ", b"]: ")):
                os.write(leader, f"{answer}\n".encode())
                answer = ""
        os.close(leader)
        return process.wait(60), self._steady(shown.decode().replace("\r\n", "\n"))

    def commit(self, message: str = "change", **files: str | None) -> str:
        """Commit and push flow files by name (None: removed); the commit."""
        branch = self.clone.git("branch", "--show-current")
        for name, content in files.items():
            path = f"flows/{name.replace('__', '/')}.py"
            if content is None:
                self.clone.git("rm", "--quiet", path)
            else:
                self.clone.write({path: content})
                self.clone.git("add", path)
        self.clone.git("commit", "--quiet", "--allow-empty", "-m", message)
        self.clone.git("push", "--quiet", "origin", branch)
        return self.clone.head()

    def register(self, *refs: str) -> None:
        """Register branches or tags as the remote has them."""
        for ref in refs:
            code, out, err = self("register", "--ref", ref)
            assert code == 0, out + err

    def active(self) -> list[tuple[str, str]]:
        """Project and name of all flows of this test's projects that are not archived."""
        found = query(f'flow(where: {{archived: {{_eq: false}}, project: {{name: {{_like: "{self.project}%"}}}}}})',
                      "name project { name }")  # fmt: skip
        return sorted((row["project"]["name"].replace(self.project, "P"), row["name"]) for row in found)

    def id_of(self, name: str, project: str = "") -> str:
        """The id of the active version of a flow in a project of this test's."""
        (row,) = query(
            f'flow(where: {{archived: {{_eq: false}}, name: {{_eq: "{name}"}}, '
            f'project: {{name: {{_eq: "{self.project}{project}"}}}}}})', "id",
        )  # fmt: skip
        return str(row["id"])

    def ran(self, name: str, state: Any, project: str = "") -> None:
        """Let a run of a flow have ended in a state."""
        client = prefect.Client()
        run = client.create_flow_run(flow_id=self.id_of(name, project))
        client.set_flow_run_state(run, state)


def query(what: str, fields: str) -> list[dict[str, Any]]:
    """Rows of the API."""
    answer = prefect.Client().graphql(f"query {{ {what} {{ {fields} }} }}").to_dict()
    (rows,) = answer["data"].values()
    found: list[dict[str, Any]] = rows
    return found


def mutate(mutation: str, **given: Any) -> None:
    """What another client, or a person in the UI, does."""
    prefect.Client().graphql(
        f"mutation($input: {mutation}_input!) {{ {mutation}(input: $input) {{ success }} }}", variables={"input": given}
    )


@pytest.fixture(scope="session")
def api_url() -> Iterator[str]:
    """The development API's address."""
    with running() as url:
        yield url


@pytest.fixture
def desk(
    work: Clone,
    api_url: str,
    checks: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Desk]:
    """A clone of `main` with settings, and this process set to the API."""
    project = tmp_path.name.replace("_", "-")
    monkeypatch.setenv("GIT_PREFECT_PYTHON", sys.executable)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(work.path)
    work.commit({"pyproject.toml": SETTINGS.format(project=project)}, "adopt git-prefect")
    work.git("push", "--quiet")
    settings = {"backend": "server", "home_dir": str(tmp_path), "server.endpoint": api_url, "cloud.api": api_url}
    with known_checks(work, checks), set_temporary_config(settings):
        yield Desk(work, project, capsys)
