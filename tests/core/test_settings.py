"""What this machine overrides of the settings of a commit."""

from __future__ import annotations

import pytest

from git_prefect.core.errors import UsageError
from git_prefect.core.settings import read

TOKEN = b'[tool.git-prefect]\ntoken-secret = "GIT_TOKEN"\ntoken-username = "oauth2"\n'
CLONE_URL = b'[tool.git-prefect]\nclone-url-secret = "CLONE_URL"\n'


def login(content: bytes, machine: dict[str, str]) -> tuple[str | None, str | None, str | None]:
    """Token secret, its username and the secret with the clone URL."""
    settings = read({"pyproject.toml": content}, machine).settings
    return settings.token_secret, settings.token_username, settings.clone_url_secret


@pytest.mark.parametrize(
    ("content", "machine", "expected"),
    [
        (TOKEN, {}, ("GIT_TOKEN", "oauth2", None)),
        (TOKEN, {"token-username": "me"}, ("GIT_TOKEN", "me", None)),
        (TOKEN, {"tokenusername": "me"}, ("GIT_TOKEN", "me", None)),
        (TOKEN, {"token-secret": "MINE"}, ("MINE", "oauth2", None)),
        (TOKEN, {"clone-url-secret": "URL"}, (None, None, "URL")),
        (TOKEN, {"timeout": "9"}, ("GIT_TOKEN", "oauth2", None)),
        (CLONE_URL, {"clone-url-secret": "URL"}, (None, None, "URL")),
        (CLONE_URL, {"token-secret": "MINE"}, ("MINE", None, None)),
        (CLONE_URL, {"timeout": "9"}, (None, None, "CLONE_URL")),
    ],
)
def test_a_machine_overrides_key_by_key(
    content: bytes, machine: dict[str, str], expected: tuple[str | None, str | None, str | None]
) -> None:
    assert login(content, machine) == expected


@pytest.mark.parametrize("name", ["token-username", "token-secret"])
def test_a_variable_overrides_its_key_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_PREFECT_" + name.upper().replace("-", "_"), "mine")
    expected = ("mine", "oauth2", None) if name == "token-secret" else ("GIT_TOKEN", "mine", None)
    assert login(TOKEN, {}) == expected


def test_the_two_ways_to_clone_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="it goes without `token-secret` and `token-username`"):
        login(TOKEN, {"clone-url-secret": "URL", "token-username": "me"})
    # A username alone is no login.
    with pytest.raises(UsageError, match="it goes without `token-secret` and `token-username`"):
        login(CLONE_URL, {"token-username": "me"})


@pytest.mark.parametrize("name", ["token-secret", "token-username", "clone-url-secret"])
@pytest.mark.parametrize("empty", ["", "  "])
def test_a_machine_takes_no_login_away(name: str, empty: str) -> None:
    with pytest.raises(UsageError) as raised:
        login(TOKEN, {name: empty})
    assert str(raised.value) == (
        f"git config prefect.{name}: it is empty, so flows would be registered without the login that agents clone with\n"
        f"hint: unset git config prefect.{name}, or name the Prefect secret"
    )
