"""Real git hosts on loopback, and a team that pushes to them and whose agent clones from them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from git_prefect.deploy import pending
from git_prefect.devserver.process import running as running_api

from ..end_to_end.conftest import until
from ..repository import Clone
from .https import TOKEN, USERNAME, HttpsServer, https_server
from .ssh import SshServer, ssh_server

BIN = Path(sys.executable).parent


@pytest.fixture(scope="session")
def https(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpsServer]:
    """A git host over https."""
    with https_server(tmp_path_factory.mktemp("https")) as server:
        yield server


@pytest.fixture(scope="session")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """A git host over ssh."""
    with ssh_server(tmp_path_factory.mktemp("ssh")) as server:
        yield server


@pytest.fixture(scope="session")
def api() -> Iterator[str]:
    """The URL of a Prefect API."""
    with running_api() as url:
        yield url


@pytest.fixture
def https_client(https: HttpsServer, world: Path, monkeypatch: pytest.MonkeyPatch) -> HttpsServer:
    """The same, with a user's git set up for it: the CA, and the token in a credential store."""
    (world / ".git-credentials").write_text(f"https://{USERNAME}:{TOKEN}@{https.host.replace(':', '%3a')}\n")
    with open(world / ".gitconfig", "a") as config:
        config.write("[credential]\n    helper = store\n")
    monkeypatch.setenv("GIT_SSL_CAINFO", str(https.ca))
    return https


@pytest.fixture
def ssh_client(ssh: SshServer, monkeypatch: pytest.MonkeyPatch) -> SshServer:
    """The same, with a user's git set up for it: the key and the host's."""
    monkeypatch.setenv("GIT_SSH_COMMAND", ssh.client)
    return ssh


class Pusher(NamedTuple):
    """A clone with our native hook, of a repository on a real host."""

    clone: Clone
    project: str

    def prefect(self, *arguments: str, check: bool = True, **environ: str) -> str:
        """What `git prefect` prints."""
        return self.clone.git("prefect", *arguments, check=check, **environ)

    def settled(self) -> dict[str, object]:
        """The outcome of the last push, once the watcher has dealt with it."""
        until(lambda: not pending.entries(self.clone.repository))
        return pending.log_lines(self.clone.repository)[-1]

    def run(self, flow: str, environ: Mapping[str, str]) -> str:
        """Run a registered flow through a real agent with these variables; what `prefect run --watch` prints."""
        with _agent(self.clone.path.parent, self.project, environ):
            return subprocess.run(
                ["prefect", "run", "--name", flow, "--project", self.project, "--watch"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
            ).stdout  # fmt: skip


@contextmanager
def _agent(folder: Path, label: str, environ: Mapping[str, str]) -> Iterator[None]:
    with open(folder / "agent.log", "ab") as log:
        process = subprocess.Popen(
            ["prefect", "agent", "local", "start", "--label", label, "--no-hostname-label"],
            cwd=folder, env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


SETTINGS = """\
[tool.git-prefect]
{storage}

[[tool.git-prefect.target]]
branch = "main"
project = "{project}"
labels = ["{project}"]
create-project = true
"""


@pytest.fixture
def api_of_the_user(api: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The API that Prefect is set to, with `prefect` and `git-prefect` on PATH."""
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PREFECT__BACKEND", "server")
    monkeypatch.setenv("PREFECT__SERVER__ENDPOINT", api)
    return api


def pusher(folder: Path, url: str, storage: str) -> Pusher:
    """Clone, set up and install; nothing is pushed yet."""
    path, project = folder / "work", folder.name.replace("_", "-")
    subprocess.run(["git", "clone", "--quiet", url, str(path)], check=True, stdin=subprocess.DEVNULL)
    made = Pusher(Clone(path), project)
    made.clone.commit({"pyproject.toml": SETTINGS.format(storage=storage, project=project)}, "adopt git-prefect")
    made.prefect("install")
    return made
