"""A login that a git host refuses: another exit code than of a host that is out of reach, since trying again mends nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Callable

import pytest
from prefect.utilities.configuration import set_temporary_config

from git_prefect import git
from git_prefect.cli import main
from git_prefect.core.errors import ExitCode, GitPrefectError, NotAuthorised, OutOfReach
from git_prefect.core.model import RefUpdate
from git_prefect.deploy import pending
from git_prefect.deploy.delivery import deliver
from git_prefect.git.ls_remote import ask_remote, fetch_commits

from ..end_to_end.conftest import flow_file
from ..repository import Clone
from .conftest import SETTINGS
from .https import TOKEN, USERNAME, HttpsServer
from .ssh import SshServer

Asks = Callable[[git.Repository], object]
ASKS = pytest.mark.parametrize(
    ("asks", "fact"),
    [
        (lambda repository: ask_remote(repository, "origin"), "the remote could not be asked"),
        (lambda repository: fetch_commits(repository, "origin", {"refs/heads/x": "1" * 40}), "refs/heads/x could not be fetched"),
    ],
    ids=["ls-remote", "fetch"],
)


def refused(work: Clone, asks: Asks) -> GitPrefectError:
    """What asking the remote ends with."""
    git.configuration.cache_clear()
    with pytest.raises(GitPrefectError) as raised:
        asks(work.repository)
    return raised.value


@ASKS
def test_over_https(https: HttpsServer, work: Clone, monkeypatch: pytest.MonkeyPatch, asks: Asks, fact: str) -> None:
    """Whatever language git speaks to its user."""
    monkeypatch.setenv("GIT_SSL_CAINFO", str(https.ca))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("LANGUAGE", "de")
    name = f"team/{work.path.parent.name}"
    https.repository(name)
    for url, said in (
        (https.url(name, USERNAME, "glpat-other"), f"fatal: Authentication failed for 'https://{https.host}/{name}.git/'"),
        (https.url(name), f"fatal: Authentication failed for 'https://{https.host}/{name}.git/'"),
        (https.url("forbidden/etl"), f"fatal: unable to access 'https://{https.host}/forbidden/etl.git/': The requested URL "
         "returned error: 403"),
    ):  # fmt: skip
        work.git("remote", "set-url", "origin", url)
        error = refused(work, asks)
        assert (type(error), error.message) == (NotAuthorised, f"origin: {fact} ({said})")
    for name, said in (
        ("team/none", f"fatal: repository 'https://{https.host}/team/none.git/' not found"),
        ("broken/etl", f"fatal: unable to access 'https://{https.host}/broken/etl.git/': The requested URL returned error: 502"),
    ):
        work.git("remote", "set-url", "origin", https.url(name, USERNAME, TOKEN))
        error = refused(work, asks)
        assert (type(error), error.message) == (OutOfReach, f"origin: {fact} ({said})")


@ASKS
def test_over_ssh(ssh: SshServer, work: Clone, monkeypatch: pytest.MonkeyPatch, asks: Asks, fact: str) -> None:
    ssh.repository("team/refused")
    work.git("remote", "set-url", "origin", ssh.url("team/refused"))
    for options, kind, said in (
        ("-o IdentityFile=/dev/null -o IdentityAgent=none -F /dev/null -o UserKnownHostsFile={known}", NotAuthorised,
         f"{ssh.login}@127.0.0.1: Permission denied (publickey)."),
        ("-F /dev/null -o UserKnownHostsFile=/dev/null", OutOfReach, "fatal: Could not read from remote repository."),
    ):  # fmt: skip
        monkeypatch.setenv("GIT_SSH_COMMAND", f"ssh {options.format(known=ssh.folder / 'known_hosts')}")
        error = refused(work, asks)
        assert (type(error), error.message) == (kind, f"origin: {fact} ({said})")


@pytest.fixture
def prefect_here(api: str) -> Iterator[None]:
    """Prefect in this process is set to the API, also when an earlier test has imported it with other settings."""
    with set_temporary_config({"backend": "server", "server.endpoint": api, "cloud.api": api}):
        yield


@pytest.mark.usefixtures("prefect_here")
def test_every_command_that_asks_the_remote(
    https: HttpsServer, work: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GIT_SSL_CAINFO", str(https.ca))
    name = f"team/{work.path.parent.name}"
    https.repository(name)
    https.admit("bot", b"right")
    url = https.url(name, "bot", "right")
    work.git("remote", "set-url", "origin", url)
    settings = SETTINGS.format(storage='clone-url-secret = "URL"', project="refused")
    work.commit({"pyproject.toml": settings, "flows/etl.py": flow_file()})
    work.git("push", "--quiet", "origin", "main")
    https.admit("bot", b"another")
    monkeypatch.chdir(work.path)
    git.configuration.cache_clear()
    fact = f"origin: the remote could not be asked (fatal: Authentication failed for 'https://{https.host}/{name}.git/')"
    hint = "check that `git ls-remote origin` works without a password prompt"
    for command in ("register", "check-pushed", "prune"):
        assert main([command]) == ExitCode.NOT_AUTHORISED, command
        assert capsys.readouterr().err == f"git-prefect: {fact}\nhint: {hint}\n", command
    assert main(["status"]) == ExitCode.NOT_AUTHORISED
    assert capsys.readouterr().out.startswith(f"error: {fact} [not-authorised]\n  hint: {hint}\n")
    # A push is never held up by it, nor is what asks only to say it better.
    assert main(["validate"]) == ExitCode.OK
    assert main(["init", "--yes"]) == ExitCode.OK
    # A watcher keeps what waits until the login is right again.
    pending.record(work.repository, pushed(work, url), None, None, None)
    deliver(work.repository)
    (entry,) = pending.entries(work.repository)
    assert entry.error == f"{fact}; {hint}"
    https.admit("bot", b"right")
    deliver(work.repository, due_only=False)
    assert [one["result"] for one in pending.log_lines(work.repository)] == ["registered"]


def pushed(work: Clone, url: str) -> RefUpdate:
    """The main branch as a hook would have seen it pushed."""
    return RefUpdate("origin", url, "refs/heads/main", work.head(), work.head(), None, "push")
