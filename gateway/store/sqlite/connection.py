"""SQLite connections: pragmas, translated errors, body text, migrations, reading."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import aiosqlite

from gateway.errors import StoreUnavailable
from gateway.store.base import Decode
from gateway.store.body_codecs import unpack_body
from gateway.store.dialect import Parameters
from gateway.store.migrate import Database, Migration, apply_missing, is_empty, missing_migrations
from gateway.store.read_pool import Lookup, ReadConnection
from gateway.store.rows import decode_text, headers_from_json
from gateway.store.schema import quote_columns
from gateway.store.sqlite.dialect import SQLITE


class BodyTexts:
    """The last text unpacked of each side, so that further conditions on a row need not unpack it again."""

    def __init__(self) -> None:
        self.is_interrupted = False
        self._latest: dict[str, tuple[int, str | None]] = {}

    def begin(self) -> None:
        """Forget all: rows may have changed, and texts may be long."""
        self.is_interrupted = False
        self._latest.clear()

    def get(self, side: str, seq: int, read: Callable[[], str | None]) -> str | None:
        """Return the text of a body, unpacked by `read` if it is not the last one. Raises InterruptedError."""
        if self.is_interrupted:
            raise InterruptedError
        latest = self._latest.get(side)
        if latest is None or latest[0] != seq:
            latest = self._latest[side] = seq, read()
        return latest[1]


_SELECT_BODY = {
    side: f"SELECT {side}_codec, {side}_body, {side}_headers FROM payloads WHERE seq = ?"
    for side in ("request", "response")
}


def register_body_text(connection: sqlite3.Connection, decode: Decode, body_texts: BodyTexts) -> None:
    """Add the SQL function `body_text(side, seq)` to a connection; `decode` undoes the content-encoding."""

    def read(side: str, seq: int) -> str | None:
        kept = connection.execute(_SELECT_BODY[side], (seq,)).fetchone()
        if kept is None:
            return None
        codec, body, headers = kept
        return decode_text(decode(unpack_body(codec, body), headers_from_json(headers)))

    def body_text(side: str, seq: int) -> str | None:
        return body_texts.get(side, seq, lambda: read(side, seq))

    connection.create_function("body_text", 2, body_text, deterministic=True)


# How long to wait for another process that holds the write lock.
BUSY_SECONDS = 5.0

_RETRY_SECONDS = 0.005
_WAL_KEPT_BYTES = 64 * 1024 * 1024
CACHE_KIB = 16 * 1024
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
    """A connection that writes, or reads on a thread."""

    dialect = SQLITE

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        self.executemany(_insert_statement(table, tuple(columns)), list(rows))


@cache
def _insert_statement(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({quote_columns(columns)}) VALUES ({', '.join('?' * len(columns))})"


def connect_writer(path: Path) -> SqliteConnection:
    """Open the file for writing, in WAL mode; create it, readable by its owner alone, if it is missing."""
    with translated_errors(path):
        _create_private(path)
        return _connect(path, _prepare_to_write)


def connect_reader(
    path: Path, decode: Decode, body_texts: BodyTexts | None = None, cache_kib: int = CACHE_KIB
) -> SqliteConnection:
    """Open the file for reading; `decode` undoes the content-encoding of bodies."""

    def prepare(connection: SqliteConnection) -> None:
        connection.execute(f"PRAGMA cache_size = -{cache_kib}")
        connection.execute("PRAGMA query_only = ON")
        register_body_text(connection, decode, body_texts or BodyTexts())

    with translated_errors(path):
        return _connect(path, prepare)


@contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Raise StoreUnavailable, with the reason, for problems with the file, not for mistakes in our statements."""
    try:
        yield
    except sqlite3.Error as error:
        reason = _REASONS.get(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & _PRIMARY_CODE)
        if reason is None:
            raise
        raise _unusable(path, reason) from error


def lock_timeout_error(path: Path) -> StoreUnavailable:
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
        prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare_to_write(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    _enter_wal_mode(connection)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")


def _enter_wal_mode(connection: sqlite3.Connection) -> None:
    give_up_at = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_at:
                raise
        time.sleep(_RETRY_SECONDS)


def migrate_schema(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the migrations that a file lacks, all or none. Raises StoreUnavailable."""
    with translated_errors(path):
        apply_missing(connection, _database(path), _exclusive_transaction(connection))


def require_gateway_database(connection: sqlite3.Connection, path: Path) -> list[Migration]:
    """Return the migrations that a gateway's database lacks. Raises StoreUnavailable."""
    missing = missing_migrations(connection, _database(path))
    if is_empty(missing, _database(path)):
        raise StoreUnavailable(f"{path} holds no data of a gateway.")
    return missing


def _database(path: Path) -> Database:
    table_names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    return Database("gateway.store.sqlite", table_names, str(path), "Choose another file.")


@contextmanager
def _exclusive_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


# After how long a statement is interrupted again: an interrupt that comes between two statements ends none.
_INTERRUPT_SECONDS = 0.02


class _BatchConnection(aiosqlite.Connection):
    """An aiosqlite connection that also runs many lookups in one call to its thread."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(lambda: connection, iter_chunk_size=1)
        # Otherwise a process that did not close its store would never end.
        self._thread.daemon = True

    async def fetch_batch(self, path: Path, lookups: Sequence[Lookup]) -> list[list[Any] | Exception]:
        """Return the rows or the error of each lookup."""
        run = partial(_fetch_batch, path, self._conn, lookups)
        found: list[list[Any] | Exception] = await self._execute(run)  # type: ignore[no-untyped-call]
        return found


def _fetch_batch(
    path: Path, connection: sqlite3.Connection, lookups: Sequence[Lookup]
) -> list[list[Any] | Exception]:
    results: list[list[Any] | Exception] = []
    connection.execute("BEGIN")
    for lookup in lookups:
        try:
            with translated_errors(path):
                results.append(_fetch_first(connection, *lookup))
        except Exception as error:
            results.append(error)
    connection.execute("COMMIT")
    return results


def _fetch_first(connection: sqlite3.Connection, statements: Sequence[str], values: Parameters) -> list[Any]:
    found = (connection.execute(sql, values).fetchall() for sql in statements)
    return next(filter(None, found), [])


class SqliteReadConnection(ReadConnection):
    """A connection that reads a file; `decode` undoes the content-encoding of bodies."""

    dialect = SQLITE

    def __init__(self, path: Path, decode: Decode, cache_kib: int = CACHE_KIB) -> None:
        self._path = path
        self._decode = decode
        self._cache_kib = cache_kib
        self._body_texts = BodyTexts()
        self._connection: _BatchConnection | None = None
        self._opening = asyncio.Lock()

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        connection = self._connection or await self._connect()
        with translated_errors(self._path):
            rows: list[Any] = await connection.execute_fetchall(sql, parameters)  # type: ignore[assignment]
        return rows

    async def fetch_batch(self, lookups: Sequence[Lookup]) -> Sequence[list[Any] | Exception]:
        connection = self._connection or await self._connect()
        with translated_errors(self._path):
            return await connection.fetch_batch(self._path, lookups)

    async def begin_snapshot(self) -> None:
        if self._connection is None or not self._connection.in_transaction:
            await self.fetch_all("BEGIN")

    async def begin(self, seconds: float | None) -> None:
        self.is_busy = True
        self._body_texts.begin()

    async def end(self) -> None:
        self._body_texts.begin()
        if self._connection is not None and self._connection.in_transaction:
            await self.fetch_all("COMMIT")
        self.is_busy = False

    async def open(self) -> None:
        # SQLite opens some of its files when something is read for the first time.
        await self.fetch_all("SELECT last_seq FROM expired")

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def abort(self) -> None:
        self._body_texts.is_interrupted = True
        if (connection := self._connection) is None:
            return
        # aiosqlite leaves a statement running whose await was cancelled, and closes behind it.
        closing = asyncio.ensure_future(self.close())
        while not closing.done():
            with suppress(ValueError, sqlite3.ProgrammingError):
                await connection.interrupt()
            await asyncio.wait([closing], timeout=_INTERRUPT_SECONDS)
        await closing

    async def _connect(self) -> _BatchConnection:
        async with self._opening:
            if self._connection is None:
                # Not opened by aiosqlite, whose thread outlives a failure and fails when the loop is closed first.
                opened = await asyncio.to_thread(
                    connect_reader, self._path, self._decode, self._body_texts, self._cache_kib
                )
                connection = _BatchConnection(opened)
                await connection
                self._connection = connection
        return self._connection
