"""What became of a push, from its line of the log: told inside the push, and by `git prefect status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from ..core.results import CHANGES, Registration
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


def below_its_heading(line: Mapping[str, Any]) -> str:
    """What became of the flows of a push, below the line that told it is being registered (`deploy/delivery.py`).

    Without what the push was told before it was sent: flows that are left out.
    """
    if line.get("reason"):
        return f"  {line['result']}: {line['reason']}"
    told = registrations(rows(line), plan=False) or [f"  {line['result']}"]
    return "\n".join([*told, *remarks({**line, "left_out": ()})])


def announced(row: Registration) -> Registration:
    """What is left to say of a flow whose plan was told before."""
    if row.action == "created" or row.action not in CHANGES:
        return row
    return replace(row, changes=(), overrides=())
