"""PostgreSQL connections: placeholders, translated errors, advisory locks, reading."""

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import StrDumper

from gateway.errors import StoreUnavailable
from gateway.store.dialect import Cursor, Parameters
from gateway.store.postgres.dialect import POSTGRES
from gateway.store.read_pool import Lookup, ReadConnection
from gateway.store.schema import quote_columns

T = TypeVar("T")

# By SQLSTATE.
_REASONS = {
    "25006": "it is read-only; is it a standby?",
    "28000": "access was refused",
    "28P01": "the user name or the password is wrong",
    "3D000": "there is no database of that name",
    "42501": "the user may not do this there",
    "53000": "the server lacks resources",
    "53100": "its disk is full",
    "53200": "the server has not enough memory",
    "53300": "it has too many connections already",
    "55P03": "others have kept it locked for too long",
    "57014": "the operation was interrupted",
    "57P01": "the server is being shut down",
    "57P02": "the server has crashed",
    "57P03": "the server is starting up or shutting down",
    "57P05": "the connection was idle for too long",
    "25P03": "the connection was idle for too long",
    "58030": "reading or writing its disk failed",
    "XX001": "it is damaged",
    "XX002": "it is damaged",
    "40001": "others have changed the same rows at the same time",
    "40P01": "others have changed the same rows at the same time",
}

_CONNECTING_AGAIN_HELPS = (psycopg.OperationalError, psycopg.InterfaceError)


@contextmanager
def translated_errors(name: str) -> Iterator[None]:
    """Raise StoreUnavailable, with the reason, for problems with the database, not for mistakes in our
    statements."""
    try:
        yield
    except psycopg.Error as error:
        reason = _REASONS.get(error.sqlstate or "") or _describe_connection_error(error)
        if reason is None:
            raise
        raise StoreUnavailable(f"the database {name} cannot be used: {reason}.") from error


def _describe_connection_error(error: psycopg.Error) -> str | None:
    if not isinstance(error, _CONNECTING_AGAIN_HELPS):
        return None
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        return "the server does not answer"
    # The driver says where it tried to connect before a colon, and why that failed behind the last one; where a
    # host has several addresses, in a line for each.
    lines = str(error).strip().splitlines() or [""]
    detail = next((line for line in reversed(lines) if "failed: " in line), lines[0])
    reason = detail.rpartition(": ")[2].strip().rstrip(".?!")
    return reason[:1].lower() + reason[1:] or "the connection was lost"


_TOKENS = re.compile(
    r"""
    (?P<quoted> '[^']*' | "[^"]*" )
    | (?P<cast> :: )
    | (?P<mark> \? )
    | : (?P<name> [a-z_]+ )
    | (?P<percent> % )
    """,
    re.VERBOSE,
)

_CACHE_SIZE = 1024
# Our own statements are shorter; those with lists of a caller's values may be long, and no two are alike.
_MAX_CACHED_LENGTH = 16 * 1024


def to_driver_placeholders(sql: str) -> bytes:
    """Return a statement with the driver's placeholders."""
    return _translate_cached(sql) if len(sql) <= _MAX_CACHED_LENGTH else _translate(sql)


def _translate(sql: str) -> bytes:
    return _TOKENS.sub(_driver_placeholder, sql).encode()


_translate_cached = lru_cache(maxsize=_CACHE_SIZE)(_translate)


def _driver_placeholder(token: re.Match[str]) -> str:
    if token["mark"]:
        return "%s"
    if token["name"]:
        return f"%({token['name']})s"
    return token[0].replace("%", "%%")


_WRITING_KEY = 0x6677_0001
_MIGRATING_KEY = 0x6677_0002
_MAINTENANCE_KEY = 0x6677_0003

# How long to wait for other writers.
LOCK_SECONDS = 5

# After how long the server ends an idle transaction: that of a process that hangs.
IDLE_SECONDS = 60


def _begin_with_lock(lock: str) -> str:
    return (
        f"BEGIN; SET LOCAL lock_timeout = '{LOCK_SECONDS}s';"
        f" SET LOCAL idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'; SELECT {lock}"
    )


# Write together with others that share the lock.
SHARED = _begin_with_lock(f"pg_advisory_xact_lock_shared({_WRITING_KEY})")

# Write while nobody else does.
EXCLUSIVE = _begin_with_lock(f"pg_advisory_xact_lock({_WRITING_KEY})")

MIGRATING = f"BEGIN; SELECT pg_advisory_xact_lock({_MIGRATING_KEY})"

# How long readers and writers wait, at most, for a change of a table that itself waits for others.
MAINTENANCE_LOCK_SECONDS = 2

# Create and drop partitions.
MAINTENANCE = (
    f"BEGIN; SET LOCAL lock_timeout = '{MAINTENANCE_LOCK_SECONDS}s'; SELECT"
    f" pg_advisory_xact_lock({_MAINTENANCE_KEY})"
)

# The server ends a statement so much later than the gateway, for a gateway that cannot any more.
TIMEOUT_MARGIN_SECONDS = 5

_BEGIN_SNAPSHOT = b"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def begin_snapshot(seconds: float | None) -> bytes:
    """Return the statements that begin a query."""
    if seconds is None:
        return _BEGIN_SNAPSHOT
    timeout_ms = math.ceil(seconds + TIMEOUT_MARGIN_SECONDS) * 1000
    return _BEGIN_SNAPSHOT + f"; SET LOCAL statement_timeout = {timeout_ms}".encode()


# How long to wait for the server to answer, unless the URL says otherwise.
CONNECT_SECONDS = 5

_DEFAULTS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "feedback-gateway",
    # A server that is gone without a word must not keep a thread for the two hours that kernels take by themselves.
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}


_COLUMN_TYPES = (
    "SELECT attname, atttypid FROM pg_attribute WHERE attrelid = CAST(? AS regclass) AND attnum > 0"
)


class PostgresConnection:
    """A connection that blocks. Raises psycopg.Error."""

    dialect = POSTGRES

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = _connect(url)
        # By table, of each column.
        self._types: dict[str, dict[str, int]] = {}

    @property
    def is_lost(self) -> bool:
        return self._connection.closed

    def begin(self, sql: str) -> None:
        """Begin a transaction with these statements, on a new connection if the old one was lost."""
        if not self.is_lost:
            try:
                self._begin(sql)
                return
            except psycopg.OperationalError:
                if not self.is_lost:
                    raise
        self._connection = _connect(self._url)
        self._begin(sql)

    def _begin(self, sql: str) -> None:
        try:
            self._connection.execute(sql.encode())
        except psycopg.Error:
            # It was begun if only what comes after has failed, and nothing could be done on the connection then.
            self.roll_back()
            raise

    def commit(self) -> None:
        """Commit. Raises StoreUnavailable if the server has rolled back instead."""
        if self._connection.execute("COMMIT").statusmessage != "COMMIT":
            raise StoreUnavailable("the transaction was undone by the database.")

    def roll_back(self) -> None:
        """Roll back as far as the server can be reached; otherwise it does so by itself."""
        with suppress(psycopg.Error):
            self._connection.execute("ROLLBACK")

    def execute(self, sql: str, parameters: Parameters = (), /) -> Cursor:
        return self._connection.execute(to_driver_placeholders(sql), parameters)

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> None:
        with self._connection.cursor() as cursor:
            cursor.executemany(to_driver_placeholders(sql), parameters)

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        # As text it would take the client twice as long, and the server would parse it.
        sql = f"COPY {table} ({quote_columns(tuple(columns))}) FROM STDIN (FORMAT BINARY)"
        types = self._types_of(table)
        with self._connection.cursor() as cursor, cursor.copy(sql.encode()) as copy:
            copy.set_types([types[column] for column in columns])
            # The server takes the first rows while the last ones are made.
            for row in rows:
                copy.write_row(row)

    def _types_of(self, table: str) -> dict[str, int]:
        if table not in self._types:
            self._types[table] = dict(self.execute(_COLUMN_TYPES, (table,)).fetchall())
        return self._types[table]

    def close(self) -> None:
        self._connection.close()


class _NumberLoader(Loader):
    """Loads `numeric`: sums of whole numbers have that type here, though they are whole."""

    def load(self, data: Buffer) -> int | float:
        number = Decimal(bytes(data).decode())
        return int(number) if number == number.to_integral_value() else float(number)


def _connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    connection = psycopg.connect(**_connect_options(url))
    _register_types(connection)
    return connection


def _connect_options(url: str) -> dict[str, Any]:
    return {
        **_DEFAULTS,
        **conninfo_to_dict(url),
        # By default a server that knows of no encoding has texts handed over as bytes.
        "client_encoding": "UTF8",
        "autocommit": True,
        # What is prepared belongs to a session, and a pooler gives each transaction another.
        "prepare_threshold": None,
    }


def _register_types(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
    connection.adapters.register_dumper(str, StrDumper)
    connection.adapters.register_loader("numeric", _NumberLoader)


class PostgresReadConnection(ReadConnection):
    """A connection that reads a database; `name` is for messages."""

    dialect = POSTGRES

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name
        self._connection: psycopg.AsyncConnection[tuple[Any, ...]] | None = None
        self._opening = asyncio.Lock()

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        with translated_errors(self._name):
            connection = await self._connect()
            cursor = await connection.execute(to_driver_placeholders(sql), parameters)
            return await cursor.fetchall()

    async def fetch_batch(self, lookups: Sequence[Lookup]) -> Sequence[list[Any] | Exception]:
        try:
            with translated_errors(self._name):
                return await self._retry_when_lost(lambda: self._fetch_pipelined(lookups))
        except (psycopg.Error, StoreUnavailable) as error:
            if len(lookups) == 1:
                return [error]
        # One that failed has taken those behind it with it.
        return [rows for each in lookups for rows in await self.fetch_batch([each])]

    async def begin_snapshot(self) -> None:
        pass  # a query runs in one snapshot from its beginning

    async def begin(self, seconds: float | None) -> None:
        self.is_busy = True
        with translated_errors(self._name):
            await self._retry_when_lost(lambda: self._begin(begin_snapshot(seconds)))

    async def end(self) -> None:
        await self._roll_back()
        self.is_busy = False

    async def open(self) -> None:
        with translated_errors(self._name):
            await self._connect()

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _fetch_pipelined(self, lookups: Sequence[Lookup]) -> list[list[Any]]:
        results: list[list[Any]] = [[] for _ in lookups]
        left = list(range(len(lookups)))
        connection = await self._connect()
        try:
            async with connection.pipeline():
                await connection.execute(_BEGIN_SNAPSHOT)
                for step in range(max(len(statements) for statements, _ in lookups)):
                    left = [at for at in left if not results[at] and step < len(lookups[at][0])]
                    cursors = [
                        await connection.execute(to_driver_placeholders(lookups[at][0][step]), lookups[at][1])
                        for at in left
                    ]
                    for at, cursor in zip(left, cursors, strict=True):
                        results[at] = await cursor.fetchall()
                await connection.execute(b"ROLLBACK")
        except psycopg.Error:
            await self._roll_back()
            raise
        return results

    async def _begin(self, sql: bytes) -> None:
        connection = await self._connect()
        await connection.execute(sql)

    async def _roll_back(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                await self._connection.execute(b"ROLLBACK")

    async def _retry_when_lost(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run `work`, and again on a new connection if the one that was open before was lost."""
        was_open = self._connection is not None
        try:
            return await work()
        except psycopg.OperationalError:
            if not was_open or (self._connection is not None and not self._connection.closed):
                raise
        return await work()

    async def _connect(self) -> psycopg.AsyncConnection[tuple[Any, ...]]:
        async with self._opening:
            if self._connection is None or self._connection.closed:
                self._connection = await psycopg.AsyncConnection.connect(**_connect_options(self._url))
                _register_types(self._connection)
        return self._connection
