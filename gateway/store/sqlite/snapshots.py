"""A file as it is read: each read in one transaction, which in WAL mode waits for nobody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from gateway.store.base import Decode
from gateway.store.relational.connection import Connection
from gateway.store.relational.readers import Snapshots
from gateway.store.sqlite.connection import SqliteConnection, connect_reader, translated_errors


class SqliteSnapshots(Snapshots):
    """A file that can be read.

    Args:
        decode: undoes the content-encoding of bodies where their text is searched.
    """

    def __init__(self, path: Path, decode: Decode) -> None:
        self._path = path
        self._decode = decode

    def connect(self) -> SqliteConnection:
        return connect_reader(self._path, self._decode)

    def translated_errors(self) -> AbstractContextManager[None]:
        return translated_errors(self._path)

    @contextmanager
    def reading(self, connection: Connection, seconds: float | None) -> Iterator[None]:
        assert isinstance(connection, SqliteConnection)
        connection.execute("BEGIN")
        connection.texts.begin()
        try:
            yield
        finally:
            connection.texts.begin()
            connection.execute("COMMIT")

    def interrupt(self, connection: Connection) -> None:
        assert isinstance(connection, SqliteConnection)
        connection.texts.is_interrupted = True
        connection.interrupt()
