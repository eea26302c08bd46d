"""The GraphQL schema: Hasura's types made from the tables, and the SDL files beside this module.

It is a real schema, so that an unknown field, argument, input key or enum value is a validation error.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graphql import (
    GraphQLError,
    GraphQLScalarType,
    GraphQLSchema,
    StringValueNode,
    ValueNode,
    build_schema,
    value_from_ast_untyped,
)

from git_prefect.devserver import times
from git_prefect.devserver.tables import TABLES, Table

_COMPARED = ("_eq", "_neq", "_lt", "_lte", "_gt", "_gte")
_TEXT = ("_like", "_nlike", "_ilike", "_nilike")
_HASURA_SCALARS = ("uuid", "timestamptz", "jsonb", "interval")
_COLUMN_TYPES = ("String", "Int", "Boolean", *_HASURA_SCALARS)
_ARGUMENTS = (
    "(where: {name}_bool_exp, order_by: [{name}_order_by!], limit: Int, offset: Int, "
    "distinct_on: [{name}_select_column!])"
)


def load(cloud: bool) -> GraphQLSchema:
    """The schema without resolvers; with what only Prefect Cloud has if ``cloud``."""
    folder = Path(__file__).parent
    tables = [table for table in TABLES.values() if cloud or not table.cloud_only]
    parts = [*_common(), *(line for table in tables for line in _types(table)), _queries(tables)]
    parts.append((folder / "server.graphql").read_text(encoding="utf-8"))
    if cloud:
        parts.append((folder / "cloud.graphql").read_text(encoding="utf-8"))
    schema = build_schema("\n".join(parts))
    for name, kind in schema.type_map.items():
        if isinstance(kind, GraphQLScalarType):
            _set_scalar(name, kind)
    return schema


def _common() -> Iterator[str]:
    yield from (f"scalar {name}" for name in _HASURA_SCALARS)
    yield ("enum order_by { asc asc_nulls_first asc_nulls_last desc desc_nulls_first desc_nulls_last }")
    for kind in _COLUMN_TYPES:
        operators = [f"{name}: {kind}" for name in _COMPARED]
        operators += [f"_in: [{kind}!]", f"_nin: [{kind}!]", "_is_null: Boolean"]
        if kind == "String":
            operators += [f"{name}: String" for name in _TEXT]
        if kind == "jsonb":
            operators += ["_contains: jsonb", "_has_key: String"]
        yield f"input {kind}_comparison_exp {{ {' '.join(operators)} }}"


def _types(table: Table) -> Iterator[str]:
    name = table.name
    fields: list[str] = []
    tests = [f"_and: [{name}_bool_exp!] _or: [{name}_bool_exp!] _not: {name}_bool_exp"]
    orders: list[str] = []
    extremes: list[str] = []
    for column in table.columns.values():
        fields.append(f"{column.name}: {column.type}{'!' if column.required else ''}")
        tests.append(f"{column.name}: {column.type}_comparison_exp")
        orders.append(f"{column.name}: order_by")
        if column.type not in ("jsonb", "Boolean"):
            extremes.append(f"{column.name}: {column.type}")
    for relation in table.relations.values():
        tests.append(f"{relation.name}: {relation.table}_bool_exp")
        if relation.many:
            arguments = _ARGUMENTS.format(name=relation.table)
            fields.append(f"{relation.name}{arguments}: [{relation.table}!]!")
            fields.append(f"{relation.name}_aggregate{arguments}: {relation.table}_aggregate!")
        else:
            required = "!" if table.columns[relation.local].required else ""
            fields.append(f"{relation.name}: {relation.table}{required}")
            orders.append(f"{relation.name}: {relation.table}_order_by")
    yield f"type {name} {{ {' '.join(fields)} }}"
    yield f"input {name}_bool_exp {{ {' '.join(tests)} }}"
    yield f"input {name}_order_by {{ {' '.join(orders)} }}"
    yield f"enum {name}_select_column {{ {' '.join(table.columns)} }}"
    yield f"type {name}_aggregate {{ aggregate: {name}_aggregate_fields nodes: [{name}!]! }}"
    yield (
        f"type {name}_aggregate_fields {{ count(columns: [{name}_select_column!], distinct: Boolean): Int!"
        f" max: {name}_max_fields min: {name}_min_fields }}"
    )
    yield f"type {name}_max_fields {{ {' '.join(extremes)} }}"
    yield f"type {name}_min_fields {{ {' '.join(extremes)} }}"


def _queries(tables: list[Table]) -> str:
    fields: list[str] = []
    for table in tables:
        arguments = _ARGUMENTS.format(name=table.name)
        fields.append(f"{table.name}{arguments}: [{table.name}!]!")
        fields.append(f"{table.name}_aggregate{arguments}: {table.name}_aggregate!")
        fields.append(f"{table.name}_by_pk(id: uuid!): {table.name}")
    return f"type Query {{ {' '.join(fields)} }}"


def _set_scalar(name: str, kind: GraphQLScalarType) -> None:
    if name in _HASURA_SCALARS:
        made = GraphQLScalarType(name, serialize=_as_it_is, parse_value=_as_it_is)
    elif name == "JSON":
        made = GraphQLScalarType(name, serialize=_as_it_is, parse_value=_as_it_is, parse_literal=_json_literal)
    elif name == "UUID":
        made = GraphQLScalarType(name, serialize=str, parse_value=_uuid)
    elif name == "DateTime":
        made = GraphQLScalarType(name, serialize=str, parse_value=times.normal)
    else:
        return
    # other types hold on to this object, and releases of graphql-core differ in the attributes it has
    vars(kind).update(vars(made))


def _as_it_is(value: Any) -> Any:
    return value


def _json_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Any:
    """Within a query, JSON is a string that holds JSON (Prefect Server's ``graphql/scalars.py``), or written as it is."""
    if isinstance(node, StringValueNode):
        return json.loads(node.value)
    return value_from_ast_untyped(node, variables)


def _uuid(value: Any) -> str:
    try:
        return str(uuid.UUID(str(value)))
    except ValueError as error:
        raise GraphQLError(f"Could not parse UUID: {value}") from error
