"""The commands that give agents a secret are run as they are printed, and Prefect then finds the value."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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


def test_a_place_holder_says_how_it_is_quoted() -> None:
    quoted = "what takes the place-holder's place is quoted as in every URL: @ %40, / %2F, : %3A, % %25"
    assert quoted in how_to_set("CLONE", VALUES[1])
    assert quoted not in how_to_set("CLONE", VALUES[0])
    assert quoted not in how_to_set("TOKEN", "TOKEN")
