"""The tables, as data: columns with their GraphQL types, relations, and what must be unique.

The SQLite schema, the GraphQL types and the translation of filters are all made from this description. Names,
types and relations are those of Prefect Server's Postgres migrations and Hasura metadata.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """One column. ``type`` is Hasura's name for it; ``required`` columns are never null."""

    name: str
    type: str
    required: bool = False


@dataclass(frozen=True)
class Relation:
    """A join to another table: ``local`` column of this table equals ``remote`` column of ``table``."""

    name: str
    table: str
    local: str
    remote: str
    many: bool


@dataclass(frozen=True)
class Table:
    """One table, with its relations and unique constraints."""

    name: str
    columns: dict[str, Column]
    relations: dict[str, Relation]
    unique: tuple[tuple[str, ...], ...] = ()
    cloud_only: bool = False


def _table(
    name: str,
    columns: dict[str, str],
    one: tuple[str, ...] = (),
    many: tuple[str, ...] = (),
    unique: tuple[tuple[str, ...], ...] = (),
    cloud_only: bool = False,
) -> Table:
    """``one``: ``relation`` or ``relation:table``, by its ``_id``. ``many``: ``relation=table.column``."""
    types = {"id": "uuid!", "created": "timestamptz!", "updated": "timestamptz!", **columns}
    relations = {}
    for text in one:
        relation, _, target = text.partition(":")
        relations[relation] = Relation(relation, target or relation, f"{relation}_id", "id", many=False)
    for text in many:
        relation, _, target = text.partition("=")
        table, _, column = target.partition(".")
        relations[relation] = Relation(relation, table, "id", column, many=True)
    described = {key: Column(key, kind.rstrip("!"), kind.endswith("!")) for key, kind in types.items()}
    return Table(name, described, relations, unique, cloud_only)


_STATE = {
    "tenant_id": "uuid",
    "timestamp": "timestamptz!",
    "state": "String!",
    "message": "String",
    "result": "jsonb",
    "start_time": "timestamptz",
    "serialized_state": "jsonb!",
    "version": "Int",
}
_RUN = {
    "heartbeat": "timestamptz",
    "start_time": "timestamptz",
    "end_time": "timestamptz",
    "version": "Int!",
    "state": "String",
    "state_timestamp": "timestamptz",
    "state_message": "String",
    "state_result": "jsonb",
    "state_start_time": "timestamptz",
    "serialized_state": "jsonb",
    "name": "String",
}

_ALL = (
    _table(
        "tenant",
        {"name": "String!", "slug": "String!", "info": "jsonb", "settings": "jsonb!"},
        many=("flow_groups=flow_group.tenant_id", "flows=flow.tenant_id", "projects=project.tenant_id"),
        unique=(("slug",),),
    ),
    _table(
        "project",
        {"tenant_id": "uuid", "name": "String!", "description": "String"},
        one=("tenant",),
        many=("flows=flow.project_id",),
        unique=(("tenant_id", "name"),),
    ),
    _table(
        "flow_group",
        {
            "tenant_id": "uuid",
            "name": "String",
            "description": "String",
            "labels": "jsonb",
            "schedule": "jsonb",
            "run_config": "jsonb",
            "default_parameters": "jsonb!",
            "settings": "jsonb!",
        },
        one=("tenant",),
        many=("flows=flow.flow_group_id",),
    ),
    _table(
        "flow",
        {
            "tenant_id": "uuid",
            "project_id": "uuid",
            "flow_group_id": "uuid!",
            "name": "String!",
            "description": "String",
            "version": "Int",
            "version_group_id": "String",
            "archived": "Boolean!",
            "core_version": "String",
            "environment": "jsonb",
            "storage": "jsonb",
            "run_config": "jsonb",
            "parameters": "jsonb",
            "schedule": "jsonb",
            "is_schedule_active": "Boolean!",
            "settings": "jsonb!",
            "serialized_flow": "jsonb",
        },
        one=("tenant", "project", "flow_group"),
        many=("tasks=task.flow_id", "edges=edge.flow_id", "flow_runs=flow_run.flow_id"),
    ),
    _table(
        "task",
        {
            "tenant_id": "uuid",
            "flow_id": "uuid!",
            "name": "String",
            "slug": "String",
            "description": "String",
            "type": "String",
            "max_retries": "Int",
            "retry_delay": "interval",
            "trigger": "String",
            "tags": "jsonb!",
            "mapped": "Boolean!",
            "auto_generated": "Boolean!",
            "cache_key": "String",
            "is_root_task": "Boolean!",
            "is_terminal_task": "Boolean!",
            "is_reference_task": "Boolean!",
        },
        one=("flow",),
        many=(
            "task_runs=task_run.task_id",
            "downstream_edges=edge.upstream_task_id",
            "upstream_edges=edge.downstream_task_id",
        ),
    ),
    _table(
        "edge",
        {
            "tenant_id": "uuid",
            "flow_id": "uuid!",
            "upstream_task_id": "uuid!",
            "downstream_task_id": "uuid!",
            "key": "String",
            "mapped": "Boolean!",
        },
        one=("flow", "upstream_task:task", "downstream_task:task"),
    ),
    _table(
        "flow_run",
        {
            "tenant_id": "uuid",
            "flow_id": "uuid!",
            "agent_id": "uuid",
            "parameters": "jsonb",
            "labels": "jsonb!",
            "context": "jsonb",
            "run_config": "jsonb",
            "scheduled_start_time": "timestamptz!",
            "auto_scheduled": "Boolean!",
            "times_resurrected": "Int",
            "idempotency_key": "String",
            **_RUN,
        },
        one=("tenant", "flow", "agent"),
        many=("logs=log.flow_run_id", "states=flow_run_state.flow_run_id", "task_runs=task_run.flow_run_id"),
        unique=(("flow_id", "idempotency_key"),),
    ),
    _table("flow_run_state", {"flow_run_id": "uuid!", **_STATE}, one=("flow_run",)),
    _table(
        "task_run",
        {
            "tenant_id": "uuid",
            "flow_run_id": "uuid!",
            "task_id": "uuid!",
            "map_index": "Int!",
            "cache_key": "String",
            "run_count": "Int!",
            **_RUN,
        },
        one=("tenant", "flow_run", "task"),
        many=("logs=log.task_run_id", "states=task_run_state.task_run_id"),
        unique=(("flow_run_id", "task_id", "map_index"),),
    ),
    _table("task_run_state", {"task_run_id": "uuid!", **_STATE}, one=("task_run",)),
    _table(
        "task_run_artifact",
        {"tenant_id": "uuid", "task_run_id": "uuid!", "kind": "String!", "data": "jsonb!"},
        one=("task_run",),
    ),
    _table(
        "log",
        {
            "tenant_id": "uuid",
            "flow_run_id": "uuid",
            "task_run_id": "uuid",
            "timestamp": "timestamptz!",
            "name": "String",
            "level": "String",
            "message": "String",
            "info": "jsonb",
        },
    ),
    _table(
        "agent",
        {
            "tenant_id": "uuid",
            "agent_config_id": "uuid",
            "name": "String",
            "type": "String",
            "core_version": "String",
            "labels": "jsonb!",
            "last_queried": "timestamptz",
        },
        one=("agent_config",),
        many=("flow_runs=flow_run.agent_id",),
    ),
    _table(
        "agent_config",
        {"tenant_id": "uuid", "name": "String", "settings": "jsonb!"},
        many=("agents=agent.agent_config_id",),
    ),
    _table(
        "key_value",
        {"tenant_id": "uuid", "key": "String!", "value": "jsonb"},
        unique=(("tenant_id", "key"),),
        cloud_only=True,
    ),
)

TABLES: dict[str, Table] = {table.name: table for table in _ALL}
