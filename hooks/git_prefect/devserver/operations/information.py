"""Queries about the API itself (Prefect Server's ``graphql/query.py``)."""

from __future__ import annotations

from typing import Any

from git_prefect.devserver.operations.call import Call
from git_prefect.devserver.operations.run_states import PARENTS


def hello(_call: Call) -> str:
    return "👋"


def api(_call: Call) -> dict[str, Any]:
    return {"backend": "SERVER", "mode": "normal", "version": "git-prefect devserver"}


def reference_data(_call: Call) -> dict[str, Any]:
    """The state classes: each with its bases, nearest first."""
    info = {name: {"parents": parents} for name, parents in PARENTS.items()}
    return {"state_hierarchy": PARENTS, "state_info": info}


QUERIES = {"hello": hello, "api": api, "reference_data": reference_data}
