"""What JSON from elsewhere has to look like."""

from __future__ import annotations

from typing import Any

import pytest

from git_prefect.core.json_shape import Name, Row, Shape, loads, misfit

FLOW = {"name": Name, "tasks": [{"slug": str}], "version*": int, "row?": Row((str, (float, None)))}
RIGHT = {"name": "etl", "tasks": [{"slug": "a"}], "more": 1}


@pytest.mark.parametrize(
    ("value", "shape", "place"),
    [
        (RIGHT, FLOW, None),
        ({**RIGHT, "version": None}, FLOW, None),
        ({**RIGHT, "row": ["x", None]}, FLOW, None),
        ({**RIGHT, "row": ["x", 1]}, FLOW, None),
        ({**RIGHT, "row": None}, FLOW, ".row"),
        ([], FLOW, "the whole"),
        ({"name": "etl"}, FLOW, ".tasks"),
        ({**RIGHT, "tasks": {}}, FLOW, ".tasks"),
        ({**RIGHT, "tasks": [{"slug": "a"}, {}]}, FLOW, ".tasks[1].slug"),
        ({**RIGHT, "version": True}, FLOW, ".version"),
        ({**RIGHT, "version": 1.5}, FLOW, ".version"),
        ({**RIGHT, "version": 2**60}, FLOW, ".version"),
        ({**RIGHT, "row": ["x"]}, FLOW, ".row"),
        ({**RIGHT, "row": ["x", "y"]}, FLOW, ".row[1]"),
        ({**RIGHT, "row": ["x", float("nan")]}, FLOW, ".row[1]"),
        ({**RIGHT, "row": ["x", float("inf")]}, FLOW, ".row[1]"),
        ("a\0b", Name, "the whole"),
        ("\ud800", Name, "the whole"),
        ("f\udcfc", Name, None),
        ("a\0b", str, None),
        (None, (str, None), None),
        (1, (str, None), "the whole"),
    ],
)
def test_where_a_value_has_not_the_shape(value: Any, shape: Shape, place: str | None) -> None:
    assert misfit(value, shape) == place


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b'{"a": "1"}', b'{"a": ' + b"1" * 5000 + b"}"])
def test_what_is_no_json_or_of_another_shape_is_nothing(text: bytes) -> None:
    assert loads(text, {"a": int}) is None
