"""git prefect status: what became of the pushes, and what still waits."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Sequence
from typing import Any

from .. import settle
from ..errors import ExitCode
from ..model import RefUpdate
from ..push import git, pending
from ..report import text
from ..report.command import git_prefect


def main(argv: Sequence[str]) -> int:
    """Settle what waits and is due, then tell what became of each ref; exit code 1 when a push is not registered."""
    parser = ArgumentParser(
        prog="git prefect status",
        description="What became of the pushes from this clone, and what still waits.",
        epilog="Exit codes: 0 well, 1 a push could not be registered yet, 2 usage.",
    )
    parser.parse_args(argv)
    repository = git.open_repository()
    settle.settle(repository, wait=False)
    print(queue(repository))
    waiting = any(entry.error for entry in pending.entries(repository))
    return ExitCode.FINDINGS if waiting or any(_is_bad(line) for line in _last(repository)) else ExitCode.OK


def _is_bad(line: dict[str, Any]) -> bool:
    return line["result"] in ("failed", "refused") or bool(line.get("left_out"))


def _last(repository: git.Repository) -> list[dict[str, Any]]:
    """The last outcome of each ref that does not wait, newest first."""
    told = {(entry.remote, entry.ref) for entry in pending.entries(repository)}
    last = []
    for line in reversed(pending.settled(repository)):
        if (line["remote"], line["ref"]) not in told and line["result"] != "superseded":
            told.add((line["remote"], line["ref"]))
            last.append(line)
    return last


def queue(repository: git.Repository) -> str:
    """What waits, then the last outcome of each ref, newest first."""
    lines = [_waiting(entry) for entry in pending.entries(repository)]
    lines += [_settled(line) for line in _last(repository)]
    return "\n".join(lines) or "no push from this clone has been registered yet"


def _waiting(entry: pending.Entry) -> str:
    ref = text.place(_ref(entry.remote, entry.ref))
    if entry.error:
        tries = text.plural(entry.attempts, "time")
        return (
            f"{ref} at {text.short(entry.commit)}: not registered yet, tried {tries}: {entry.error}\n"
            f"  hint: try now with {git_prefect('register', '--pending')}"
        )
    state = "being pushed" if pending.is_being_pushed(entry) else "being registered"
    return f"{ref} at {text.short(entry.commit)}: {state}"


def _settled(line: dict[str, Any]) -> str:
    ref = text.place(_ref(line["remote"], line["ref"]))
    head = f"{ref} at {text.short(line.get('commit'))}: {line['result']} {_ago(line['time'])}"
    if line.get("reason"):
        return f"{head}: {line['reason']}"
    flows = [_flow(flow) for flow in line.get("flows", []) if flow["action"] != "unchanged"]
    unchanged: dict[tuple[str, str], list[str]] = {}
    for flow in line.get("flows", []):
        if flow["action"] == "unchanged":
            unchanged.setdefault((flow["project"], flow.get("reason", "")), []).append(flow["flow"])
    same = [f"  unchanged: {', '.join(names)} → {where}: {why}" for (where, why), names in unchanged.items()]
    left_out = [f"  left out: {reason}" for reason in line.get("left_out", [])]
    return "\n".join([head, *flows, *same, *left_out, *(f"  {note}" for note in line.get("notes", []))])


def _flow(flow: dict[str, Any]) -> str:
    told = text.registration(flow["flow"], flow["project"], flow["action"], flow.get("version"), flow.get("reason", ""))
    return f"  {told}\n    {flow['url']}" if flow.get("url") and flow["action"] in text.PAST else f"  {told}"


def _ago(moment: float) -> str:
    seconds = max(0, int(time.time() - moment))
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{text.plural(seconds // size, unit)} ago"
    return f"{seconds} s ago"


def _ref(remote: str, ref: str) -> RefUpdate:
    return RefUpdate(remote, "", ref, None, None, None, "push")
