"""Database dialect and connection: the SQL that databases spell differently, and what statements run on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

ValueKind = Literal["text", "number", "flag"]


class SupportsExecute(Protocol):
    """As much of a connection as it takes to ask for numbers."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any:
        """Run one statement."""


class Dialect(ABC):
    """How a database spells what not all spell alike."""

    greatest: str
    """Name of the function that returns the greatest of its arguments, none of which is null."""
    least: str
    position_call: str
    """Beginning of a call whose arguments are a text and what to look for in it; it tells the place, from 1."""
    ordered_join: str
    """`JOIN` in which the table on the left is read first."""

    @abstractmethod
    def without_index(self, column: str) -> str:
        """A column that shall not be looked up in an index."""

    @abstractmethod
    def with_index(self, table: str, index: str) -> str:
        """A table whose rows shall be found through this index, whatever the planner thinks of others."""

    @abstractmethod
    def order(self, sql: str, *, descending: bool, may_be_null: bool) -> str:
        """A key of ORDER BY in which null comes before all else."""

    # lists that are bound as JSON

    @abstractmethod
    def in_texts(self, placeholder: str) -> str:
        """What stands behind a text: that it is one of a JSON list."""

    @abstractmethod
    def in_numbers(self, placeholder: str) -> str:
        """What stands behind a whole number: that it is one of a JSON list."""

    # JSON in columns

    @abstractmethod
    def json_has_element(self, column: str, test: str) -> str:
        """That a list of texts has one for which a test holds; none where the column is null."""

    @abstractmethod
    def json_members(self, column: str) -> str:
        """A table of the members of an object: `key` and `value`."""

    @abstractmethod
    def json_distinct_list(self, column: str) -> str:
        """The aggregate of all values that are not null, each once, as a JSON list."""

    @abstractmethod
    def json_object(self, key: str, value: str) -> str:
        """The aggregate of keys and their values, as a JSON object."""

    # metadata

    @abstractmethod
    def metadata_matches(self, kind: ValueKind, function: str, test: str) -> str:
        """That metadata has a value of a kind under the name that is bound first, and that the test on it holds.
        True or false.

        Args:
            function: the beginning of a call that the test ends, or nothing.
        """

    @abstractmethod
    def metadata_is_missing(self) -> str:
        """That metadata has nothing under the name that is bound."""

    @abstractmethod
    def property_text(self) -> str:
        """The metadata of `requests` under the name that is bound, as text."""

    @abstractmethod
    def property_in_any_case(self) -> str:
        """The metadata of `requests` under the last of the names that are the bound one, which is in small letters,
        whatever the case of theirs from A to Z; as text."""

    @abstractmethod
    def stated_model(self) -> str:
        """`_model` of the metadata, if it is a text and not empty."""

    @abstractmethod
    def set_tag(self, column: str) -> str:
        """Write `:value` into a column of tags in the row `:seq` and its metadata, unless it or facts are there."""

    # text

    @abstractmethod
    def like(self, pattern: str) -> tuple[str, str]:
        """What stands behind a text: that it is like a bound pattern, by case; and what to bind."""

    @abstractmethod
    def like_in_any_case(self) -> str:
        """What stands behind a text: that it is like a bound pattern, whatever the case of ASCII letters."""

    @abstractmethod
    def body_text(self, side: str) -> str:
        """The text of the body of `request` or `response` that belongs to the row of `requests` at hand."""

    @property
    def inside_bodies(self) -> Dialect:
        """How it is spelled within `with_texts`."""
        return self

    def with_bodies(self, sql: str) -> str:
        """A condition on several texts of bodies that belong to the row of `requests` at hand, each read once."""
        return f"({sql})"

    # rows

    @abstractmethod
    def allocate_seqs(self, connection: SupportsExecute, number: int) -> Sequence[int]:
        """Take the numbers of the next so many requests, in order."""

    @abstractmethod
    def is_payload_of(self, payload: str, request: str) -> str:
        """That a row of `payloads` belongs to a row of `requests`, each under the name that it has."""

    @abstractmethod
    def and_started_before(self, placeholder: str) -> str:
        """Behind a condition on `payloads`: and of requests that started before a time, where it helps to know."""

    @abstractmethod
    def payload_column(self, column: str) -> str:
        """A column of `payloads`, called `p`, as it was given to be kept."""

    @abstractmethod
    def rollup_value(self, column: str) -> str:
        """A value by which rollups are split, as they keep it."""

    @abstractmethod
    def typed_rollup_value(self, column: str, field: str, kind: ValueKind, *, is_whole: bool) -> str:
        """The value that was kept in a column of a rollup that is split by a field.

        Args:
            is_whole: whether numbers have no fraction.
        """


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
    """A connection that blocks, used by one thread at a time. Placeholders are `?` or `:name`."""

    @property
    def dialect(self) -> Dialect:
        """The SQL dialect of the database."""

    def execute(self, sql: str, parameters: Parameters = ..., /) -> Cursor:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> object:
        """Run a statement without results once for each of these."""

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Add any number of rows to a table, in the order of these columns."""

    def close(self) -> None:
        """Close the connection."""


class AsyncConnection(ABC):
    """A connection that reads without blocking the event loop. Placeholders are `?` or `:name`."""

    dialect: Dialect

    @abstractmethod
    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """Run one statement, which has a snapshot of its own, and return its rows."""

    @abstractmethod
    async def begin_snapshot(self) -> None:
        """Run all further statements of the query in one snapshot."""

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Any:
        """Run one statement and return its first row, or None."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None
