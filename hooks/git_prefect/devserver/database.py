"""SQLite behind the API: one connection, one lock; a statement is a transaction unless asked otherwise."""

from __future__ import annotations

import json
import sqlite3
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from git_prefect.devserver import times
from git_prefect.devserver.errors import ApiError, InternalError
from git_prefect.devserver.tables import TABLES, Column, Table

Row = dict[str, Any]

_SQLITE_TYPES = {"Int": "INTEGER", "Boolean": "INTEGER"}
# What Postgres fills in where an insert leaves a required column out.
_DEFAULTS = {"jsonb": {}, "Boolean": False, "Int": 0}
_KEEP_WHEN_GONE = {("flow_run", "agent"), ("agent", "agent_config")}


class Database:
    """The tables of ``tables.TABLES`` in one SQLite file.

    Values go in and come out as Python has them: JSON columns as objects, times as text (see ``times``).
    """

    def __init__(self, path: str = ":memory:") -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._lock = threading.RLock()
        self._connection.create_function("jsonb_contains", 2, _contains_text, deterministic=True)
        self._connection.create_function("jsonb_has_key", 2, _has_key, deterministic=True)
        self._connection.executescript(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA foreign_keys=ON;"
            "PRAGMA case_sensitive_like=ON;" + "".join(_create(table) for table in TABLES.values())
        )
        if self.first("tenant") is None:
            self.insert("tenant", name="default", slug="default")

    def close(self) -> None:
        """Closes the file; the database is of no use afterwards."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All statements within happen, or none; nobody else's come between. An inner one joins the outer."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """Undecoded rows of a SELECT."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Runs a statement, answers the number of rows it touched.

        Raises ApiError in Prefect Server's words where a constraint is violated.
        """
        with self._lock:
            try:
                return self._connection.execute(sql, parameters).rowcount
            except sqlite3.IntegrityError as error:
                if "UNIQUE" in str(error):
                    raise ApiError("Uniqueness violation.") from error
                if "FOREIGN KEY" in str(error):
                    raise ApiError("Foreign key violation.") from error
                raise InternalError from error

    def insert(self, table_name: str, **values: Any) -> str:
        """Adds one row and answers its id; columns that are left out get Postgres' default."""
        table = TABLES[table_name]
        moment = times.now()
        row = {"id": str(uuid.uuid4()), "created": moment, "updated": moment, **values}
        for column in table.columns.values():
            if column.required and row.get(column.name) is None and column.type in _DEFAULTS:
                row[column.name] = _DEFAULTS[column.type]
        names = ", ".join(f'"{name}"' for name in row)
        marks = ", ".join("?" * len(row))
        encoded = [_encode(table.columns[name], value) for name, value in row.items()]
        self.execute(f'INSERT INTO "{table_name}" ({names}) VALUES ({marks})', encoded)
        return str(row["id"])

    def update(self, table_name: str, row_id: str, **values: Any) -> bool:
        """Sets columns of the row with this id; False if there is no such row."""
        table = TABLES[table_name]
        values = {**values, "updated": times.now()}
        sets = ", ".join(f'"{name}" = ?' for name in values)
        encoded = [_encode(table.columns[name], value) for name, value in values.items()]
        return self.execute(f'UPDATE "{table_name}" SET {sets} WHERE id = ?', [*encoded, row_id]) > 0

    def delete(self, table_name: str, row_id: str) -> bool:
        """Removes the row with this id and all that hangs on it; False if there is no such row."""
        return self.execute(f'DELETE FROM "{table_name}" WHERE id = ?', (row_id,)) > 0

    def find(self, table_name: str, **equal: Any) -> list[Row]:
        """Decoded rows whose columns have these values, oldest first."""
        table = TABLES[table_name]
        tests = " AND ".join(f'"{name}" IS ?' for name in equal) or "TRUE"
        encoded = [_encode(table.columns[name], value) for name, value in equal.items()]
        found = self.rows(f'SELECT * FROM "{table_name}" WHERE {tests} ORDER BY rowid', encoded)
        return [decode(table, row) for row in found]

    def first(self, table_name: str, **equal: Any) -> Row | None:
        """The oldest of the rows that ``find`` answers."""
        return next(iter(self.find(table_name, **equal)), None)


def decode(table: Table, row: sqlite3.Row) -> Row:
    """A stored row as Python values."""
    return {name: decode_value(column, row[name]) for name, column in table.columns.items()}


def decode_value(column: Column, value: Any) -> Any:
    """One stored value as a Python value."""
    if value is None:
        return None
    if column.type == "jsonb":
        return json.loads(value)
    return bool(value) if column.type == "Boolean" else value


def json_text(value: Any) -> str:
    """JSON as Postgres' jsonb keeps it: keys by length, then by bytes; equal objects have equal text."""
    return json.dumps(_ordered(value), separators=(",", ":"))


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode("utf-8", "surrogatepass")), key))
        return {key: _ordered(value[key]) for key in keys}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    return value


def _encode(column: Column, value: Any) -> Any:
    if value is None:
        return None
    if column.type == "jsonb":
        return json_text(value)
    if column.type == "timestamptz":
        return times.normal(value)
    return int(value) if column.type == "Boolean" else value


def _create(table: Table) -> str:
    lines = []
    for column in table.columns.values():
        kind = _SQLITE_TYPES.get(column.type, "TEXT")
        lines.append(f'"{column.name}" {kind}{" NOT NULL" if column.required else ""}')
    lines.append("PRIMARY KEY (id)")
    lines += [f"UNIQUE ({', '.join(names)})" for names in table.unique]
    own = [relation for relation in table.relations.values() if not relation.many]
    for relation in own:
        action = "SET NULL" if (table.name, relation.name) in _KEEP_WHEN_GONE else "CASCADE"
        lines.append(f"FOREIGN KEY ({relation.local}) REFERENCES {relation.table} (id) ON DELETE {action}")
    indexed = [relation.local for relation in own]
    indexed += [name for name in ("name", "version_group_id", "flow_run_id") if name in table.columns]
    indexes = "".join(
        f'CREATE INDEX IF NOT EXISTS "{table.name}_{name}" ON "{table.name}" ("{name}");'
        for name in dict.fromkeys(indexed)
    )
    return f'CREATE TABLE IF NOT EXISTS "{table.name}" ({", ".join(lines)});{indexes}'


def _contains_text(whole: str | None, part: str) -> bool | None:
    return None if whole is None else _contains(json.loads(whole), json.loads(part))


def _contains(whole: Any, part: Any) -> bool:
    """Postgres' ``@>``."""
    if isinstance(whole, dict) and isinstance(part, dict):
        return all(key in whole and _contains(whole[key], value) for key, value in part.items())
    if isinstance(whole, list) and isinstance(part, list):
        return all(any(_contains(item, wanted) for item in whole) for wanted in part)
    return bool(whole == part)


def _has_key(whole: str | None, key: str) -> bool | None:
    if whole is None:
        return None
    value = json.loads(whole)
    return isinstance(value, (dict, list)) and key in value
