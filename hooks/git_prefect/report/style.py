"""How text looks where it is read: colours, and lines wrapped at the width of a terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from typing import TextIO
from unicodedata import east_asian_width

import msgspec

from ..core.model import ERROR, WARNING

STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36", "bad": "1;31"}
SEVERITIES = {ERROR: "bad", WARNING: "yellow"}
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")

COMMAND = re.compile(r"(?:(?<=: )|^)(?:[A-Z_]+=\S+ )?(?:git|pip|pipx|uv|prefect|pre-commit) .+?(?=, or |; |$)|`[^`]*`")
"""What is pasted into a shell, at the end of a hint or in backticks: it stays in one piece."""
HOLD = "\0"
"""Stands for a space at which no line is broken."""


class Look(msgspec.Struct, frozen=True):
    """How text looks: with colours or not, wrapped at some columns or (None) never, with every flow named or not."""

    color: bool = False
    width: int | None = None
    verbose: bool = False

    def paint(self, style: str, words: str) -> str:
        """Words in a style of `STYLES`; as they are without colours."""
        return f"\x1b[{STYLES[style]}m{words}\x1b[0m" if self.color and words and style else words

    def wrap(self, line: str, indent: int = 0, hanging: int = 4) -> str:
        """A line behind an indent (its own is added), what does not fit on lines below it, further in."""
        indent += len(line) - len(line.lstrip(" "))
        lines, rest = [], " " * indent
        for word in line.lstrip(" ").split(" "):
            fits_below = self.width and columns(word) <= self.width - indent - hanging
            if self.width and fits_below and rest.strip() and columns(rest) + 1 + columns(word) > self.width:
                lines.append(rest)
                rest = " " * (indent + hanging)
            rest += f" {word}" if rest.strip() else word
        return "\n".join([*lines, rest]).replace(HOLD, " ")


PLAIN = Look()


def whole(sentence: str) -> str:
    """A sentence whose commands are not broken when it is wrapped: they are there to be pasted."""
    return COMMAND.sub(lambda found: found[0].replace(" ", HOLD), sentence)


def paragraph(told: str, look: Look, indent: int = 0, hanging: int = 4) -> str:
    """Sentences wrapped, their commands in one piece; a line that is indented is a command, to be copied as it is."""
    lines = told.splitlines()
    return "\n".join(line if line.startswith(" ") else look.wrap(whole(line), indent, hanging) for line in lines)


def same_place(one: TextIO, other: TextIO) -> bool:
    """Whether two streams end at the same terminal, pipe or file: what one has told need not be told on the other."""
    try:
        return os.path.sameopenfile(one.fileno(), other.fileno())
    except (OSError, ValueError):
        return False


def of(
    color: str = "auto", verbose: bool = False, stream: TextIO | None = None, environ: Mapping[str, str] | None = None
) -> Look:
    """How text looks on a stream: https://no-color.org, https://force-color.org.

    Long lines are wrapped on a terminal only, so that what goes elsewhere can be searched line by line. pre-commit
    gives its hooks a terminal without a size: 80 columns then.
    """
    stream = stream or sys.stdout
    environ = os.environ if environ is None else environ
    terminal = stream.isatty()
    # Of the two variables, the one that asks for less wins, as in Python's own output.
    wanted = bool(environ.get("FORCE_COLOR")) or (terminal and environ.get("TERM") != "dumb")
    colored = color == "always" or (color == "auto" and wanted and not environ.get("NO_COLOR"))
    return Look(colored, _columns_of(stream, environ) if terminal else None, verbose)


def _columns_of(stream: TextIO, environ: Mapping[str, str]) -> int:
    told = environ.get("COLUMNS", "")
    if told.isdigit() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        return 80


def columns(words: str) -> int:
    """How many columns of a terminal some words take, without the escapes that colour them."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in ESCAPE.sub("", words))


def padded(words: str, width: int) -> str:
    """Words with spaces behind them, as wide as a column of a table."""
    return words + " " * (width - columns(words))
