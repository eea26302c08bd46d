"""Every form of URL that git accepts → the storage that an agent clones from."""

from __future__ import annotations

import pytest

from git_prefect.model import GitStorage
from git_prefect.push.remotes import (
    Location,
    locate,
    redact,
    storage_of,
    why_not_clonable,
    without_credentials,
)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://github.com/team/etl.git", Location("https", None, "github.com", "team/etl")),
        ("https://ada:t0ken@gitlab.com/a/b/c/etl", Location("https", None, "gitlab.com", "a/b/c/etl")),
        (
            "https://git.example.com:8443/team/etl.git/",
            Location("https", None, "git.example.com:8443", "team/etl"),
        ),
        ("git@github.com:team/etl.git", Location("ssh", "git", "github.com", "team/etl")),
        ("github.com:team/etl", Location("ssh", None, "github.com", "team/etl")),
        ("ssh://git@example.com:2222/team/etl.git", Location("ssh", "git", "example.com:2222", "team/etl")),
        ("ssh://deploy@example.com/team/etl", Location("ssh", "deploy", "example.com", "team/etl")),
        ("git@[::1]:team/etl.git", Location("ssh", "git", "[::1]", "team/etl")),
        ("https://[::1]:8443/team/etl.git", Location("https", None, "[::1]:8443", "team/etl")),
        ("http://example.com/etl.git", Location("http", None, "example.com", "etl")),
        ("/srv/git/etl.git", Location("file", None, "localhost", "srv/git/etl")),
        ("file:///srv/git/etl.git", Location("file", None, "localhost", "srv/git/etl")),
        ("../etl.git", Location("file", None, "localhost", "../etl")),
        ("./a:b.git", Location("file", None, "localhost", "./a:b")),
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
    ("url", "why"),
    [
        ("/srv/etl.git", "it is a path on this machine, which agents elsewhere do not have"),
        ("http://example.com/etl.git", "agents clone over https or ssh, and this is http://"),
        ("ssh://deploy@example.com/etl.git", "agents log in over ssh as 'git', and this is 'deploy'"),
        ("ssh://git@example.com:2222/etl.git", "Prefect's ssh URL has no place for a port"),
        ("https://example.com:8443/etl.git", None),
        ("git@example.com:etl.git", None),
    ],
)
def test_what_prefects_url_forms_cannot_say(url: str, why: str | None) -> None:
    assert why_not_clonable(url, storage_of(url)) == why
    assert why_not_clonable(url, storage_of(url, clone_url_secret="CLONE_URL")) is None
