"""The table of `git prefect doctor`: what was looked at, what was found, and below it the remedy if it is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from ..model import Check
from .standing import NARROW


def table(found: Sequence[Check], width: int | None) -> list[str]:
    """A line for each check, its further facts below, aligned; what is wrong has a `!` before it."""
    names = max((len(one.name) for one in found), default=0)
    lines = []
    for one in found:
        mark, name = "!" if one.problem else " ", one.name
        for told in _told(one, max((width or NARROW) - names - 4, 20)):
            lines.append(f"{mark} {name:{names}}  {told}".rstrip())
            mark, name = " ", ""
    return lines


def _told(one: Check, width: int) -> Iterator[str]:
    for fact in one.facts:
        yield from _wrapped(fact, width, "  ")
    if one.problem:
        yield from _wrapped(one.problem, width, "  ")
        yield from _wrapped(f"hint: {one.remedy}", width, "      ")


def _wrapped(text: str, width: int, indent: str) -> Iterator[str]:
    for line in text.splitlines():
        # What is indented is a command, to be copied as it is.
        whole = line.startswith(" ")
        yield from (
            [line]
            if whole
            else wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        )
