"""How much is tried, and what documents are spoiled with."""

from __future__ import annotations

import copy
import os
from datetime import timedelta
from typing import Any, Callable, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FACTOR = int(os.environ.get("GIT_PREFECT_FUZZ") or 1)
"""`make fuzz` tries so many times as much as `make test`, and each time something else."""

Test = TypeVar("Test", bound=Callable[..., Any])


def tries(examples: int, seconds: float = 10.0) -> Callable[[Test], Test]:
    """So many examples in `make test`, always the same ones; none may take longer than `seconds`."""
    return settings(
        max_examples=examples * FACTOR,
        deadline=timedelta(seconds=seconds),
        derandomize=FACTOR == 1,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


TEXT = st.text(max_size=30)

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), TEXT,
    st.sampled_from(["", "\0", "\udcff", "../x", "None", "1e999", "x" * 5000]),
)  # fmt: skip
"""What JSON can hold, and what Python makes of it."""

JSON = st.recursive(
    SCALARS, lambda one: st.one_of(st.lists(one, max_size=4), st.dictionaries(TEXT, one, max_size=4)), max_leaves=8
)

DEEP = "[" * 100_000 + "]" * 100_000
"""JSON, and nearly TOML and Python, that no recursive parser gets to the end of."""


def places(document: Any) -> list[tuple[Any, ...]]:
    """The ways to every part of a JSON document, its root first."""
    found: list[tuple[Any, ...]] = [()]
    members = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    for key, one in members:
        found += [(key, *rest) for rest in places(one)]
    return found


@st.composite
def spoiled(draw: st.DrawFn, document: Any, most: int = 2) -> Any:
    """The document with a part of it, or two, taken away or replaced by any other JSON."""
    changed = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, most))):
        way = draw(st.sampled_from(places(changed)))
        if not way:
            return draw(JSON)
        holder = changed
        for key in way[:-1]:
            holder = holder[key]
        if draw(st.integers(0, 3)):
            holder[way[-1]] = draw(JSON)
        else:
            del holder[way[-1]]
    return changed
