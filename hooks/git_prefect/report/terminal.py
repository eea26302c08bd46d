"""`--format text`: problems first, grouped by file, then what became of each flow, then one line that sums up."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from ..core.results import Registration, Report, ReportedFlow
from . import doctor_table, explanations, finding_text, status_table, text
from .invocation import typed_here
from .style import PLAIN, Look, columns, padded, whole

MOST_NAMED = 3
"""Flows of which the same is to be said are named up to this number, and counted beyond."""

COLORS = {
    "created": "green",
    "updated": "green",
    "taken-over": "yellow",
    "archived": "yellow",
    "deleted": "yellow",
    "left-behind": "yellow",
    "queued": "yellow",
    "failed": "red",
}

PLANNED = {
    "created": "create",
    "updated": "update",
    "taken-over": "take over",
    "archived": "archive",
    "deleted": "delete",
    "left-behind": "left behind",
    "failed": "refused",
}
"""What a plan calls each action."""

ORDER = {"failed": 0, "unchanged": 2, "skipped": 3}
"""What is wrong comes first, what is as it was comes last."""

TO_DO = {"created": "to create", "updated": "to update", "taken-over": "to take over", "archived": "to archive"}

SUMMED_UP = ("registered", "unchanged", "archived", "left behind", "queued", "failed")


def render(report: Report, look: Look) -> str:
    """The report as a person reads it; empty when there is nothing to say."""
    if report.codes:
        return explanations.told(report.codes, look)
    if report.checks:
        return "\n".join([*doctor_table.table(report.checks, look), *report.summary])
    # What is wrong with a registered flow is told in its row of the table.
    inside = {one for flow in report.registered for one in flow.drift}
    parts = [finding_text.findings([one for one in report.findings if one not in inside], look, report.root)]
    if look.verbose:
        parts.append(flows(report.flows))
    for ref in report.refs:
        rows = [row for row in report.registrations if row.ref == ref.ref and row.flow]
        head, *more = ref.heading.splitlines() or [""]
        parts += [look.wrap(whole(look.paint("bold", head))) if head else "", *(look.wrap(whole(line)) for line in more)]
        parts += registrations(rows, report.is_plan, look)
    if report.registered:
        parts += [*status_table.table(report, look), look.wrap(status_table.runtimes(report.registered))]
    return "\n".join(part for part in [*parts, *map(look.wrap, report.summary)] if part)


def flows(rows: Sequence[ReportedFlow]) -> str:
    """A line for each flow that loads: its file, its name and its number of tasks, in columns."""
    good = [row for row in rows if row.status in ("ok", "skipped") and row.name]
    first = max((columns(row.path) for row in good), default=0)
    second = max((columns(row.name or "") for row in good), default=0)
    return "\n".join(
        f"{padded(row.path, first)}  {padded(row.name or '', second)}  {text.plural(row.tasks or 0, 'task')}"
        for row in good
    )


def registrations(rows: Sequence[Registration], plan: bool, look: Look = PLAIN) -> list[str]:
    """What became, or would become, of each flow, and below it what changed; failures first, like with like."""
    alike: dict[Registration, list[Registration]] = {}
    for row in sorted(rows, key=lambda row: ORDER.get(row.action, 1)):
        key = replace(row, flow="", path="", version=None, url="", storage="")
        alike.setdefault(row if row.changes else key, []).append(row)
    lines = []
    for same in alike.values():
        first, count = same[0], len(same)
        if first.action == "skipped":
            lines.append(look.wrap(f"left alone: {text.plural(count, 'flow')} that this branch does not change", 2))
        elif look.verbose or first.action == "failed" or (count <= MOST_NAMED and first.action != "unchanged"):
            lines += [line for row in same for line in _registration(row, plan, look)]
        else:
            names = ", ".join(row.flow for row in same) if count <= MOST_NAMED else text.plural(count, "flow")
            shared = replace(first, flow=names, version=first.version if count == 1 else None, url="")
            lines += _registration(shared, plan, look)
    return lines


def _registration(row: Registration, plan: bool, look: Look) -> list[str]:
    """`registered: etl → project, version 2`, or `update: …` in a plan; then what changed, and its page."""
    known = f", version {row.version}" if row.version else ""
    said = look.paint(COLORS.get(row.action, "dim"), verb(row.action, plan))
    told = [said, f"{row.flow} → {row.project}{known}", typed_here(row.reason)]
    lines = [look.wrap(": ".join(part for part in told if part), 2)]
    lines += [look.wrap(change, 4) for change in row.changes]
    lines += [look.wrap(f"set in Prefect's UI, wins over the code: {one}", 4) for one in row.overrides]
    if row.url and row.action not in ("unchanged", "skipped"):
        lines.append(f"    {look.paint('dim', row.url)}")
    return lines


def verb(action: str, plan: bool) -> str:
    """`registered`; in a plan `create`, `update`, …"""
    return PLANNED.get(action, action) if plan else text.PAST.get(action, action)


def total(rows: Sequence[Registration], plan: bool = False) -> str:
    """`2 registered, 1 unchanged`: Prefect's own words when it sums up; of a plan `2 to create; nothing was changed`."""
    verbs = [*PLANNED, "unchanged", "queued"] if plan else SUMMED_UP
    told = [row.action if plan else text.PAST.get(row.action, row.action) for row in rows]
    counts = {verb: told.count(verb) for verb in verbs}
    said = [
        f"{count} {TO_DO.get(verb, PLANNED.get(verb, verb)) if plan else verb}"
        for verb, count in counts.items()
        if count or verb == SUMMED_UP[0]
    ]
    return f"{', '.join(said) or 'no flow'}; nothing was changed" if plan else ", ".join(said)
