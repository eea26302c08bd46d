"""The words that every report and every hook says things in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model import ERROR, Finding, RefUpdate

PAST = {"created": "registered", "updated": "registered", "taken-over": "registered", "left-behind": "left behind"}
"""`prefect register` calls what is new and what is changed "registered" when it sums up."""


def plural(count: int, noun: str) -> str:
    """`1 flow`, `2 flows`, `2 branches`."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun}es" if noun.endswith("ch") else f"{count} {noun}s"


def short(commit: str | None) -> str:
    """A commit's name as people say it."""
    return (commit or "none")[:7]


def place(update: RefUpdate) -> str:
    """A ref as people name it: `origin/feature/x`, `tag v1.0 on origin`."""
    return f"tag {update.name} on {update.remote}" if update.kind == "tag" else f"{update.remote}/{update.name}"


def headline(one: Finding) -> str:
    """The first line of a finding: place, severity unless it is an error, sentence, code."""
    where = f"{one.path}:{one.line}" if one.path and one.line else one.path
    severity = "" if one.severity == ERROR else f"{one.severity}: "
    return f"{where}: {severity}{one.message} [{one.code}]" if where else f"{severity}{one.message} [{one.code}]"


def registration(flow: str, project: str, action: str, version: int | None, reason: str) -> str:
    """What became of one flow, in a line."""
    known = f", version {version}" if version else ""
    return f"{PAST.get(action, action)}: {flow} → {project}{known}{': ' if reason else ''}{reason}"


def outcome(line: Mapping[str, Any]) -> str:
    """What became of a push, from its line of the log."""
    ref = place(RefUpdate(line["remote"], "", line["ref"], None, None, None, "push"))
    head = f"{ref} at {short(line.get('commit'))}: {line['result']}"
    if line.get("reason"):
        return f"{head}: {line['reason']}"
    lines = [head]
    unchanged: dict[tuple[str, str], list[str]] = {}
    for flow in line.get("flows", []):
        if flow["action"] == "unchanged":
            unchanged.setdefault((flow["project"], flow.get("reason", "")), []).append(flow["flow"])
            continue
        told = registration(flow["flow"], flow["project"], flow["action"], flow.get("version"), flow.get("reason", ""))
        lines.append(f"  {told}")
        if flow.get("url") and flow["action"] in PAST:
            lines.append(f"    {flow['url']}")
    lines += [f"  unchanged: {', '.join(names)} → {where}: {why}" for (where, why), names in unchanged.items()]
    lines += [f"  left out: {reason}" for reason in line.get("left_out", [])]
    lines += [f"  {reason}" for reason in line.get("unclonable", [])]
    return "\n".join([*lines, *(f"  {note}" for note in line.get("notes", []))])
