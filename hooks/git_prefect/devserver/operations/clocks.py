"""When a serialized schedule fires, computed by Prefect itself.

Prefect is imported here, and only once a schedule is looked at: it takes a second, and many have no schedule.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import takewhile
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from git_prefect.devserver import times


class Event(NamedTuple):
    """One firing: its time as text (see ``times``), and what its clock adds to the run."""

    start_time: str
    parameter_defaults: dict[str, Any]
    labels: list[str] | None


def upcoming(schedule: dict[str, Any], limit: int) -> list[Event]:
    """The next firings, at most ``limit``; as in Prefect Server, none for a schedule that cannot be read."""
    loaded = _load(schedule)
    if loaded is None:
        return []
    return [
        Event(times.text_of(event.start_time), event.parameter_defaults or {}, event.labels)
        for event in loaded.next(n=limit, return_events=True)
    ]


def is_valid(schedule: dict[str, Any]) -> bool:
    """Whether Prefect can read the schedule; an interval below a minute, for one, it cannot."""
    return _load(schedule) is not None


def is_zone(name: str) -> bool:
    """Whether this is the name of a time zone."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return False
    return True


def in_zone(moment: datetime, zone: str) -> datetime:
    """The same moment on another zone's clock."""
    return moment.astimezone(ZoneInfo(zone))


def _load(schedule: dict[str, Any]) -> Any:
    """Prefect's schedule object, or None if it cannot be made."""
    from marshmallow import ValidationError
    from prefect.schedules.clocks import CronClock
    from prefect.serialization.schedule import ScheduleSchema

    try:
        loaded = ScheduleSchema().load(schedule)
    except (ValidationError, ValueError, TypeError, KeyError, AttributeError):
        return None
    for clock in loaded.clocks:
        if isinstance(clock, CronClock):
            clock.__class__ = _cron_clock_class()
    return loaded


def _cron_clock_class() -> Any:
    """A CronClock that works with pendulum 3, with which Prefect 1 is installed today; its own does not."""
    import pendulum
    from croniter import croniter  # type: ignore[import-untyped]
    from prefect.schedules.clocks import ClockEvent, CronClock

    base: Any = CronClock

    class PortableCronClock(base):  # type: ignore[misc]
        def events(self, after: datetime | None = None) -> Iterator[Any]:
            name = self.start_date.timezone_name if self.start_date else None
            zone = ZoneInfo(name or "UTC")
            begin = (after or datetime.now(timezone.utc)).astimezone(zone)
            if self.start_date:
                # the start itself is a firing if it falls on one
                begin = max(begin, self.start_date - timedelta(seconds=1))
            moments = croniter(self.cron, begin, ret_type=datetime, day_or=self.day_or)
            for moment in takewhile(lambda one: not self.end_date or one <= self.end_date, moments):
                yield ClockEvent(
                    start_time=pendulum.instance(moment),
                    parameter_defaults=self.parameter_defaults,
                    labels=self.labels,
                )

    return PortableCronClock
