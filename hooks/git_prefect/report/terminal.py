"""`--format text`: problems first, grouped by file, then what became of each flow, then one line that sums up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..model import ERROR, WARNING, Finding, Registration, Report
from . import checks, standing, text


class Look(NamedTuple):
    """How a report looks: whether with colours, and at how many columns long lines are wrapped (None: never)."""

    color: bool
    width: int | None


RANK = {ERROR: 0, WARNING: 1}


def render(report: Report, look: Look) -> str:
    """The report as a person reads it; empty when there is nothing to say."""
    if report.checks:
        return "\n".join([*checks.table(report.checks, look.width), *report.summary])
    inside = {one for flow in report.registered for one in flow.drift}
    parts = [findings([one for one in report.findings if one not in inside], look)]
    for ref in report.refs:
        rows = [row for row in report.registrations if row.ref == ref.ref]
        told = registrations([row for row in rows if row.flow], report.is_plan)
        parts += [ref.heading, *(f"  {line}" for line in told)]
    if report.registered:
        parts += ["\n".join(standing.table(report, look.width)), standing.runtimes(report.registered)]
    return "\n".join(part for part in [*parts, *report.summary] if part)


def ordered(found: Sequence[Finding]) -> list[Finding]:
    """Findings of one file together, files with errors first."""
    worst: dict[str, int] = {}
    for one in found:
        rank = RANK.get(one.severity, 2)
        worst[one.path or ""] = min(rank, worst.get(one.path or "", rank))
    return sorted(
        found,
        key=lambda one: (worst[one.path or ""], one.path or "", RANK.get(one.severity, 2), one.line or 0),
    )


def findings(found: Sequence[Finding], look: Look) -> str:
    """Findings one below the other."""
    return "\n".join(text.finding(one) for one in ordered(found))


MOST_NAMED = 3
"""Flows that are left alone for one reason are named up to this number, and counted beyond."""


def registrations(rows: Sequence[Registration], plan: bool) -> list[str]:
    """What became, or would become, of each flow, and below it what changed; those left alone share a line."""
    lines = []
    alike: dict[Registration, list[Registration]] = {}
    for row in rows:
        if row.action in ("unchanged", "skipped"):
            alike.setdefault(row._replace(flow="", path="", version=None, url="", storage=""), []).append(row)
        else:
            lines.append(registration(row, plan))
            lines += [f"  {change}" for change in row.changes]
            lines += overridden(row)
            lines += [f"  {row.url}"] * bool(row.url)
    for row, same in alike.items():
        if row.action == "unchanged":
            names = [one.flow for one in same]
            flows = ", ".join(names) if len(names) <= MOST_NAMED else text.plural(len(names), "flow")
            lines.append(
                registration(row._replace(flow=flows, version=same[0].version if len(same) == 1 else None), plan)
            )
            lines += overridden(row)
    alone = sum(row.action == "skipped" for row in rows)
    return lines + [f"left alone: {text.plural(alone, 'flow')} that this branch does not change"] * bool(alone)


def overridden(row: Registration) -> list[str]:
    """A line for each setting of Prefect's UI that wins over the code's."""
    return [f"  set in Prefect's UI, wins over the code: {one}" for one in row.overrides]


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


def registration(row: Registration, plan: bool) -> str:
    """`registered: etl → project, version 2`, or `update: …` in a plan."""
    verb = PLANNED.get(row.action, row.action) if plan else text.PAST.get(row.action, row.action)
    known = f", version {row.version}" if row.version else ""
    return ": ".join(part for part in (verb, f"{row.flow} → {row.project}{known}", row.reason) if part)


def total(rows: Sequence[Registration], plan: bool = False) -> str:
    """`2 registered, 1 unchanged`: Prefect's own words when it sums up; `2 to create` and so on of a plan."""
    verbs = [*PLANNED, "unchanged", "queued"] if plan else SUMMED_UP
    told = [row.action if plan else text.PAST.get(row.action, row.action) for row in rows]
    counts = {verb: told.count(verb) for verb in verbs}
    said = [
        f"{count} {TO_DO.get(verb, PLANNED.get(verb, verb)) if plan else verb}"
        for verb, count in counts.items()
        if count or verb == SUMMED_UP[0]
    ]
    return f"nothing was changed: {', '.join(said) or 'no flow'}" if plan else ", ".join(said)


SUMMED_UP = ("registered", "unchanged", "archived", "left behind", "queued", "failed")

TO_DO = {"created": "to create", "updated": "to update", "taken-over": "to take over", "archived": "to archive"}
