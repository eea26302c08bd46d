"""Faults on demand, for tests: what a network, a proxy or a server in trouble would do to a request."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

from git_prefect.devserver.errors import INTERNAL

KINDS = ("status", "html", "drop-before", "drop-after", "delay", "error", "error-after")


@dataclass
class Fault:
    """What happens to the next ``times`` requests that ask for the field ``match`` ("*": any).

    ``status`` and ``html`` answer with that status, as JSON or as a proxy's page, ``error`` with HTTP 200 and
    one error: these three do not execute the request. ``error-after`` executes it first. ``drop-before`` and
    ``drop-after`` close the connection without an answer. ``delay`` waits for ``seconds`` and goes on.
    """

    kind: str
    match: str = "*"
    times: int = 1
    status: int = 503
    seconds: float = 1.0
    message: str = INTERNAL
    code: str = "INTERNAL_SERVER_ERROR"


class Faults:
    """The faults that are still to come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def add(self, descriptions: Iterable[Any]) -> int:
        """Adds faults from their JSON form; answers how many wait. Raises ValueError naming what is wrong."""
        made = [_fault(description) for description in descriptions]
        with self._lock:
            self._waiting += made
            return len(self._waiting)

    def clear(self) -> None:
        """Forgets all faults."""
        with self._lock:
            self._waiting.clear()

    def take(self, names: Sequence[str]) -> Fault | None:
        """The first fault that matches one of these field names; one of its ``times`` is used up."""
        with self._lock:
            for fault in self._waiting:
                if fault.match == "*" or fault.match in names:
                    fault.times -= 1
                    if fault.times <= 0:
                        self._waiting.remove(fault)
                    return fault
        return None


def _fault(description: Any) -> Fault:
    known = {field.name for field in fields(Fault)}
    if not isinstance(description, dict) or not set(description) <= known:
        raise ValueError(f"a fault is an object with keys among {', '.join(sorted(known))}; got {description!r}")
    if description.get("kind") not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {description.get('kind')!r}")
    return Fault(**description)
