"""What became of a push, from its line of the log: told inside the push, and by `git prefect status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..model import RefUpdate
from ..results import CHANGES, Registration
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
    """The push and what became of its flows: those of which the same is to be said in one line, without what is changed.

    That was told before it was done (`settle`).
    """
    ref = text.place(RefUpdate(line["remote"], "", line["ref"], None, None, None, "push"))
    head = f"{ref} at {text.short(line.get('commit'))}"
    if line.get("reason"):
        return f"{head}: {line['result']}: {line['reason']}"
    told = registrations([announced(row) for row in rows(line)], plan=False)
    if line["result"] == "registered" and sum(not one.startswith("   ") for one in told) == 1:
        head, told = f"{head}: {told[0].strip()}", told[1:]
    else:
        head = f"{head}: {line['result']}"
    # The errors were told before the push, and `git prefect status` tells them again.
    files = dict.fromkeys(one.partition(":")[0] for one in line.get("left_out", []))
    left_out = [f"  left out: {', '.join(files)}"] if files else []
    return "\n".join([head, *told, *left_out, *remarks({**line, "left_out": []})])


def announced(row: Registration) -> Registration:
    """What is left to say of a flow whose plan was told before."""
    if row.action == "created" or row.action not in CHANGES:
        return row
    return row._replace(changes=(), overrides=())
