"""The whole loop over real protocols: push, registration, and an agent that clones the same way and runs the flow."""

from __future__ import annotations

from pathlib import Path

import pytest

from git_prefect.git import Repository

from ..end_to_end.conftest import flow_file
from .conftest import Pusher, pusher
from .https import SLASHED, TOKEN, HttpsServer
from .ssh import SshServer

pytestmark = pytest.mark.usefixtures("api_of_the_user")


def push(made: Pusher) -> tuple[str, str]:
    """Push a flow; what it was registered with, and what git printed."""
    made.clone.commit({"flows/etl.py": flow_file()})
    printed = made.clone.git("push", "-u", "origin", "main")
    outcome = made.settled()
    assert outcome["result"] == "registered", outcome
    (flow,) = outcome["flows"]  # type: ignore[misc]
    return flow["storage"], printed


def state_files(repository: Repository) -> str:
    """All that we keep under the git directory."""
    return "\n".join(
        path.read_bytes().decode("utf-8", "replace") for path in Path(repository.state_dir).rglob("*") if path.is_file()
    )


def test_https_with_a_token_subgroups_and_a_port(https_client: HttpsServer, tmp_path: Path) -> None:
    https_client.repository("team/data/etl")
    made = pusher(tmp_path, https_client.url("team/data/etl"), 'token-secret = "GIT_TOKEN"\ntoken-username = "oauth2"')
    storage, printed = push(made)
    assert storage == f"{https_client.host}/team/data/etl flows/etl.py@main"
    agent = {"PREFECT__CONTEXT__SECRETS__GIT_TOKEN": TOKEN, "SSL_CERT_FILE": str(https_client.ca)}
    run = made.run("etl", agent)
    assert "Flow run succeeded!" in run
    examined = " ".join(made.prefect("doctor", **agent).split())
    assert f"storage https://oauth2:TOKEN@{https_client.host}/team/data/etl.git token GIT_TOKEN is there" in examined
    assert "cloned as an agent does it, and loaded etl, in " in examined
    assert "1 agent would take them all is well" in examined
    assert TOKEN not in run + printed + examined + state_files(made.clone.repository)


def test_https_with_the_token_in_the_remotes_url(https_client: HttpsServer, tmp_path: Path) -> None:
    https_client.repository("team/with-login")
    url = https_client.url("team/with-login", "deploy", SLASHED)
    made = pusher(tmp_path, url, 'clone-url-secret = "CLONE_URL"')
    _, printed = push(made)
    agent = {"PREFECT__CONTEXT__SECRETS__CLONE_URL": url, "SSL_CERT_FILE": str(https_client.ca)}
    examined = made.prefect("doctor", check=False, **agent)
    assert "cloned as an agent does it, and loaded etl, in " in examined
    told = [printed, examined, made.prefect("status"), made.prefect("register"), state_files(made.clone.repository)]
    assert SLASHED not in "".join(told)
    assert "p%40ss" not in "".join(told)
    assert "Flow run succeeded!" in made.run("etl", agent)


def test_ssh_with_login_and_port_by_a_clone_url_secret(ssh_client: SshServer, tmp_path: Path) -> None:
    ssh_client.repository("team/data/etl")
    made = pusher(tmp_path, ssh_client.url("team/data/etl"), 'clone-url-secret = "CLONE_URL"')
    push(made)
    agent = {"PREFECT__CONTEXT__SECRETS__CLONE_URL": ssh_client.url("team/data/etl")}
    assert "Flow run succeeded!" in made.run("etl", agent)


def test_ssh_in_prefects_own_form(ssh_client: SshServer, tmp_path: Path) -> None:
    """The agent clones git@git.corp:team/etl.git, whose port ssh's configuration knows.

    A server of one's own knows no user `git`: the agent's ssh is told another login, and that is all that differs
    from a host of a team.
    """
    ssh_client.repository("team/etl")
    made = pusher(tmp_path, f"{ssh_client.login}@git.corp:team/etl.git", "")
    made.clone.git("remote", "set-url", "origin", "git@git.corp:team/etl.git")
    made.clone.git("config", "core.sshCommand", f"{ssh_client.client} -l {ssh_client.login}")
    login = {"GIT_SSH_COMMAND": f"{ssh_client.client} -l {ssh_client.login}"}
    made.clone.commit({"flows/etl.py": flow_file()})
    made.clone.git("push", "-u", "origin", "main", **login)
    outcome = made.settled()
    (flow,) = outcome["flows"]  # type: ignore[misc]
    assert flow["storage"] == "git.corp/team/etl flows/etl.py@main"
    examined = " ".join(made.prefect("doctor", check=False, **login).split())
    assert "git.corp is ssh's name here for 127.0.0.1: agents need the same entry in" in examined
    assert "storage git@git.corp:team/etl.git token none is needed" in examined
    assert "cloned as an agent does it, and loaded etl, in " in examined
    assert "Flow run succeeded!" in made.run("etl", login)


def test_verify_clone_says_after_a_registration_whether_agents_get_the_flow(
    https_client: HttpsServer, tmp_path: Path
) -> None:
    https_client.repository("team/verified")
    settings = 'token-secret = "GIT_TOKEN"\ntoken-username = "oauth2"\nverify-clone = true'
    made = pusher(tmp_path, https_client.url("team/verified"), settings)
    push(made)
    missing = "warning: the Prefect secret GIT_TOKEN is not set in this environment; an agent without it cannot clone"
    status = made.prefect("status", check=False)
    assert f"\n  {missing}" in status
    agent = {"PREFECT__CONTEXT__SECRETS__GIT_TOKEN": TOKEN, "SSL_CERT_FILE": str(https_client.ca)}
    by_hand = made.prefect("register", check=False)
    assert missing in by_hand
    assert made.prefect("register", **agent).endswith("\n0 registered, 1 unchanged")
