"""What JSON from elsewhere has to look like before it is believed.

Files that are kept may be torn, or another version's; an API may be another than Prefect's. msgspec does the same for
the settings, and takes longer to import than a push that touches no flow may take.
"""

from __future__ import annotations

import json
from typing import Any

Shape = Any
"""A type (`float`: any number that arithmetic is safe with), a tuple of shapes of which one has to fit, `[shape]`: a list
of such, `Row`: a list of so many, or a table: the keys that it has to have (`"key?"`: may be missing, `"key*"`: or be null)
beside any others."""

LARGEST = 2**53
"""Numbers beyond are no count, time or size of anybody's, and overflow what is computed with them."""


class Row(tuple[Shape, ...]):
    """The shapes of the members of a list that has exactly so many."""


class Name:
    """Text that can be a path or an argument: no NUL, and of surrogates only those of bytes that are no text."""


def misfit(value: Any, shape: Shape, place: str = "") -> str | None:
    """Where a value is not of a shape: `.tasks[0].slug`; None when it is."""
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return place or "the whole"
        for key, inner in shape.items():
            name = key.rstrip("?*")
            if (key.endswith("?") and name not in value) or (key.endswith("*") and value.get(name) is None):
                continue
            found = misfit(value[name], inner, f"{place}.{name}") if name in value else f"{place}.{name}"
            if found:
                return found
        return None
    if isinstance(shape, (list, Row)):
        if not isinstance(value, list) or (isinstance(shape, Row) and len(value) != len(shape)):
            return place or "the whole"
        shapes = shape if isinstance(shape, Row) else shape * len(value)
        inside = (misfit(one, inner, f"{place}[{number}]") for number, (one, inner) in enumerate(zip(value, shapes)))
        return next(filter(None, inside), None)
    if isinstance(shape, tuple):
        told = [misfit(value, one, place) for one in shape]
        return None if None in told else told[0]
    return None if _is_of(value, shape) else place or "the whole"


def _is_of(value: Any, kind: Any) -> bool:
    if kind is None:
        return value is None
    if kind in (int, float):
        right = isinstance(value, (int, kind)) and not isinstance(value, bool)
        return right and -LARGEST < value < LARGEST
    if kind is Name:
        return isinstance(value, str) and _can_be_a_name(value)
    return isinstance(value, kind)


def _can_be_a_name(text: str) -> bool:
    try:
        return "\0" not in text and bool(text.isascii() or text.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:
        return False


def loads(text: str | bytes, shape: Shape) -> Any:
    """JSON of a shape; None when it is no JSON, or of another."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if misfit(value, shape) is None else None
