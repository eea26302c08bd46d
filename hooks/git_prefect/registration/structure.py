"""What of a serialized flow changes a run, and how two of them differ, in a data engineer's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOISE = ("__version__", "prefect_version", "environment")
"""Keys that tell which Prefect serialized a flow, and change no run."""

UNORDERED = ("labels", "tags", "secrets")
"""Lists that are sets in Prefect, and come in any order."""

Section = Mapping[str, Any]


def of(serialized: Mapping[str, Any]) -> dict[str, Section]:
    """The parts of a serialized flow that change a run, each by a key that a person knows: slug, name, edge."""
    plain = _without_noise(serialized)
    parameters = {parameter["slug"]: parameter for parameter in plain.get("parameters") or []}
    return {
        "task": {task["slug"]: task for task in plain.get("tasks") or [] if task["slug"] not in parameters},
        "edge": {_edge(edge): edge for edge in plain.get("edges") or []},
        "parameter": parameters,
        "result from": {task["slug"]: task["slug"] for task in plain.get("reference_tasks") or []},
        "schedule": plain.get("schedule") or {},
        "run config": plain.get("run_config") or {},
        "storage": plain.get("storage") or {},
    }


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, ...]:
    """One short line for each difference that changes a run; empty: the structures are the same.

    What follows from another line is not told again: the edges and results of a task that came or went.
    """
    old, new = of(before), of(after)
    changed = {part: _of_members(part, old[part], new[part]) for part in ("task", "parameter", "edge", "result from")}
    comes_or_goes = (old["task"].keys() ^ new["task"].keys()) | (old["parameter"].keys() ^ new["parameter"].keys())
    if comes_or_goes:
        for part in ("edge", "result from"):
            kept = [
                {name: one for name, one in side[part].items() if _ends(one).isdisjoint(comes_or_goes)}
                for side in (old, new)
            ]
            changed[part] = _of_members(part, kept[0], kept[1])
    lines = [line for part in changed.values() for line in part]
    for part in ("schedule", "run config", "storage"):
        lines += _of_fields(part, old[part], new[part])
    return tuple(lines)


def can_be_scheduled(serialized: Mapping[str, Any]) -> bool:
    """Whether the server would switch the schedule on: there is one, and it gives every required parameter a value."""
    schedule = serialized.get("schedule")
    required = {one["name"] for one in serialized.get("parameters") or [] if one.get("required")}
    clocks = (schedule or {}).get("clocks") or []
    return bool(schedule) and all(required <= (clock.get("parameter_defaults") or {}).keys() for clock in clocks)


def _ends(one: Any) -> set[str]:
    """The tasks that an edge joins, or that a result comes from."""
    return {one} if isinstance(one, str) else {one["upstream_task"]["slug"], one["downstream_task"]["slug"]}


def _without_noise(value: Any, key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _without_noise(one, name) for name, one in value.items() if name not in NOISE}
    if isinstance(value, list):
        plain = [_without_noise(one) for one in value]
        return sorted(plain, key=str) if key in UNORDERED else plain
    return value


def _edge(edge: Mapping[str, Any]) -> str:
    ends = f"{edge['upstream_task']['slug']} → {edge['downstream_task']['slug']}"
    return f"{ends} ({edge['key']})" if edge.get("key") else ends


def _of_members(part: str, old: Section, new: Section) -> list[str]:
    added, removed = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
    if part == "task" and len(added) == len(removed) == 1 and old[removed[0]].get("type") == new[added[0]].get("type"):
        return [f"task renamed: {removed[0]} → {added[0]}", *_of_common(part, old, new)]
    return [
        *(f"{part} added: {name}" for name in added),
        *(f"{part} removed: {name}" for name in removed),
        *_of_common(part, old, new),
    ]


def _of_common(part: str, old: Section, new: Section) -> list[str]:
    lines = []
    for name in sorted(old.keys() & new.keys()):
        if old[name] != new[name]:
            lines += _of_fields(f"{part} {name}", old[name], new[name])
    return lines


def _of_fields(part: str, old: Section, new: Section) -> list[str]:
    if not old or not new:
        return [f"{part} added"] * bool(new) + [f"{part} removed"] * bool(old)
    return [
        f"{part}: {name} {_short(old.get(name))} → {_short(new.get(name))}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
