"""What of a serialized flow changes a run, and how two of them differ, in a data engineer's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.results import Edge, Graph, Node
from .storage import describe

NOISE = ("__version__", "prefect_version", "environment", "inputs", "outputs")
"""Keys that change no run: which Prefect serialized a flow, and type hints, which each Python spells in its own way."""

UNORDERED = ("labels", "tags", "secrets")
"""Lists that are sets in Prefect, and come in any order."""

ONE_EDGE_A_PAIR = "one_edge_a_pair"
"""Key of a serialized flow whose edges are those of the API's table, which holds one edge for each pair of tasks."""

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
    if before == after:
        return ()
    if not has_its_tasks(before):
        alike = {**before, "tasks": after.get("tasks"), "edges": after.get("edges")}
        return ("tasks: not compared, flow.register() keeps them apart from the flow", *differences(alike, after))
    old, new = _in_pairs(before, after)
    changed = {part: _of_members(part, old[part], new[part]) for part in ("parameter", "edge", "result from")}
    changed = {"task": _of_members("task", old["task"], new["task"], _renamed(old, new)), **changed}
    comes_or_goes = (old["task"].keys() ^ new["task"].keys()) | (old["parameter"].keys() ^ new["parameter"].keys())
    if comes_or_goes:
        for part in ("edge", "result from"):
            kept = [
                {name: one for name, one in side[part].items() if _ends(one).isdisjoint(comes_or_goes)}
                for side in (old, new)
            ]
            changed[part] = _of_members(part, kept[0], kept[1])
    lines = [line for part in changed.values() for line in part]
    lines += _of_schedules(old["schedule"], new["schedule"])
    lines += _of_fields("run config", old["run config"], new["run config"])
    return (*lines, *_of_storages(old["storage"], new["storage"]))


def slugs(serialized: Mapping[str, Any]) -> set[str]:
    """Slugs of all tasks, parameters among them: an agent reports the state of each by its registered id."""
    parts = of(serialized)
    return {*parts["task"], *parts["parameter"]}


def has_its_tasks(serialized: Mapping[str, Any]) -> bool:
    """False for what `flow.register()` registered with an older Prefect Server: its tasks are in a table of their own.

    `Client.register` sends tasks and edges apart from the flow; today's server adds the tasks to the serialized flow.
    """
    return "tasks" in serialized


def graph(flow: str, project: str, before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Graph:
    """The flow's tasks, parameters and edges, those that come or go marked; `before` None: a new flow, nothing is."""
    old, new = _in_pairs(before if before is not None and has_its_tasks(before) else after, after)
    nodes = [
        Node(slug, _mark(slug, old[part], new[part]), part == "parameter")
        for part in ("parameter", "task")
        for slug in {**old[part], **new[part]}
    ]
    edges = [
        Edge(
            one["upstream_task"]["slug"], one["downstream_task"]["slug"], one.get("key") or "",
            _mark(name, old["edge"], new["edge"]),
        )
        for name, one in {**old["edge"], **new["edge"]}.items()
    ]  # fmt: skip
    return Graph(flow, project, tuple(nodes), tuple(edges))


def _in_pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Section], dict[str, Section]]:
    """The parts of both; what the table of edges has no room for in `before` is taken to be as it is now.

    That is `flattened`, and all edges between two tasks but one.
    """
    old, new = of(before), of(after)
    if before.get(ONE_EDGE_A_PAIR):
        held = {name: {**new["edge"].get(name, {}), **edge} for name, edge in old["edge"].items()}
        kept = {_pair(edge) for name, edge in held.items() if name in new["edge"]}
        beside = {name: edge for name, edge in new["edge"].items() if _pair(edge) in kept and name not in held}
        old["edge"] = {**held, **beside}
    return old, new


def _pair(edge: Section) -> tuple[str, str]:
    return edge["upstream_task"]["slug"], edge["downstream_task"]["slug"]


def _mark(name: str, old: Section, new: Section) -> str:
    return "added" if name not in old else "removed" if name not in new else ""


def can_be_scheduled(serialized: Mapping[str, Any], group: Mapping[str, Any] | None = None) -> bool:
    """Whether the server would switch the schedule on: there is one, and it gives every required parameter a value.

    `group` are the settings of the flow group: a schedule that is set in the UI counts as the code's does, and
    default parameters that are set there have values.
    """
    group = group or {}
    own = serialized.get("schedule")
    required = {one["name"] for one in serialized.get("parameters") or [] if one.get("required")}
    required -= (group.get("default_parameters") or {}).keys()
    clocks = (own or {}).get("clocks") or []
    valued = all(required <= (clock.get("parameter_defaults") or {}).keys() for clock in clocks)
    return bool(own or group.get("schedule")) and valued


def schedule_in_words(schedule: Section) -> str:
    """`cron 0 6 * * * (Europe/Rome)`, `every 1 h 30 min`: the clocks of a serialized schedule."""
    return " and ".join(_clock(one) for one in schedule.get("clocks") or []) or "no clock"


def _clock(clock: Section) -> str:
    zone = (clock.get("start_date") or {}).get("tz")
    place = f" ({zone})" if zone and zone != "UTC" else ""
    if clock.get("cron"):
        return f"cron {clock['cron']}{place}"
    if clock.get("interval"):
        return f"every {_duration(clock['interval'] // 1_000_000)}{place}"
    return f"{len(clock['dates'])} dates" if clock.get("dates") else str(clock.get("type"))


def _duration(seconds: int) -> str:
    parts = []
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= size:
            parts.append(f"{seconds // size} {unit}")
            seconds %= size
    return " ".join(parts) or "less than a second"


def _of_schedules(old: Section, new: Section) -> list[str]:
    if not old or not new:
        added = [f"schedule added: {schedule_in_words(new)}"] if new else []
        return added or ([f"schedule removed: {schedule_in_words(old)}"] if old else [])
    if schedule_in_words(old) != schedule_in_words(new):
        return [f"schedule: {schedule_in_words(old)} → {schedule_in_words(new)}"]
    clocks = list(zip(old.get("clocks") or [], new.get("clocks") or []))
    inside = [line for one, other in clocks for line in _of_fields(f"schedule {_clock(one)}", one, other)]
    rest = [{name: one for name, one in side.items() if name != "clocks"} for side in (old, new)]
    return [*inside, *_of_fields("schedule", rest[0], rest[1])]


def _of_storages(old: Section, new: Section) -> list[str]:
    if old and new and old.get("type") != new.get("type"):
        # Two kinds of storage have no field in common that a person would compare.
        return [f"storage: {describe(old)} → {describe(new)}"]
    return _of_fields("storage", old, new)


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


def _of_members(part: str, old: Section, new: Section, renamed: Mapping[str, str] | None = None) -> list[str]:
    renamed = renamed or {}
    return [
        *(f"{part} renamed: {before} → {after}" for before, after in sorted(renamed.items())),
        *(f"{part} added: {name}" for name in sorted(new.keys() - old.keys() - set(renamed.values()))),
        *(f"{part} removed: {name}" for name in sorted(old.keys() - new.keys() - renamed.keys())),
        *(
            line
            for before, after in sorted(renamed.items())
            for line in _of_fields(f"{part} {after}", _unnamed(old[before]), _unnamed(new[after]))
        ),
        *_of_common(part, old, new),
    ]


def _unnamed(task: Section) -> Section:
    return {key: value for key, value in task.items() if key not in ("name", "slug", "tags")}


def _renamed(old: Mapping[str, Section], new: Mapping[str, Section]) -> dict[str, str]:
    """Tasks that have another slug now and the same place among the others: slug before → slug now."""
    gone, come = old["task"].keys() - new["task"].keys(), new["task"].keys() - old["task"].keys()
    before, after = _places(old, gone), _places(new, come)
    pairs = {}
    for place, slugs in before.items():
        if len(slugs) == len(after.get(place, ())) == 1:
            pairs[slugs[0]] = after[place][0]
    if not pairs and len(gone) == len(come) == 1:
        (one,), (other,) = gone, come
        pairs = {one: other} if old["task"][one].get("type") == new["task"][other].get("type") else {}
    return pairs


def _places(flow: Mapping[str, Section], slugs: set[str]) -> dict[str, list[str]]:
    """Slugs by what their tasks are joined to: edges in and out, to tasks that have kept their slugs."""
    found: dict[str, list[str]] = {}
    for slug in sorted(slugs):
        joined = sorted(
            (side, "?" if edge[other]["slug"] in slugs else edge[other]["slug"], str(edge.get("key")))
            for edge in flow["edge"].values()
            for side, other in (("upstream_task", "downstream_task"), ("downstream_task", "upstream_task"))
            if edge[side]["slug"] == slug
        )
        found.setdefault(str((flow["task"][slug].get("type"), joined)), []).append(slug)
    return found


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
