"""What the API does beyond reading tables: one module for a kind of thing, one function for a mutation.

A function has its mutation's name; ``server.graphql`` says what is in ``call.input`` and in the payload that
it answers. All raise ApiError where the API refuses.
"""

from __future__ import annotations

from typing import Any, Callable

from git_prefect.devserver.operations import (
    agents,
    cloud,
    flow_groups,
    flow_runs,
    flows,
    information,
    logs,
    projects,
    schedules,
    states,
    task_runs,
    tenants,
)
from git_prefect.devserver.operations.call import Call

Operation = Callable[[Call], Any]

MUTATIONS: dict[str, Operation] = {
    **tenants.MUTATIONS,
    **projects.MUTATIONS,
    **flows.MUTATIONS,
    **flow_groups.MUTATIONS,
    **schedules.MUTATIONS,
    **flow_runs.MUTATIONS,
    **task_runs.MUTATIONS,
    **states.MUTATIONS,
    **logs.MUTATIONS,
    **agents.MUTATIONS,
    **cloud.MUTATIONS,
}
QUERIES: dict[str, Operation] = {**information.QUERIES, **task_runs.QUERIES, **cloud.QUERIES}

__all__ = ["MUTATIONS", "QUERIES", "Call"]
