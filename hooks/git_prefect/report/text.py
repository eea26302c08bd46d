"""The words that every report and every hook says things in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from ..core.model import ERROR, Finding, RefUpdate
from . import style

NARROW = 80
"""Columns that any terminal has."""

PAST = {"created": "registered", "updated": "registered", "taken-over": "registered", "left-behind": "left behind"}
"""`prefect register` calls what is new and what is changed "registered" when it sums up."""


def plural(count: int, noun: str) -> str:
    """`1 flow`, `2 flows`, `2 branches`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}es" if noun.endswith("ch") else f"{count} {noun}s"


def listed(names: Sequence[str], most: int) -> str:
    """`a.py, b.py, c.py and 2 more`: the first `most` names, and how many are left."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def short(commit: str | None) -> str:
    """A commit's name as people say it."""
    return (commit or "none")[:7]


def place(update: RefUpdate) -> str:
    """A ref as people name it: `origin/feature/x`, `tag v1.0 on origin`, `refs/for/main on origin`."""
    if update.kind == "branch":
        return f"{update.remote}/{update.name}"
    return f"tag {update.name} on {update.remote}" if update.kind == "tag" else f"{update.ref} on {update.remote}"


def headline(one: Finding) -> str:
    """The first line of a finding: place, severity unless it is an error, sentence, code."""
    where = f"{one.path}:{one.line}" if one.path and one.line else one.path
    severity = "" if one.severity == ERROR else f"{one.severity}: "
    return f"{where}: {severity}{one.message} [{one.code}]" if where else f"{severity}{one.message} [{one.code}]"


def fitted(paragraph: str, stream: TextIO | None = None) -> str:
    """What a hook prints, its long lines wrapped where the stream (stdout, if not told) is a terminal."""
    stream = stream or sys.stdout
    if not stream.isatty() or max(map(len, paragraph.splitlines()), default=0) <= NARROW:
        return paragraph
    shown = style.of(stream=stream)
    return "\n".join(shown.wrap(style.whole(line)) for line in paragraph.splitlines())
