"""One line of the table that `make bench` prints: what we take, beside what, and the goal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

HEAD = ("what", "ours", "beside", "", "ratio", "goal", "met")
WIDTHS = (52, 9, 26, 9, 8, 8, 3)
LEFT = (0, 2, 6)
"""Columns of text."""


class Row(NamedTuple):
    """A measurement and what it is held against in the same run; both in the unit, the best of some runs."""

    what: str
    ours: float
    beside: str
    theirs: float
    goal: float | None = None
    """The ratio at most; None where none is set."""
    unit: str = "s"

    @property
    def ratio(self) -> float:
        """Ours by theirs."""
        return self.ours / self.theirs

    def cells(self) -> tuple[str, ...]:
        """The line's columns as text."""
        goal, met = (
            ("", "") if self.goal is None else (f"{self.goal:.2f} ×", "yes" if self.ratio <= self.goal else "no")
        )
        digits = {"s": 3, "MB": 0}[self.unit]
        ours, theirs = (f"{value:.{digits}f} {self.unit}" for value in (self.ours, self.theirs))
        return self.what, ours, self.beside, theirs, f"{self.ratio:.2f} ×", goal, met


def shown(rows: Iterable[Row]) -> Iterator[str]:
    """The lines for a terminal, each as soon as it is measured."""
    yield line(HEAD)
    for row in rows:
        yield line(row.cells())


def markdown(rows: Iterable[Row]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| " + " | ".join(HEAD) + " |"
    yield "|" + "|".join(":--" if number in LEFT else "--:" for number in range(len(HEAD))) + "|"
    for row in rows:
        yield "| " + " | ".join(row.cells()) + " |"


def line(cells: Iterable[str]) -> str:
    """Columns side by side, numbers to the right."""
    return "  ".join(
        cell.ljust(width) if number in LEFT else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, WIDTHS))
    ).rstrip()
