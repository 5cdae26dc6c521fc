"""Connections to the server. They are all alike, keep nothing of a session, and open themselves anew when they were
lost: so a pooler may stand between, and a server may be restarted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from decimal import Decimal
from itertools import count
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.string import StrDumper

from gateway.errors import StoreUnavailable
from gateway.store.postgres.dialect import POSTGRES
from gateway.store.postgres.marks import with_driver_marks
from gateway.store.relational.connection import Cursor, Parameters
from gateway.store.tables import quoted

CONNECT_SECONDS = 5
"""How long to wait for the server to answer, unless the URL says otherwise."""

_DEFAULTS: dict[str, Any] = {
    "connect_timeout": CONNECT_SECONDS,
    "application_name": "feedback-gateway",
    # A server that is gone without a word must not keep a thread for the two hours that kernels take by themselves.
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
_STEP_ROWS = 200
_CANCEL_SECONDS = 2.0


class PostgresConnection:
    """A connection as the jobs of `store/relational` want it.

    Raises:
        psycopg.Error: the server does not let us in.
    """

    dialect = POSTGRES

    def __init__(self, url: str) -> None:
        self._url = url
        self._cursors = count()
        self._connection = _connect(url)

    @property
    def is_lost(self) -> bool:
        """Whether the server hears nothing of us any more."""
        return self._connection.closed

    def begin(self, sql: str) -> None:
        """Begin a transaction by these statements; on a new connection if the old one was lost meanwhile."""
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
        """Commit. Raises StoreUnavailable if the server has undone the transaction instead."""
        if self._connection.execute("COMMIT").statusmessage != "COMMIT":
            raise StoreUnavailable("the transaction was undone by the database.")

    def roll_back(self) -> None:
        """Undo what was not committed, as far as the server hears us; if it does not, it does so by itself."""
        with suppress(psycopg.Error):
            self._connection.execute("ROLLBACK")

    def execute(self, sql: str, parameters: Parameters = (), /) -> Cursor:
        """Run one statement."""
        return self._connection.execute(with_driver_marks(sql), parameters)

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> None:
        """Run a statement that finds nothing once for each of these."""
        with self._connection.cursor() as cursor:
            cursor.executemany(with_driver_marks(sql), parameters)

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add rows to a table, in the order of these columns."""
        sql = f"COPY {table} ({quoted(tuple(columns))}) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(sql.encode()) as copy:
            for row in rows:
                copy.write_row(row)

    def walk(self, sql: str, parameters: Parameters = (), /) -> Iterator[Any]:
        """Go through what a statement finds, some rows at a time."""
        with self._connection.cursor(f"walk_{next(self._cursors)}") as cursor:
            cursor.itersize = _STEP_ROWS
            yield from cursor.execute(with_driver_marks(sql), parameters)

    def interrupt(self) -> None:
        """End the statement under way. To be called from another thread, while this one waits for it."""
        with suppress(psycopg.Error):
            self._connection.cancel_safe(timeout=_CANCEL_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class _NumberLoader(Loader):
    """Sums of whole numbers are `numeric` here, though they are whole."""

    def load(self, data: Buffer) -> int | float:
        number = Decimal(bytes(data).decode())
        return int(number) if number == number.to_integral_value() else float(number)


def _connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    given = conninfo_to_dict(url)
    connection = psycopg.connect(
        # By default a server that knows of no encoding has texts handed over as bytes.
        **{**_DEFAULTS, **given, "client_encoding": "UTF8"},
        autocommit=True,
        # What is prepared belongs to a session, and a pooler gives each transaction another.
        prepare_threshold=None,
    )
    connection.adapters.register_dumper(str, StrDumper)
    connection.adapters.register_loader("numeric", _NumberLoader)
    return connection
