"""The commands that give agents a secret are run as they are printed, and Prefect then finds the value."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from prefect.utilities.configuration import set_temporary_config

from git_prefect.core.errors import NotAuthorised, OutOfReach, UsageError
from git_prefect.devserver.process import running
from git_prefect.prefect_api.client import Connection
from git_prefect.prefect_api.secrets import how_to_set

VALUES = [
    "ssh://git@gitlab.corp:2222/a/b/etl.git",
    "https://oauth2:TOKEN@gitlab.corp/a/etl.git",
    'file:///srv/my flows/it\'s "here".git',
]


def command(text: str, kind: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(f"    {kind}"))
    return line.partition(": ")[2]


@pytest.mark.parametrize("value", VALUES)
def test_with_prefect_server(value: str) -> None:
    export = command(how_to_set("CLONE", value), "Prefect Server")
    ask = 'from prefect.client import Secret; print(Secret("CLONE").get())'
    said = subprocess.run(
        ["sh", "-c", f"{export}; exec '{sys.executable}' -c '{ask}'"],
        env={**os.environ, "PREFECT__BACKEND": "server"}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == f"{value}\n"


@pytest.mark.parametrize("value", VALUES)
def test_with_prefect_cloud(value: str) -> None:
    """As far as it goes without Prefect Cloud: the client's own method is called with this name and value."""
    call = command(how_to_set("CLONE", value), "Prefect Cloud").removeprefix("python -c ")
    watch = "import prefect; prefect.Client.set_secret = lambda client, name, value: print(name, value); exec(__import__('sys').argv[1])"
    said = subprocess.run(
        ["sh", "-c", f"exec '{sys.executable}' -c \"$WATCH\" {call}"],
        env={**os.environ, "WATCH": watch}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert said.stdout == f"CLONE {value}\n"


def test_the_backend_decides_which_command_is_named() -> None:
    def kinds(**settings: str | None) -> list[str]:
        with set_temporary_config({"cloud.api_key": None, **settings}):
            return [line.split(":")[0].split(",")[0].strip() for line in how_to_set("CLONE", "URL").splitlines()]

    assert kinds(backend="server") == ["Prefect Server"]
    assert kinds(backend="cloud", **{"cloud.api_key": "key"}) == ["Prefect Cloud"]
    # Prefect's own default, where nobody has chosen yet.
    assert kinds(backend="cloud") == ["Prefect Server", "Prefect Cloud"]


def test_the_backend_decides_which_variable_sets_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def hint(backend: str) -> str:
        with set_temporary_config({"backend": backend, "cloud.api": "http://127.0.0.1:9"}), pytest.raises(OutOfReach) as raised:
            Connection().ask("query { hello }", {})
        return raised.value.hint

    said = "is it the right one? It is set by `prefect backend …` and "
    assert hint("server") == f"{said}PREFECT__SERVER__ENDPOINT"
    assert hint("cloud") == f"{said}PREFECT__CLOUD__API"
    # It counts for both, and before the other.
    monkeypatch.setenv("PREFECT__CLOUD__API", "http://127.0.0.1:9")
    assert hint("server") == f"{said}PREFECT__CLOUD__API"


def test_the_backend_decides_how_to_log_in_and_to_choose_a_tenant() -> None:
    with running("--api-key", "one") as url:
        for backend, said in (
            ("server", "Prefect Server itself takes no key; for what is in front of it, set PREFECT__CLOUD__API_KEY"),
            ("cloud", "log in with `prefect auth login --key KEY`, or set PREFECT__CLOUD__API_KEY"),
        ):
            with set_temporary_config({"backend": backend, "cloud.api": url, "cloud.api_key": "another"}), pytest.raises(NotAuthorised) as raised:
                Connection().ask("query { tenant { id } }", {})
            assert raised.value.hint == said
    for backend, said in (
        ("server", "correct PREFECT__CLOUD__TENANT_ID, or create one with `prefect server create-tenant --name NAME`"),
        ("cloud", "choose one with `prefect auth switch-tenants --slug SLUG`"),
    ):
        with set_temporary_config({"backend": backend, "cloud.api_key": None}), pytest.raises(UsageError) as none:
            Connection().own_tenant([])
        assert none.value.hint == said


def test_a_place_holder_says_how_it_is_quoted() -> None:
    quoted = "what takes the place-holder's place is quoted as in every URL: @ %40, / %2F, : %3A, % %25"
    assert quoted in how_to_set("CLONE", VALUES[1])
    assert quoted not in how_to_set("CLONE", VALUES[0])
    assert quoted not in how_to_set("TOKEN", "TOKEN")
