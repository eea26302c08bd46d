"""What became of a push, from its line of the log: told inside the push, and by `git prefect status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model import RefUpdate
from ..results import Registration
from . import text
from .terminal import registrations


def rows(line: Mapping[str, Any]) -> list[Registration]:
    """What became of each flow, as a report has it."""
    return [
        Registration(
            line["ref"], flow["flow"], flow["path"], flow["project"], flow["action"], flow.get("version"),
            tuple(flow.get("changes", ())), flow.get("reason", ""), flow.get("storage", ""), flow.get("url", ""),
            tuple(flow.get("overrides", ())),
        )
        for flow in line.get("flows", [])
    ]  # fmt: skip


def remarks(line: Mapping[str, Any]) -> list[str]:
    """What else a person has to know: flows that were left out, a clone that fails."""
    left_out = [f"  left out: {one}" for one in line.get("left_out", [])]
    return [*left_out, *(f"  {one}" for key in ("unclonable", "notes") for one in line.get(key, []))]


def outcome(line: Mapping[str, Any]) -> str:
    """The push, its result, and below it what became of its flows: those of which the same is to be said in one line."""
    ref = text.place(RefUpdate(line["remote"], "", line["ref"], None, None, None, "push"))
    head = f"{ref} at {text.short(line.get('commit'))}: {line['result']}"
    if line.get("reason"):
        return f"{head}: {line['reason']}"
    return "\n".join([head, *registrations(rows(line), plan=False), *remarks(line)])
