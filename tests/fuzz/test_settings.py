"""Settings: any text, and every key with any value, read from a commit and from the work tree."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from git_prefect.core import settings
from git_prefect.core.errors import UsageError
from git_prefect.deploy.commit_settings import settings_at

from ..repository import Clone
from .conftest import Command
from .strategies import DEEP, TEXT, tries

SCALARS = st.one_of(
    st.booleans(), st.integers(-(2**70), 2**70), st.floats(), TEXT.filter(lambda text: "\udcff" not in text),
    st.sampled_from(["", " ", "/", "..", "**", "[", "\\", "!", "{branch}", "{tag}", "{", "keep", "a\nb", "a\0b", "DockerRun"]),
    st.dates(), st.datetimes(), st.times(),
)  # fmt: skip
VALUES = st.recursive(
    SCALARS, lambda one: st.one_of(st.lists(one, max_size=3), st.dictionaries(TEXT, one, max_size=3)), max_leaves=6
)
"""What TOML can hold."""


def keys(table: Any) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(table)]


def tables(table: Any, **known: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Tables with any of these keys and of others, and any values; `known` may be right."""
    any_key = st.one_of(st.sampled_from(keys(table)), TEXT)
    anything = st.dictionaries(any_key, VALUES, max_size=3)
    right = st.fixed_dictionaries({}, optional=known)
    return st.builds(lambda one, other: {**one, **other}, right, anything)


PATTERNS = st.lists(st.one_of(TEXT, st.sampled_from(["flows/**", "!x", "[", "\\", "a/**/b"])), max_size=3)
TARGETS = tables(settings.Target, branch=st.just("**"), tag=TEXT, project=TEXT, labels=st.lists(TEXT, max_size=2))
RUNTIMES = tables(
    settings.Runtime, flows=PATTERNS, **{"run-config": st.dictionaries(st.sampled_from(["type", "image", "env"]), VALUES)}
)
SETTINGS = tables(
    settings.Settings, flows=PATTERNS, exclude=PATTERNS, target=st.lists(TARGETS, max_size=2),
    runtime=st.lists(RUNTIMES, max_size=2), env=st.dictionaries(TEXT, TEXT, max_size=2), timeout=st.floats(),
    parallel=st.integers(), **{"import-roots": st.lists(TEXT, max_size=2), "companion-tag": TEXT},
)  # fmt: skip


def toml(value: Any) -> str:
    """A value as TOML writes it, inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(key)} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return text(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def text(value: str) -> str:
    plain = json.dumps(value.encode("utf-8", "replace").decode(), ensure_ascii=False)
    return re.sub("[\x7f]", lambda match: f"\\u{ord(match[0]):04x}", plain)


def written(table: dict[str, Any], name: str = ".git-prefect.toml") -> dict[str, bytes]:
    lines = [f"{text(key)} = {toml(value)}" for key, value in table.items()]
    head = ["[tool.git-prefect]"] * (name == "pyproject.toml")
    return {name: "\n".join([*head, *lines, ""]).encode()}


def refusal(files: dict[str, bytes]) -> str:
    """Why the settings are refused; empty: they are taken. Nothing else can become of them."""
    try:
        settings.read(files)
    except UsageError as error:
        assert error.message.startswith(tuple(files)), "the file is named"
        assert error.hint
        return error.message
    return ""


@given(st.one_of(st.binary(max_size=200), TEXT.map(lambda one: one.encode("utf-8", "replace"))))
@example(b"\xff")
@example(b"a = " + DEEP.encode())
@example(b"tool = 1")
@example(b"[tool]\ngit-prefect = 1")
@example(b"timeout = 1e999")
@example(b"timeout = " + b"9" * 10_000)
@example(b".".join([b"a"] * 100_000) + b" = 1")
@example(b"a = {" + b"'.' . \".\".".join([b"a"] * 10_000) + b" = 1}")
@tries(300)
def test_any_bytes_are_settings_or_refused(content: bytes) -> None:
    for name in settings.FILES:
        refusal({name: content})
        refusal({name: b"# git-prefect\n" + content})


def test_the_largest_settings_are_read_and_larger_ones_are_refused() -> None:
    """What takes a parser the most memory of all that is read: each line makes a table for each part of a long key."""
    parts = b".".join([b"a"] * (settings.MOST_PARTS - 1))
    lines = [b"%015d.%s = 1\n" % (number, parts) for number in range(settings.LARGEST_FILE // (len(parts) + 21))]
    content = b"".join(lines).ljust(settings.LARGEST_FILE)
    document = settings.parse(content)
    assert len(document) == len(lines)
    assert refusal({".git-prefect.toml": content + b"\n"}) == (
        ".git-prefect.toml: cannot be read as TOML (it has 500001 bytes, and 500000 are the most that are read), so no "
        "settings can be read"
    )
    assert list(settings.parse(b"x = { 'b.c' . " + parts + b" = 1.5 }")["x"]) == ["b.c"]
    assert refusal({".git-prefect.toml": b"a.b = [\"" + parts * 9 + b"\"]\n# " + parts * 9 + b"\nx.a." + parts + b" = 1"}) == (
        ".git-prefect.toml: cannot be read as TOML (a key of 33 parts, and 32 are the most that are read), so no settings "
        "can be read"
    )


@given(SETTINGS, st.sampled_from(settings.FILES))
@tries(250)
def test_any_values_of_every_key_are_taken_or_refused(table: dict[str, Any], name: str) -> None:
    refusal(written(table, name))


@given(st.dictionaries(st.one_of(st.sampled_from(settings.PER_MACHINE), TEXT), TEXT, max_size=3))
@tries(200)
def test_what_a_machine_sets_is_taken_or_refused(machine: dict[str, str]) -> None:
    try:
        settings.read({}, machine)
    except UsageError as error:
        assert error.message.startswith("git config prefect.")


@given(SETTINGS, st.sampled_from(settings.FILES))
@tries(15)
def test_a_commit_and_a_work_tree_are_read_alike(work: Clone, table: dict[str, Any], name: str) -> None:
    files = written(table, name)
    work.git("rm", "--quiet", "--cached", "--ignore-unmatch", *settings.FILES)
    for one in settings.FILES:
        (work.path / one).unlink(missing_ok=True)
    commit = work.commit(files)
    told = []
    for at in (commit, None):
        try:
            told.append(str(settings_at(work.repository, at, "origin")))
        except UsageError as error:
            told.append(str(error))
    assert told[0] == told[1]


@pytest.mark.parametrize("name", settings.FILES)
@given(SETTINGS)
@tries(7, seconds=60)
def test_commands_end_well_with_any_settings(
    name: str, work: Clone, command: Command, monkeypatch: pytest.MonkeyPatch, table: dict[str, Any]
) -> None:
    monkeypatch.chdir(work.path)
    files = written(table, name)
    work.commit(files)
    command("validate")
    command("register", "--explain", "--ref", "main")
    command("pre-push", "origin", "x", stdin=f"refs/heads/main {work.head()} refs/heads/main {'0' * 40}\n".encode())
