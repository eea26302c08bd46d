"""What the contract tests register: flows, serialized by Prefect."""

from __future__ import annotations

import datetime
from typing import Any

import prefect
from prefect.run_configs import UniversalRun
from prefect.schedules import IntervalSchedule
from prefect.schedules.clocks import IntervalClock
from prefect.storage import Git


def serialized(name: str = "flow", *, labels: tuple[str, ...] = (), **kwargs: Any) -> dict[str, Any]:
    """Two tasks and an edge between them; ``kwargs`` are prefect.Flow's."""

    @prefect.task
    def extract() -> list[int]:
        return [1]

    @prefect.task
    def load(rows: list[int]) -> None:
        pass

    with prefect.Flow(name, **kwargs) as flow:
        load(extract())
    flow.storage = Git(repo="team/flows", flow_path="flows/etl.py", flow_name=name)
    flow.run_config = UniversalRun(labels=list(labels))
    made: dict[str, Any] = flow.serialize()
    return made


def with_parameter(name: str = "flow", *, required: bool, **kwargs: Any) -> dict[str, Any]:
    """A flow of one parameter ``n``, with the default 1 unless it is required."""
    with prefect.Flow(name, **kwargs) as flow:
        flow.add_task(prefect.Parameter("n") if required else prefect.Parameter("n", default=1))
    flow.run_config = UniversalRun()
    made: dict[str, Any] = flow.serialize()
    return made


def hourly(**parameter_defaults: Any) -> IntervalSchedule:
    clock = IntervalClock(datetime.timedelta(hours=1), parameter_defaults=parameter_defaults or None)
    return prefect.schedules.Schedule(clocks=[clock])


def project_id(client: prefect.Client, name: str) -> str:
    query = "query($name: String) { project(where: {name: {_eq: $name}}) { id } }"
    return str(client.graphql(query, variables={"name": name}).data.project[0].id)
