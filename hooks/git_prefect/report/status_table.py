"""The table of `git prefect status`: ref and project, below them flow, version, schedule, last run, and what is wrong."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import datetime

from ..core.results import FlowStatus, Report
from . import finding_text, text
from .style import Look, columns, padded

LEAST_NAME = 12
"""Columns that flows' names have in any case; a longer name stands on a line of its own."""


def table(report: Report, look: Look) -> list[str]:
    """The lines of the table; none when nothing is registered."""
    queued = {row.ref for row in report.registrations if row.action == "queued"}
    groups: dict[tuple[str, str], list[FlowStatus]] = {}
    for one in report.registered:
        groups.setdefault((one.ref, one.project), []).append(one)
    cells = {one: cells_of(one) for one in report.registered}
    widths = [max((columns(row[column]) for row in cells.values()), default=0) for column in range(4)]
    # The indent and the gaps are two columns each.
    space = max(LEAST_NAME, (look.width or text.NARROW) - sum(widths[1:]) - 8)
    widths[0] = max((columns(row[0]) for row in cells.values() if columns(row[0]) <= space), default=LEAST_NAME)
    lines = []
    for (ref, project), flows in groups.items():
        heading = f"{ref_name(ref)} → {project}{', queued' if ref in queued else ''}"
        lines.append(look.wrap(look.paint("bold", heading)))
        for one in flows:
            lines += _row(cells[one], widths)
            lines += [finding_text.finding(found, look, report.root, indent=4) for found in one.drift]
    return lines


def ref_name(ref: str) -> str:
    """A ref as people call it, of its full name: `main`, `tag v1.0`."""
    kind, _, name = ref.partition("/")[2].partition("/")
    return f"tag {name}" if kind == "tags" else name or "the default branch"


def cells_of(one: FlowStatus) -> tuple[str, str, str, str]:
    """Name, version, schedule and last run of a flow, in words."""
    paused = "" if one.schedule_active or not one.schedule else ", paused"
    return one.flow, f"v{one.version}", f"{one.schedule or 'no schedule'}{paused}", _last_run(one)


def _last_run(one: FlowStatus) -> str:
    if not one.last_run:
        return "never ran"
    return f"{one.last_run} {ago(seconds_since_epoch(one.last_run_at))}"


def _row(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    name, *others = cells
    lines = []
    if columns(name) > widths[0]:
        lines, name = [f"  {name}"], ""
    told = "  ".join(padded(cell, space) for cell, space in zip((name, *others), widths)).rstrip()
    return [*lines, f"  {told}"]


def runtimes(registered: Collection[FlowStatus]) -> str:
    """How many runtimes serve how many flows: images are built for the first number, not for the second."""
    counts: dict[str, int] = {}
    for one in registered:
        counts[one.runtime] = counts.get(one.runtime, 0) + 1
    told = ", ".join(f"{runtime} ({count})" for runtime, count in sorted(counts.items(), key=lambda each: -each[1]))
    verb = "serves" if len(counts) == 1 else "serve"
    return f"{text.plural(len(counts), 'runtime')} {verb} {text.plural(len(registered), 'flow')}: {told}"


def ago(moment: float) -> str:
    """How long ago, in the largest unit that is whole: `3 days ago`, `4 s ago`."""
    return f"{span(max(0, int(time.time() - moment)))} ago"


def span(seconds: int) -> str:
    """A time in the largest unit that is whole: `3 days`, `4 s`."""
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return text.plural(seconds // size, unit)
    return f"{seconds} s"


def seconds_since_epoch(moment: str) -> float:
    """A time of the API's (ISO 8601 in UTC, with any number of fractional digits) in seconds since the epoch."""
    plain = moment.replace("Z", "+00:00")
    head, dot, tail = plain.partition(".")
    if dot:
        digits = tail[: len(tail) - len(tail.lstrip("0123456789"))]
        plain = f"{head}.{digits[:6].ljust(6, '0')}{tail[len(digits) :]}"
    found = datetime.fromisoformat(plain)
    return found.timestamp() if found.tzinfo else datetime.fromisoformat(f"{plain}+00:00").timestamp()
