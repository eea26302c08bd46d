"""A world of its own for each test: no HOME of the user, no settings of the machine, real git repositories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .repository import Clone, bare_remote, clone

KEPT = ("PATH", "LANG", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
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


@pytest.fixture(autouse=True)
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty HOME, git with our identity and nothing else set, and no variable of a hook, CI or Prefect."""
    for name in list(os.environ):
        if name not in KEPT and not name.startswith(("PIP_", "GIT_PREFECT_CONTRACT", "PYTEST_")):
            monkeypatch.delenv(name)
    home = tmp_path / "home"
    home.mkdir()
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
