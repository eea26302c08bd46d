"""Hasura's ``where``, ``order_by``, ``distinct_on``, ``limit`` and ``offset`` as SQL, for any table.

As in Prefect Server's Hasura, a comparison with null holds for every row: ``{name: {_eq: null}}`` filters
nothing. The prefect command line relies on it for options that are left out.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from git_prefect.devserver import times
from git_prefect.devserver.database import json_text
from git_prefect.devserver.errors import ApiError
from git_prefect.devserver.tables import TABLES, Column, Relation, Table

Where = dict[str, Any]
OrderBy = Sequence[dict[str, Any]]

_OPERATORS = {
    "_eq": "{column} = ?",
    "_neq": "{column} <> ?",
    "_lt": "{column} < ?",
    "_lte": "{column} <= ?",
    "_gt": "{column} > ?",
    "_gte": "{column} >= ?",
    "_like": "{column} LIKE ? ESCAPE '\\'",
    "_nlike": "{column} NOT LIKE ? ESCAPE '\\'",
    "_ilike": "lower({column}) LIKE lower(?) ESCAPE '\\'",
    "_nilike": "lower({column}) NOT LIKE lower(?) ESCAPE '\\'",
    "_contains": "jsonb_contains({column}, ?)",
    "_has_key": "jsonb_has_key({column}, ?)",
}
_POSTGRES_NAMES = {"timestamptz": "timestamp with time zone"}
_DIRECTIONS = {
    # Postgres takes null for the largest value, SQLite for the smallest.
    "asc": "ASC NULLS LAST",
    "asc_nulls_first": "ASC NULLS FIRST",
    "asc_nulls_last": "ASC NULLS LAST",
    "desc": "DESC NULLS FIRST",
    "desc_nulls_first": "DESC NULLS FIRST",
    "desc_nulls_last": "DESC NULLS LAST",
}


def select(
    table: Table,
    where: Where | None = None,
    order_by: OrderBy | None = None,
    limit: int | None = None,
    offset: int | None = None,
    distinct_on: Sequence[str] | None = None,
) -> tuple[str, list[Any]]:
    """A SELECT of whole rows and its parameters. Raises ApiError for values that a column cannot have."""
    aliases = (f"t{number}" for number in count())
    alias = next(aliases)
    test, parameters = _condition(table, alias, where or {}, aliases)
    terms = list(_order_terms(table, alias, order_by or [], aliases))
    order = ", ".join([f"{value} {way}" for _, value, way in terms] + [f"{alias}.rowid"])
    source = f'"{table.name}" AS {alias}'
    if distinct_on:
        leading = [name for name, _, _ in terms[: len(distinct_on)]]
        if terms and set(leading) != set(distinct_on):
            raise ApiError('"distinct_on" columns must match initial "order_by" columns', "validation-failed")
        parts = ", ".join(f'{alias}."{name}"' for name in distinct_on)
        sql = (
            f"SELECT * FROM (SELECT {alias}.*, "
            f"row_number() OVER (PARTITION BY {parts} ORDER BY {order}) AS _rank, "
            f"row_number() OVER (ORDER BY {order}) AS _place FROM {source} WHERE {test}) "
            "WHERE _rank = 1 ORDER BY _place"
        )
    else:
        sql = f"SELECT {alias}.* FROM {source} WHERE {test} ORDER BY {order}"
    if limit is not None or offset is not None:
        sql += " LIMIT ? OFFSET ?"
        parameters = [*parameters, -1 if limit is None else limit, offset or 0]
    return sql, parameters


def _condition(table: Table, alias: str, where: Where, aliases: Iterator[str]) -> tuple[str, list[Any]]:
    tests: list[str] = []
    parameters: list[Any] = []
    for name, value in where.items():
        if value is None:
            continue
        if name in ("_and", "_or"):
            parts = [_condition(table, alias, part, aliases) for part in value]
            empty = "TRUE" if name == "_and" else "FALSE"
            test = f" {name[1:].upper()} ".join(part for part, _ in parts) or empty
            found = [item for _, items in parts for item in items]
        elif name == "_not":
            inner, found = _condition(table, alias, value, aliases)
            test = f"NOT {inner}"
        elif name in table.relations:
            test, found = _related(table.relations[name], alias, value, aliases)
        else:
            test, found = _comparison(table.columns[name], f'{alias}."{name}"', value)
        tests.append(f"({test})")
        parameters += found
    return f"({' AND '.join(tests) or 'TRUE'})", parameters


def _related(relation: Relation, alias: str, where: Where, aliases: Iterator[str]) -> tuple[str, list[Any]]:
    other = next(aliases)
    test, parameters = _condition(TABLES[relation.table], other, where, aliases)
    join = f'{other}."{relation.remote}" = {alias}."{relation.local}"'
    return f'EXISTS (SELECT 1 FROM "{relation.table}" AS {other} WHERE {join} AND {test})', parameters


def _comparison(column: Column, sql: str, operators: dict[str, Any]) -> tuple[str, list[Any]]:
    tests: list[str] = []
    parameters: list[Any] = []
    for operator, value in operators.items():
        if value is None:
            continue
        if operator == "_is_null":
            tests.append(f"{sql} IS {'' if value else 'NOT '}NULL")
        elif operator in ("_in", "_nin"):
            marks = ", ".join("?" * len(value))
            tests.append(f"{sql} {'NOT ' if operator == '_nin' else ''}IN ({marks})")
            parameters += [_bound(column, item) for item in value]
        else:
            tests.append(_OPERATORS[operator].format(column=sql))
            parameters.append(value if operator == "_has_key" else _bound(column, value))
    return " AND ".join(tests) or "TRUE", parameters


def _bound(column: Column, value: Any) -> Any:
    """A value as it is stored, so that the two can be compared."""
    if column.type == "jsonb":
        return json_text(value)
    try:
        if column.type == "uuid":
            return str(uuid.UUID(str(value)))
        if column.type == "timestamptz":
            return times.normal(str(value))
    except ValueError as error:
        kind = _POSTGRES_NAMES.get(column.type, column.type)
        raise ApiError(f'invalid input syntax for type {kind}: "{value}"', "data-exception") from error
    return int(value) if isinstance(value, bool) else value


def _order_terms(
    table: Table, alias: str, order_by: OrderBy, aliases: Iterator[str]
) -> Iterator[tuple[str | None, str, str]]:
    """Column (None if it is a related row's), expression and direction of each ORDER BY term."""
    for entry in order_by:
        for name, value in entry.items():
            if value is None:
                continue
            if name not in table.relations:
                yield name, f'{alias}."{name}"', _DIRECTIONS[value]
                continue
            relation = table.relations[name]
            other = next(aliases)
            join = f'{other}."{relation.remote}" = {alias}."{relation.local}"'
            for _, inner, direction in _order_terms(TABLES[relation.table], other, [value], aliases):
                yield None, f'(SELECT {inner} FROM "{relation.table}" AS {other} WHERE {join})', direction
