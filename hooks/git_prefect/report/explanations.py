"""`git prefect explain`: one code in four paragraphs, several as a table."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from ..core.findings import CODES, section
from .style import SEVERITIES, Look, padded
from .text import NARROW


def told(codes: Sequence[str], look: Look) -> str:
    """For people: the explanation of a code, or a line for each of several, wrapped where it is read on a terminal."""
    if len(codes) != 1:
        return "\n".join(_line(code, look) for code in codes)
    (code,) = codes
    about = CODES[code]
    width = min(look.width or NARROW, NARROW)
    head = f"{look.paint('bold', code)} ({look.paint(SEVERITIES.get(about.severity, 'cyan'), about.severity)})"
    return "\n\n".join([head, *(textwrap.fill(part, width, break_on_hyphens=False) for part in (about.meaning, about.reason, about.remedy))])


def _line(code: str, look: Look) -> str:
    first, second = max(map(len, CODES)), max(len(about.severity) for about in CODES.values())
    about = CODES[code]
    severity = padded(look.paint(SEVERITIES.get(about.severity, "cyan"), about.severity), second)
    return look.wrap(f"{padded(code, first)}  {severity}  {about.meaning}", 0, first + second + 4)


def markdown(codes: Sequence[str]) -> str:
    """The sections of docs/findings.md."""
    return "\n".join(line for code in codes for line in section(code)).strip("\n")
