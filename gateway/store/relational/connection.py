"""Connection: what jobs and questions need of a database driver, whichever it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from gateway.store.dialect import Dialect

Parameters = Sequence[Any] | Mapping[str, Any]


class Cursor(Protocol):
    """What a statement found or did."""

    @property
    def rowcount(self) -> int:
        """How many rows were changed."""

    def fetchone(self) -> Any:
        """Return the next row, or None."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection, used by one thread at a time. Statements bear the marks `?` or `:name`."""

    @property
    def dialect(self) -> Dialect:
        """How the database spells what not all spell alike."""

    def execute(self, sql: str, parameters: Parameters = ..., /) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> object:
        """Run a statement that finds nothing once for each of these."""

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add rows to a table, however many, in the order of these columns."""

    def walk(self, sql: str, parameters: Parameters = ..., /) -> Iterator[Any]:
        """Go through what a statement finds, reading little ahead: whoever leaves off early has read no more."""

    def close(self) -> None:
        """Close the connection."""
