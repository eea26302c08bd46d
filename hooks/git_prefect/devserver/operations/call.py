"""One call of a mutation or of a query that is not a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from git_prefect.devserver.database import Database


@dataclass(frozen=True)
class Call:
    """The database, the ``input`` (or arguments) as GraphQL has checked it, the headers (lower case)."""

    database: Database
    input: dict[str, Any]
    headers: Mapping[str, str]


def success(done: bool) -> dict[str, Any]:
    """A ``success_payload``."""
    return {"success": done}
