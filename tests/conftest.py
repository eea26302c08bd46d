"""A world of its own for each test: no HOME of the user, no settings of the machine, real git repositories."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Callable

import pytest

from .repository import Clone, bare_remote, clone

if TYPE_CHECKING:
    from .docs.world import Services, World
    from .proxy import Proxy

KEPT = ("LANG", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
GIT_CONFIG = """\
[user]
    name = Ada Engineer
    email = ada@example.com
[init]
    defaultBranch = main
[protocol "file"]
    allow = always
[advice]
    detachedHead = false
"""


def _has_a_shim(folder: str) -> bool:
    """Whether the `python3` of a folder is a script (pyenv, asdf): each new clone would ask it for its Prefect, which takes as
    long as a push."""
    try:
        return Path(folder, "python3").read_bytes()[:2] == b"#!"
    except OSError:
        return False


SEARCHED = os.pathsep.join(folder for folder in os.get_exec_path() if not _has_a_shim(folder))
"""PATH without the shims of a version manager."""


@pytest.fixture(scope="session")
def place_of_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where HOME is in each test: another HOME is another environment, in which no earlier check counts."""
    return tmp_path_factory.mktemp("home") / "ada"


@pytest.fixture
def home(place_of_home: Path) -> Iterator[Path]:
    """An empty folder."""
    shutil.rmtree(place_of_home, ignore_errors=True)
    place_of_home.mkdir()
    yield place_of_home
    shutil.rmtree(place_of_home, ignore_errors=True)


@pytest.fixture(autouse=True)
def world(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME, git with our identity and nothing else set, and no variable of a hook, CI or Prefect."""
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(("PIP_", "GIT_PREFECT_CONTRACT", "PYTEST_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", SEARCHED)
    (home / ".gitconfig").write_text(GIT_CONFIG)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("PREFECT__HOME_DIR", str(home / ".prefect"))
    return home


@pytest.fixture
def remote(tmp_path: Path) -> Path:
    """An empty bare repository that is pushed to."""
    return bare_remote(tmp_path / "remote.git")


@pytest.fixture
def work(tmp_path: Path, remote: Path) -> Clone:
    """A clone of the remote whose main branch has one commit, pushed."""
    made = clone(remote, tmp_path / "work")
    made.commit({"README": "flows\n"}, "begin")
    made.git("push", "--quiet", "-u", "origin", "main")
    made.git("remote", "set-head", "origin", "main")
    return made


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For `known_checks`: the flow files of a module's tests are alike, and each content is loaded once."""
    return tmp_path_factory.mktemp("checks") / "kept"


@pytest.fixture(scope="module")
def api_url() -> Iterator[str]:
    """The development API, in a process of its own."""
    from git_prefect.devserver.process import running

    with running() as url:
        yield url


@pytest.fixture(scope="module")
def proxy(api_url: str) -> Iterator[Proxy]:
    """Between a client and that API, to cut, delay and corrupt."""
    from .proxy import between

    with between(api_url) as made:
        yield made


@pytest.fixture(scope="session")
def docs_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """A git host, an API, the hook's repository."""
    from .docs.world import services

    with services(tmp_path_factory.mktemp("docs")) as shared:
        yield shared


@pytest.fixture
def make_world(docs_services: Services, tmp_path: Path) -> Iterator[Callable[[str], World]]:
    """Makes a repository of `worlds.py`; what runs in it ends with the test."""
    from .docs.world import World
    from .docs.worlds import WORLDS

    made: list[World] = []

    def make(name: str) -> World:
        folder = tmp_path / f"{name}{len(made)}"
        folder.mkdir()
        world = World(folder, docs_services, f"{tmp_path.name.replace('_', '-')}-{len(made)}")
        made.append(world)
        WORLDS[name](world)
        return world

    yield make
    for world in made:
        world.stop()


SERVICE_FOLDERS = {"agents", "contract", "devserver", "docs", "end_to_end", "limits", "servers", "soak"}
SERVICE_FIXTURES = {"api", "api_url", "docs_services", "proxy"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what starts an API, an agent, a git host or pre-commit."""
    for item in items:
        folder = item.path.parent.name
        fixtures = set(getattr(item, "fixturenames", ()))
        if folder in SERVICE_FOLDERS or fixtures & SERVICE_FIXTURES:
            item.add_marker(pytest.mark.service)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """On how many cases of the corpus validate and the agent agreed (here, for it is not asked further down with xdist)."""
    reports = [*terminalreporter.stats.get("passed", ()), *terminalreporter.stats.get("failed", ())]
    said = [value for report in reports for key, value in report.user_properties if key == "agreement"]
    if said:
        terminalreporter.write_line(f"validate and the agent agree on {sum(said)} of {len(said)} cases")
