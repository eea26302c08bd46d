"""Binds the schema to the database: tables are read generically, mutations are looked up by name."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Protocol, cast

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    GraphQLSchema,
    ListValueNode,
    ObjectValueNode,
    ValueNode,
)

from git_prefect.devserver import filters, schema, times
from git_prefect.devserver.database import Database, decode_value
from git_prefect.devserver.errors import ApiError, InternalError
from git_prefect.devserver.operations import MUTATIONS, QUERIES, Call
from git_prefect.devserver.tables import TABLES, Column, Relation, Table

Resolver = Callable[..., Any]


class _Info(Protocol):
    """What is used of graphql-core's ``GraphQLResolveInfo``."""

    context: Context
    field_nodes: Sequence[FieldNode]


@dataclass(frozen=True)
class Context:
    """What a request brings along: the database, and its headers (lower-case names)."""

    database: Database
    headers: Mapping[str, str]


@dataclass(frozen=True)
class _Aggregate:
    """A selection of rows that is counted or searched for extremes, and only then read."""

    sql: str
    parameters: Sequence[Any]

    def over(self, database: Database, expression: str) -> Any:
        return database.rows(f"SELECT {expression} FROM ({self.sql})", self.parameters)[0][0]


def bound_schema(cloud: bool) -> GraphQLSchema:
    """The schema with resolvers; ``cloud`` adds what only Prefect Cloud has."""
    made = schema.load(cloud)
    query = cast(GraphQLObjectType, made.query_type)
    for name, table in TABLES.items():
        if name not in made.type_map:
            continue
        _bind_table(made, table)
        query.fields[name].resolve = _rows(table)
        query.fields[f"{name}_aggregate"].resolve = _aggregate(table)
        query.fields[f"{name}_by_pk"].resolve = _by_pk(table)
    for name, field in query.fields.items():
        if name in QUERIES:
            field.resolve = _call(QUERIES[name])
    for name, field in cast(GraphQLObjectType, made.mutation_type).fields.items():
        field.resolve = _call(MUTATIONS[name])
    return made


def _bind_table(made: GraphQLSchema, table: Table) -> None:
    fields = _fields(made, table.name)
    for column in table.columns.values():
        fields[column.name].resolve = _column(column)
    for relation in table.relations.values():
        if relation.many:
            fields[relation.name].resolve = _rows(TABLES[relation.table], relation)
            fields[f"{relation.name}_aggregate"].resolve = _aggregate(TABLES[relation.table], relation)
        else:
            fields[relation.name].resolve = _parent(relation)
    aggregate = _fields(made, f"{table.name}_aggregate")
    aggregate["aggregate"].resolve = _same
    aggregate["nodes"].resolve = _nodes
    _fields(made, f"{table.name}_aggregate_fields")["count"].resolve = _count
    for extreme in ("min", "max"):
        _fields(made, f"{table.name}_aggregate_fields")[extreme].resolve = _same
        for name, field in _fields(made, f"{table.name}_{extreme}_fields").items():
            field.resolve = _extreme(f'{extreme}("{name}")')


def _fields(made: GraphQLSchema, type_name: str) -> dict[str, GraphQLField]:
    fields: dict[str, GraphQLField] = cast(GraphQLObjectType, made.type_map[type_name]).fields
    return fields


def _column(column: Column) -> Resolver:
    def resolve(row: sqlite3.Row, _info: _Info) -> Any:
        value = decode_value(column, row[column.name])
        return times.shown(value) if value and column.type == "timestamptz" else value

    return resolve


def _parent(relation: Relation) -> Resolver:
    def resolve(row: sqlite3.Row, info: _Info) -> sqlite3.Row | None:
        sql = f'SELECT * FROM "{relation.table}" WHERE "{relation.remote}" = ?'
        return next(iter(_database(info).rows(sql, (row[relation.local],))), None)

    return resolve


def _rows(table: Table, relation: Relation | None = None) -> Resolver:
    def resolve(row: Any, info: _Info, **arguments: Any) -> list[sqlite3.Row]:
        return _database(info).rows(*_selection(table, relation, row, info, arguments))

    return resolve


def _aggregate(table: Table, relation: Relation | None = None) -> Resolver:
    def resolve(row: Any, info: _Info, **arguments: Any) -> _Aggregate:
        return _Aggregate(*_selection(table, relation, row, info, arguments))

    return resolve


def _selection(table: Table, relation: Relation | None, row: Any, info: _Info, arguments: dict[str, Any]) -> Any:
    where = arguments.get("where") or {}
    if relation is not None:
        where = {"_and": [where, {relation.remote: {"_eq": row[relation.local]}}]}
    order_by = [_in_written_order(entry, info) for entry in arguments.get("order_by") or []]
    paging = {name: arguments.get(name) for name in ("limit", "offset", "distinct_on")}
    return filters.select(table, where, order_by, **paging)


def _in_written_order(entry: dict[str, Any], info: _Info) -> dict[str, Any]:
    """``{name: asc, version: desc}`` as it stands in the query: coercion sorts the keys as in the schema."""
    if len(entry) < 2:
        return entry
    for argument in info.field_nodes[0].arguments or ():
        if argument.name.value == "order_by":
            nodes: Sequence[ValueNode] = [argument.value]
            if isinstance(argument.value, ListValueNode):
                nodes = argument.value.values
            for node in nodes:
                if isinstance(node, ObjectValueNode):
                    names = [field.name.value for field in node.fields]
                    if set(names) == set(entry):
                        return {name: entry[name] for name in names}
    return entry


def _by_pk(table: Table) -> Resolver:
    def resolve(_root: Any, info: _Info, id: str) -> sqlite3.Row | None:
        sql, parameters = filters.select(table, {"id": {"_eq": id}})
        return next(iter(_database(info).rows(sql, parameters)), None)

    return resolve


def _same(value: Any, _info: _Info) -> Any:
    return value


def _nodes(selected: _Aggregate, info: _Info) -> list[sqlite3.Row]:
    return _database(info).rows(selected.sql, selected.parameters)


def _count(
    selected: _Aggregate,
    info: _Info,
    columns: Sequence[str] | None = None,
    distinct: bool | None = None,
) -> Any:
    expression = "count(*)"
    if columns:
        joined = " || char(0) || ".join(f'"{name}"' for name in columns)
        expression = f"count({'DISTINCT ' if distinct else ''}{joined})"
    return selected.over(_database(info), expression)


def _extreme(expression: str) -> Resolver:
    def resolve(selected: _Aggregate, info: _Info) -> Any:
        return selected.over(_database(info), expression)

    return resolve


def _call(operation: Callable[[Call], Any]) -> Resolver:
    def resolve(_root: Any, info: _Info, **arguments: Any) -> Any:
        context = info.context
        given = arguments.get("input", arguments)
        try:
            return operation(Call(context.database, given, context.headers))
        except ApiError:
            raise
        except (LookupError, TypeError, AttributeError, ValueError, sqlite3.Error) as error:
            # The server's own validation is thin: what it does not foresee becomes this one sentence.
            raise InternalError from error

    return resolve


def _database(info: _Info) -> Database:
    return info.context.database
