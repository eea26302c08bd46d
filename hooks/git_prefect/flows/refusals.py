"""Flows that Prefect does not store: which part of them, why, and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ..core.findings import finding
from ..core.model import Finding

JSON = "use text, numbers, lists and dictionaries"
RETRIES = "give a task both where it is made: @task(max_retries=3, retry_delay=timedelta(minutes=1))"
SCHEDULES = 'write CronSchedule("0 6 * * *"), IntervalSchedule(interval=…) or Schedule(clocks=[…]) of prefect.schedules'


class Refused(NamedTuple):
    """The part of a flow that is refused, as the child found it."""

    part: str
    """`schedule`, `run config`, `storage`, `parameter`, `task`, or `flow` where no part of it is to blame."""
    name: str
    """Of the task or parameter."""
    type: str
    is_uncalled: bool
    """Whether the value is a class, or a function that makes a schedule, and was not called."""
    is_right: bool
    """Whether the value is of the type that Prefect wants."""
    error: str
    """The exception's type and the first line of what it says."""


def not_serializable(path: str, flow: dict[str, Any]) -> Finding:
    """The finding for a flow that the child could not serialize."""
    refused = Refused(**flow["refused"])
    fact, remedy = next(found for explain in EXPLANATIONS if (found := explain(refused)))
    return finding(
        "not-serializable", f"flow {flow['name']!r}: {fact}, so it cannot be registered", remedy,
        path=path, flow=flow["name"], detail="\n".join(flow["error"].splitlines()[1:]),
    )  # fmt: skip


Explained = tuple[str, str]
"""What is wrong, and what to write instead."""


def _another_type(refused: Refused) -> Explained | None:
    part, kind = refused.part, refused.type
    if refused.is_right or part not in ("schedule", "run config", "storage"):
        return None
    if refused.is_uncalled:
        return f"its {part} is {kind} itself, which is not called", f"write {kind}(…)"
    if part == "schedule" and kind.endswith("Clock"):
        return f"its schedule is a clock ({kind}), not a schedule", f"write schedule=Schedule(clocks=[{kind}(…)])"
    remedies = {
        "schedule": SCHEDULES,
        "run config": "write UniversalRun(…), or another of prefect.run_configs",
        "storage": "leave it out: a push sets it",
    }
    return f"its {part} is of type {kind}, which is no {part} of Prefect", remedies[part]


def _schedule(refused: Refused) -> Explained | None:
    if refused.part != "schedule":
        return None
    offset = re.search(r"InvalidTimezone: .*?([+-]\d\d:?\d\d)", refused.error)
    if offset:
        return (
            f"its schedule has a date with the bare UTC offset {offset[1]}, and Prefect stores a time zone by its name",
            'name the time zone: pendulum.datetime(2024, 1, 1, tz="Europe/Berlin"), or tz="UTC"',
        )
    if "'Date' object has no attribute" in refused.error:
        return "its schedule has a date without a time", "give it a datetime: pendulum.datetime(2024, 1, 1)"
    own = re.search(r"custom functions aren't supported for `Schedule\.(\w+)`", refused.error)
    if own:
        module = "adjustments" if own[1] == "adjustments" else "filters"
        return (
            f"its schedule has a function in `{own[1]}` that is not Prefect's, and the API stores the name of Prefect's only",
            f"use a function of prefect.schedules.{module}, or write clocks that need none",
        )
    if "less than one minute" in refused.error:
        return "its schedule has an interval of less than a minute, which the API does not take", "give it a minute at least"
    if "JSON compatible" in refused.error:
        return f"its clock has {_value(refused)} in `parameter_defaults`, which is not JSON", JSON
    return f"Prefect cannot store its schedule ({refused.error})", SCHEDULES


def _run_config(refused: Refused) -> Explained | None:
    if refused.part != "run config":
        return None
    argument = re.search(r"values for `\w+\.(\w+)` must be JSON", refused.error)
    if argument:
        return f"its run config has {_value(refused)} in `{argument[1]}`, which is not JSON", JSON
    if "JSON" in refused.error:
        return f"its run config has a value that is not JSON ({refused.error})", JSON
    return f"Prefect cannot store its run config ({refused.error})", f"see the arguments of prefect.run_configs.{refused.type}"


def _parameter(refused: Refused) -> Explained | None:
    if refused.part != "parameter":
        return None
    value = _value(refused)
    what = f"{value}, which is not JSON" if value else f"not JSON ({refused.error})"
    return f"the default of parameter {refused.name!r} is {what}", f"{JSON}; for a date, a DateTimeParameter"


def _task(refused: Refused) -> Explained | None:
    if refused.part != "task":
        return None
    task = f"task {refused.name!r}"
    if "`retry_delay` must be provided" in refused.error:
        return f"{task} has `max_retries` without a `retry_delay`", RETRIES
    if "`max_retries` argument greater than 0 must be provided" in refused.error:
        return f"{task} has a `retry_delay` without `max_retries`", RETRIES
    wrong = re.search(r"'(\w+)' object has no attribute 'days'", refused.error)
    if wrong:
        return f"{task} has a `retry_delay` or `cache_for` of type {wrong[1]}", "write datetime.timedelta(seconds=…)"
    if "int()" in refused.error:
        return f"{task} has a `timeout` that is no number", "write the seconds as a number: timeout=60"
    return f"Prefect cannot store {task} ({refused.error})", f"{JSON} for what is set on it"


def _flow(refused: Refused) -> Explained:
    if "Cycle found" in refused.error:
        return "its tasks wait for each other in a circle", "take out one of the edges"
    if "surrogates not allowed" in refused.error:
        return f"it has text that is no UTF-8 ({refused.error})", "correct the text that has half a surrogate pair, such as the flow's name"
    return f"Prefect cannot store it ({refused.error})", f"{JSON} for what the API stores: defaults, schedules, run configs"


def _value(refused: Refused) -> str:
    """The value that Prefect names; empty where it names none."""
    found = re.search(r"Unable to serialize `(.*)`", refused.error)
    return found[1] if found else ""


EXPLANATIONS: tuple[Callable[[Refused], Explained | None], ...] = (
    _another_type, _schedule, _run_config, _parameter, _task, _flow
)  # fmt: skip
"""The first that has an answer counts."""
