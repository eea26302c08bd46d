"""The table of `git prefect doctor`: what was looked at, what was found, and below it the remedy if it is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from ..core.results import Check
from .invocation import typed_here
from .style import Look, columns, padded, whole
from .text import NARROW

LEAST = 20
"""Columns of the facts in any case."""


def table(found: Sequence[Check], look: Look) -> list[str]:
    """A line for each check, its further facts below, aligned; what is wrong has a `!` before it."""
    names = max((columns(one.name) for one in found), default=0)
    narrow = replace(look, width=max((look.width or NARROW) - names - 4, LEAST))
    lines = []
    for one in found:
        mark, name = look.paint("bad", "!") if one.problem else " ", one.name
        for told in _told(one, narrow):
            lines.append(f"{mark} {padded(name, names)}  {told}".rstrip())
            mark, name = " ", ""
    return lines


def _told(one: Check, look: Look) -> Iterator[str]:
    for fact in one.facts:
        yield from _wrapped(fact, look, 2)
    if one.problem:
        yield from _wrapped(one.problem, look, 2)
        yield from _wrapped(f"{look.paint('green', 'hint:')} {whole(typed_here(one.remedy))}", look, 6)


def _wrapped(paragraph: str, look: Look, hanging: int) -> Iterator[str]:
    for line in paragraph.splitlines():
        # What is indented is a command, to be copied as it is.
        yield from [line] if line.startswith(" ") else look.wrap(line, 0, hanging).splitlines()
