"""Points in time as text: UTC, ISO 8601, six decimals. All are equally long, so that they sort as text."""

from __future__ import annotations

import re
from datetime import datetime, timezone

_ISO = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?\s*(Z|[+-]\d{2}(?::?\d{2})?)?$"
)


def text_of(moment: datetime) -> str:
    """The moment in UTC, as the API writes it: ``2026-01-31T12:00:00.000000+00:00``."""
    return moment.astimezone(timezone.utc).isoformat(timespec="microseconds")


def now() -> str:
    """The present moment, as text."""
    return text_of(datetime.now(timezone.utc))


def parse(text: str) -> datetime:
    """An aware datetime from ISO 8601 text; without an offset it is taken as UTC. Raises ValueError."""
    match = _ISO.match(text.strip())
    if match is None:
        raise ValueError(f"not a time: {text!r}")
    day, minute, second, fraction, offset = match.groups()
    if offset in (None, "Z"):
        offset = "+00:00"
    elif ":" not in offset:
        offset = f"{offset[:3]}:{offset[3:] or '00'}"
    micro = ((fraction or "") + "000000")[:6]
    return datetime.fromisoformat(f"{day}T{minute or '00:00'}:{second or '00'}.{micro}{offset}")


def normal(text: str) -> str:
    """Any ISO 8601 text in the form that the database holds. Raises ValueError."""
    return text_of(parse(text))


def shown(text: str) -> str:
    """A stored time as Postgres shows it: without zeros at the end of the fraction."""
    moment, offset = text[:26], text[26:]
    return f"{moment.rstrip('0').rstrip('.')}{offset}"
