"""Connections to the file, and the translation of the driver's errors: the only place that names their
codes."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from gateway.errors import StoreUnavailable
from gateway.store.base import Decode
from gateway.store.relational.connection import Parameters
from gateway.store.sqlite.body_text import Texts, add_body_text
from gateway.store.sqlite.dialect import SQLITE
from gateway.store.tables import quoted

BUSY_SECONDS = 5.0
"""How long to wait for another process that holds the write lock."""

_RETRY_SECONDS = 0.005
_WAL_KEPT_BYTES = 64 * 1024 * 1024
_CACHE_KIB = 16 * 1024
_PRIMARY_CODE = 0xFF
_REASONS = {
    sqlite3.SQLITE_PERM: "access was refused",
    sqlite3.SQLITE_BUSY: f"another process has kept it locked for {BUSY_SECONDS:g} seconds",
    sqlite3.SQLITE_LOCKED: "it is locked",
    sqlite3.SQLITE_NOMEM: "there is not enough memory",
    sqlite3.SQLITE_READONLY: "it is read-only",
    sqlite3.SQLITE_INTERRUPT: "the operation was interrupted",
    sqlite3.SQLITE_IOERR: "reading or writing the disk failed",
    sqlite3.SQLITE_CORRUPT: "it is damaged",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; does its folder exist, and may it be written?",
    sqlite3.SQLITE_PROTOCOL: "its locks cannot be taken",
    sqlite3.SQLITE_NOLFS: "the file system cannot hold a file that large",
    sqlite3.SQLITE_AUTH: "access was refused",
    sqlite3.SQLITE_NOTADB: "it is not a SQLite database",
}


class SqliteConnection(sqlite3.Connection):
    """A connection as the jobs of `store/relational` want it."""

    dialect = SQLITE

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.texts = Texts()

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add rows to a table, in the order of these columns."""
        self.executemany(_insert(table, tuple(columns)), list(rows))

    def walk(self, sql: str, parameters: Parameters = ()) -> Iterator[Any]:
        """Go through what a statement finds; SQLite finds each row when it is asked for."""
        return self.execute(sql, parameters)


@cache
def _insert(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({quoted(columns)}) VALUES ({', '.join('?' * len(columns))})"


def connect_writer(path: Path) -> SqliteConnection:
    """Open the file to write to it, in WAL mode; create it, readable by its owner alone, if it is not
    there."""
    with translated_errors(path):
        _create_private(path)
        return _connect(path, _prepare_to_write)


def connect_reader(path: Path, decode: Decode) -> SqliteConnection:
    """Open the file to read it only, bodies included: `decode` undoes their content-encoding."""

    def prepare(connection: SqliteConnection) -> None:
        connection.execute("PRAGMA query_only = ON")
        add_body_text(connection, decode, connection.texts)

    with translated_errors(path):
        return _connect(path, prepare)


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Raise StoreUnavailable, with the reason, for what goes wrong with the file; let mistakes in our own
    statements pass."""
    try:
        yield
    except sqlite3.Error as error:
        reason = _REASONS.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE)
        if reason is None:
            raise
        raise _unusable(path, reason) from error


def locked_out(path: Path) -> StoreUnavailable:
    """Return the error for a file that another process has kept locked."""
    return _unusable(path, _REASONS[sqlite3.SQLITE_BUSY])


def _unusable(path: Path, reason: str) -> StoreUnavailable:
    return StoreUnavailable(f"the database {path} cannot be used: {reason}.")


def _create_private(path: Path) -> None:
    # A file that is there is not touched: closing it would take away all locks that this process has on it
    # (https://sqlite.org/howtocorrupt.html, section 2.2), and others would take its log for one that nobody uses.
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError:
        return  # SQLite will say why, in the words of its codes


def _connect(path: Path, prepare: Callable[[SqliteConnection], None]) -> SqliteConnection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
        factory=SqliteConnection,
    )
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare_to_write(connection: sqlite3.Connection) -> None:
    _enter_wal_mode(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")


def _enter_wal_mode(connection: sqlite3.Connection) -> None:
    """Switch to WAL. SQLite does not wait for its lock here, since two that switch would wait for each other."""
    give_up_at = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
        time.sleep(_RETRY_SECONDS)
