"""Every form of URL that git accepts → the storage that an agent clones from."""

from __future__ import annotations

import pytest

from git_prefect.model import GitStorage
from git_prefect.push.remotes import (
    Location,
    locate,
    redact,
    same_place,
    storage_of,
    why_not_clonable,
    without_credentials,
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/team/etl.git", Location("https", None, "github.com", "team/etl", True)),
        ("https://ada:t0ken@gitlab.com/a/b/c/etl", Location("https", None, "gitlab.com", "a/b/c/etl", True)),
        (
            "https://git.Example.com:8443/team/etl.git/",
            Location("https", None, "git.example.com:8443", "team/etl", True),
        ),
        ("https://example.com/my%20etl.git", Location("https", None, "example.com", "my%20etl", True)),
        ("git@github.com:team/etl.git", Location("ssh", "git", "github.com", "team/etl", False)),
        ("git@git.corp:/srv/git/etl.git", Location("ssh", "git", "git.corp", "srv/git/etl", True)),
        ("github.com:team/etl", Location("ssh", None, "github.com", "team/etl", False)),
        ("ssh://git@example.com:2222/team/etl.git", Location("ssh", "git", "example.com:2222", "team/etl", True)),
        ("ssh://deploy@example.com/~ada/etl", Location("ssh", "deploy", "example.com", "~ada/etl", False)),
        ("git@[::1]:team/etl.git", Location("ssh", "git", "[::1]", "team/etl", False)),
        ("https://[::1]:8443/team/etl.git", Location("https", None, "[::1]:8443", "team/etl", True)),
        ("http://example.com/etl.git", Location("http", None, "example.com", "etl", True)),
        ("codecommit::eu-west-1://etl", Location("codecommit", None, "", "eu-west-1://etl", False)),
        ("/srv/git/etl.git", Location("file", None, "localhost", "srv/git/etl", True)),
        ("file:///srv/git/etl.git", Location("file", None, "localhost", "srv/git/etl", True)),
        ("../etl.git", Location("file", None, "localhost", "../etl", False)),
        ("./a:b.git", Location("file", None, "localhost", "./a:b", False)),
    ],
)
def test_locate(url: str, expected: Location) -> None:
    assert locate(url) == expected


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://ada:s3cret@example.com/r.git", "https://example.com/r.git"),
        ("https://s3cret@example.com/r.git", "https://example.com/r.git"),
        ("https://ada:p%40ss%2Fw@example.com/r.git", "https://example.com/r.git"),
        ("ssh://git:s3cret@example.com:22/r.git", "ssh://git@example.com:22/r.git"),
        ("https://example.com/r.git?private_token=s3cret", "https://example.com/r.git"),
        ("git@example.com:r.git", "git@example.com:r.git"),
        ("/srv/r.git", "/srv/r.git"),
    ],
)
def test_credentials_never_stay_in_a_url(url: str, shown: str) -> None:
    assert without_credentials(url) == shown


def test_redact_takes_every_login_out_of_a_text() -> None:
    said = "fatal: unable to access 'https://ada:s3cret@example.com/r.git/': and http://t0ken@h/x"
    assert redact(said) == "fatal: unable to access 'https://example.com/r.git/': and http://h/x"


def test_a_token_makes_agents_clone_over_https_also_where_people_push_over_ssh() -> None:
    assert storage_of("git@gitlab.com:team/sub/etl.git", "GITLAB_TOKEN") == GitStorage(
        "gitlab.com", "team/sub/etl", False, "GITLAB_TOKEN", "oauth2", None
    )


def test_ssh_without_a_token() -> None:
    assert storage_of("git@github.com:team/etl.git") == GitStorage("github.com", "team/etl", True, None, None, None)


def test_the_username_of_a_deploy_token() -> None:
    found = storage_of("https://gitlab.com/team/etl.git", "TOKEN", "deploy-7")
    assert found == GitStorage("gitlab.com", "team/etl", False, "TOKEN", "deploy-7", None)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("git@github.com:team/etl.git", "git@github.com:team/etl.git"),
        ("ssh://git@github.com/team/etl.git", "git@github.com:/team/etl.git"),
        ("git@git.corp:/srv/git/etl.git", "git@git.corp:/srv/git/etl.git"),
        ("ssh://git@git.corp/~git/etl", "git@git.corp:~git/etl.git"),
    ],
)
def test_over_ssh_an_agent_clones_the_same_path(url: str, expected: str) -> None:
    storage = storage_of(url)
    assert f"git@{storage.repo_host}:{storage.repo}.git" == expected


@pytest.mark.parametrize(
    ("url", "ssh", "token", "expected"),
    [
        ("https://github.com/team/etl.git", True, None, ("github.com", "team/etl", True)),
        ("git@github.com:team/etl.git", False, None, ("github.com", "team/etl", False)),
        ("ssh://git@ssh.github.com:443/team/etl.git", None, "T", ("github.com", "team/etl", False)),
        ("ssh://git@git.corp:2222/team/etl.git", None, "T", ("git.corp", "team/etl", False)),
        ("https://git.corp:8443/team/etl.git", None, "T", ("git.corp:8443", "team/etl", False)),
    ],
)
def test_another_protocol_than_this_clones(url: str, ssh: bool | None, token: str | None, expected: object) -> None:
    storage = storage_of(url, token, ssh=ssh)
    assert (storage.repo_host, storage.repo, storage.use_ssh) == expected


@pytest.mark.parametrize(
    ("url", "other", "expected"),
    [
        ("https://ada:s3cret@github.com/team/etl.git", "git@github.com:team/etl", True),
        ("https://GitHub.com/team/etl", "ssh://git@ssh.github.com:443/team/etl.git", True),
        ("https://github.com/team/etl", "https://github.com/team/etl2", False),
        ("/srv/etl.git", "file:///srv/etl.git", True),
    ],
)
def test_the_same_place(url: str, other: str, expected: bool) -> None:
    assert same_place(url, other) is expected


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("/srv/etl.git", "it is a path on this machine, which agents elsewhere do not have"),
        ("http://example.com/etl.git", "agents clone over https or ssh, and this is http"),
        ("codecommit::eu-west-1://etl", "agents clone over https or ssh, and this is codecommit"),
        ("ssh://deploy@example.com/etl.git", "agents log in over ssh as 'git', and this is 'deploy'"),
        ("ssh://git@example.com:2222/etl.git", "Prefect's ssh URL has no place for a port"),
        (
            "https://ada@dev.azure.com/team/etl/_git/etl",
            "Prefect appends .git to the path, which Azure DevOps does not know",
        ),
        ("https://example.com:8443/etl.git", None),
        ("git@example.com:etl.git", None),
    ],
)
def test_what_prefects_url_forms_cannot_say(url: str, why: str | None) -> None:
    assert why_not_clonable(url, storage_of(url)) == why
    assert why_not_clonable(url, storage_of(url, clone_url_secret="CLONE_URL")) is None
