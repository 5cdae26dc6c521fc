"""Connections of analysts' tools to a file: what they may read, and question and answer as SQL functions."""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.models.request import Payload, RequestRecord
from gateway.store.base import leave_encoded
from gateway.store.requests import payloads_from_rows, select_payloads
from gateway.store.rows import REQUEST_ROWS, numbers_to_json
from gateway.store.schema import REQUESTS
from gateway.store.sqlite.connection import connect_reader, require_gateway_database, translated_errors
from gateway.store.sqlite.dialect import SQLITE

# What a tool may read. Whatever is not here is hidden: `payloads` have headers, others keys, hashes and jobs.
READABLE_VIEWS = (
    "request_facts",
    "feedback_facts",
    "request_report",
    "trace_report",
    "feedback_report",
    "aliases",
)
READABLE_TABLES = ("requests", "feedback", "feedback_versions", "other_response_ids", "reviews")
# SQLite's own; they tell of the schema and take JSON apart.
_SYSTEM_TABLES = ("sqlite_master", "sqlite_schema", "json_each", "json_tree")
_READABLE = frozenset((*READABLE_VIEWS, *READABLE_TABLES, *_SYSTEM_TABLES))
_FREE_ACTIONS = frozenset(
    (
        sqlite3.SQLITE_SELECT,
        sqlite3.SQLITE_FUNCTION,
        sqlite3.SQLITE_RECURSIVE,
        sqlite3.SQLITE_TRANSACTION,
        sqlite3.SQLITE_PRAGMA,
    )
)

# Returns question and answer; both may be empty.
ReadTexts = Callable[[RequestRecord, Payload | None], tuple[str, str]]

_SELECT_NAMES = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
_SELECT_COLUMNS = "SELECT name FROM pragma_table_info(?)"
_SELECT_REQUEST = f"SELECT {REQUESTS.column_list} FROM requests WHERE seq = ?"


@dataclass(frozen=True, slots=True)
class AnalystFile:
    """A file as analysts' tools may see it."""

    path: Path
    # Of each table and view that they see.
    columns: Mapping[str, tuple[str, ...]]
    # Tables and views that they do not see.
    hidden: tuple[str, ...]
    # None: without the texts of bodies.
    read_texts: ReadTexts | None

    def prepare(self, connection: sqlite3.Connection) -> None:
        """Restrict a tool's connection to what it may read; it writes nothing, whatever SQL it is given."""
        connection.set_authorizer(_authorize)
        if self.read_texts is not None:
            reader = _TextReader(self.path, self.read_texts)
            connection.create_function("question", 1, reader.question, deterministic=True)
            connection.create_function("answer", 1, reader.answer, deterministic=True)


def open_file_for_analysts(path: Path, read_texts: ReadTexts | None) -> AnalystFile:
    """Return a gateway's file for analysts' tools. Raises StoreUnavailable."""
    with closing(connect_reader(path, leave_encoded)) as connection, translated_errors(path):
        if require_gateway_database(connection, path):
            raise StoreUnavailable(
                f"{path} was written by an older version.", hint="Start `gateway serve` on it once."
            )
        names = [name for (name,) in connection.execute(_SELECT_NAMES)]
        columns = {name: _list_columns(connection, name) for name in names if name in _READABLE}
        return AnalystFile(path, columns, tuple(sorted(set(names) - columns.keys())), read_texts)


def _list_columns(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    return tuple(name for (name,) in connection.execute(_SELECT_COLUMNS, (table,)))


def _authorize(action: int, name: str | None, column: str | None, *_: str | None) -> int:
    if action in _FREE_ACTIONS:
        return sqlite3.SQLITE_OK
    # No column: Datasette counts the rows of every table.
    is_readable = name in _READABLE or not column or str(name).startswith("pragma_")
    return sqlite3.SQLITE_OK if action == sqlite3.SQLITE_READ and is_readable else sqlite3.SQLITE_DENY


class _TextReader:
    """Reads texts over a connection of its own, since the tool's may not read bodies."""

    def __init__(self, path: Path, read: ReadTexts) -> None:
        self._connection = connect_reader(path, leave_encoded)
        self._read = read

    # It lives as long as the tool's connection, which nobody tells of its end.
    def __del__(self) -> None:
        if hasattr(self, "_connection"):
            self._connection.close()

    def question(self, seq: object) -> str | None:
        return self._texts(seq)[0] or None

    def answer(self, seq: object) -> str | None:
        return self._texts(seq)[1] or None

    def _texts(self, seq: object) -> tuple[str, str]:
        row = self._connection.execute(_SELECT_REQUEST, (seq,)).fetchone()
        if row is None:
            return "", ""
        record = REQUEST_ROWS.from_row(row)
        found = self._connection.execute(select_payloads(SQLITE), (numbers_to_json([record.seq]),))
        return self._read(record, payloads_from_rows(found).get(record.seq))
