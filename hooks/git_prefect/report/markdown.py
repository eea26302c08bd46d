"""`--format markdown`: a summary for merge requests."""

from __future__ import annotations

from ..model import Report
from . import terminal
from .terminal import Look


def render(report: Report, look: Look) -> str:
    """The text report in a code block, until it is more."""
    return f"```\n{terminal.render(report, Look(False, None))}\n```"
