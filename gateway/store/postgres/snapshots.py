"""A database as it is read: each read in one transaction, which sees one snapshot and waits for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from gateway.store.postgres.connection import PostgresConnection
from gateway.store.postgres.failures import translated_errors
from gateway.store.postgres.locks import reading_for
from gateway.store.relational.connection import Connection
from gateway.store.relational.readers import Snapshots


class PostgresSnapshots(Snapshots):
    """A database that can be read.

    Args:
        name: what it is called in messages.
    """

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._name = name

    def connect(self) -> PostgresConnection:
        with self.translated_errors():
            return PostgresConnection(self._url)

    def translated_errors(self) -> AbstractContextManager[None]:
        return translated_errors(self._name)

    @contextmanager
    def reading(self, connection: Connection, seconds: float | None) -> Iterator[None]:
        assert isinstance(connection, PostgresConnection)
        connection.begin(reading_for(seconds))
        try:
            yield
        finally:
            connection.roll_back()

    def interrupt(self, connection: Connection) -> None:
        assert isinstance(connection, PostgresConnection)
        connection.interrupt()
