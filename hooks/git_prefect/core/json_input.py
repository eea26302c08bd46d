"""JSON from elsewhere, believed only in the shape of a type: kept files may be torn, an API may be another than Prefect's.

Parsed by the standard library and checked by msgspec, since msgspec's own parser refuses the surrogates that stand for
bytes which are no text, and paths and refs may have them.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, TypeVar

import msgspec

LARGEST = 2**53
"""Numbers beyond are no count, time or size of anybody's, and overflow what is computed with them."""

Count = Annotated[int, msgspec.Meta(gt=-LARGEST, lt=LARGEST)]
Seconds = Annotated[float, msgspec.Meta(gt=-LARGEST, lt=LARGEST)]
Name = Annotated[str, msgspec.Meta(pattern=r"^[^\x00\ud800-\udc7f\udd00-\udfff]*\Z")]
"""Text that can be a path or an argument: no NUL, and of surrogates only those of bytes that are no text."""

T = TypeVar("T")


def decode(content: str | bytes, kind: type[T]) -> T | None:
    """A value of a type from its JSON; None when it is no JSON, or of another type. Unknown keys of tables are ignored."""
    try:
        return msgspec.convert(json.loads(content), kind)
    except (ValueError, RecursionError, msgspec.ValidationError):
        return None


def checked(content: str | bytes, kind: Any) -> Any:
    """What JSON is parsed into, if it is of a type; None when it is not. Unlike `decode`, unknown keys are kept."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if misfit(value, kind) is None else None


def convert(value: Any, kind: type[T]) -> T | None:
    """A value of a type from what JSON was parsed into; None when it is of another type."""
    try:
        return msgspec.convert(value, kind)
    except (ValueError, RecursionError, msgspec.ValidationError):
        return None


def misfit(value: Any, kind: Any) -> str | None:
    """Where a parsed value is not of a type: `data.flow[...].id`, or `the whole`; None when it is."""
    try:
        msgspec.convert(value, kind)
    except RecursionError:
        return "the whole"
    except msgspec.ValidationError as error:
        message = str(error)
        place = message.rpartition("`$")[2].rstrip("`").lstrip(".") if "`$" in message else ""
        missing = message.partition("required field `")[2].partition("`")[0]
        return ".".join(part for part in (place, missing) if part) or "the whole"
    return None
