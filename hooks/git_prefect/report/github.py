"""`--format github`: annotations for GitHub Actions, as its runner reads them from a job's output.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

from msgspec.structs import replace

from ..core.model import ERROR, NOTE, WARNING, Finding
from ..core.results import Report
from . import finding_text, terminal
from .style import Look

LEVELS = {ERROR: "error", WARNING: "warning", NOTE: "notice"}


def render(report: Report, look: Look) -> str:
    """An annotation for each finding and each failed registration, then what else there is to say as plain text."""
    failed = [
        Finding("registration-failed", ERROR, f"{row.flow or row.ref}: {row.reason}", "", row.path or None)
        for row in report.registrations
        if row.action == "failed"
    ]
    lines = [annotation(one) for one in [*finding_text.ordered(report.findings), *failed]]
    rest = terminal.render(replace(report, findings=()), replace(look, width=None))
    # A line that begins with `::` would be a command of its own.
    lines += [f" {line}" if line.startswith("::") else line for line in rest.splitlines()]
    return "\n".join(lines)


def annotation(one: Finding) -> str:
    """`::error file=…,line=…,title=…::message`."""
    where = {"file": one.path, "line": one.line, "title": one.code}
    properties = ",".join(f"{name}={_property(str(value))}" for name, value in where.items() if value is not None)
    parts = [one.message, one.detail, f"hint: {one.hint}" if one.hint else ""]
    return f"::{LEVELS[one.severity]} {properties}::{_data(chr(10).join(part for part in parts if part))}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
