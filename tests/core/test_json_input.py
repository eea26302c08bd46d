"""What JSON from elsewhere has to look like."""

from __future__ import annotations

from typing import Any, Optional

import msgspec
import pytest

from git_prefect.core.json_input import Count, Name, Seconds, checked, convert, decode, misfit


class Slug(msgspec.Struct):
    slug: str


class Row(msgspec.Struct, array_like=True, frozen=True):
    name: str
    at: Optional[Seconds]


class Flow(msgspec.Struct):
    name: Name
    tasks: list[Slug]
    version: Optional[Count] = None
    row: Row = Row("x", None)


RIGHT = {"name": "etl", "tasks": [{"slug": "a"}], "more": 1}


@pytest.mark.parametrize(
    ("value", "kind", "place"),
    [
        (RIGHT, Flow, None),
        ({**RIGHT, "version": None}, Flow, None),
        ({**RIGHT, "row": ["x", None]}, Flow, None),
        ({**RIGHT, "row": ["x", 1]}, Flow, None),
        ({**RIGHT, "row": None}, Flow, "row"),
        ([], Flow, "the whole"),
        ({"name": "etl"}, Flow, "tasks"),
        ({**RIGHT, "tasks": {}}, Flow, "tasks"),
        ({**RIGHT, "tasks": [{"slug": "a"}, {}]}, Flow, "tasks[1].slug"),
        ({**RIGHT, "version": True}, Flow, "version"),
        ({**RIGHT, "version": 1.5}, Flow, "version"),
        ({**RIGHT, "version": 2**60}, Flow, "version"),
        ({**RIGHT, "row": ["x"]}, Flow, "row"),
        ({**RIGHT, "row": ["x", "y"]}, Flow, "row[1]"),
        ({**RIGHT, "row": ["x", float("nan")]}, Flow, "row[1]"),
        ({**RIGHT, "row": ["x", float("inf")]}, Flow, "row[1]"),
        ("a\0b", Name, "the whole"),
        ("\ud800", Name, "the whole"),
        ("f\udcfc", Name, None),
        ("a\0b", str, None),
        (None, Optional[str], None),
        (1, Optional[str], "the whole"),
    ],
)
def test_where_a_value_is_not_of_a_type(value: Any, kind: Any, place: str | None) -> None:
    assert misfit(value, kind) == place
    assert (convert(value, kind) is None) == (place is not None or value is None)


class Number(msgspec.Struct):
    a: int


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b'{"a": "1"}', b'{"a": ' + b"1" * 5000 + b"}"])
def test_what_is_no_json_or_of_another_type_is_nothing(text: bytes) -> None:
    assert decode(text, Number) is None
    assert checked(text, Number) is None


def test_only_a_checked_value_keeps_what_is_not_asked_for() -> None:
    assert decode('{"a": 1, "b": 2}', Number) == Number(1)
    assert checked('{"a": 1, "b": 2}', Number) == {"a": 1, "b": 2}
