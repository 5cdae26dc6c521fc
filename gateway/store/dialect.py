"""SQL dialects, and the connections that statements run on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

ValueKind = Literal["text", "number", "flag"]


class SupportsExecute(Protocol):
    def execute(self, sql: str, parameters: Any = ..., /) -> Any: ...


class Dialect(ABC):
    """Returns the SQL that databases spell differently."""

    # Name of the function that returns the greatest of its arguments, none of which is null.
    greatest: str
    least: str
    # Start of a call with a text and a part to find; returns its position from 1, or 0.
    position_call: str
    # `JOIN` that reads the table on the left first.
    ordered_join: str
    # That metadata has nothing under the bound key.
    metadata_is_missing: str
    # The metadata of `requests` under the bound key, as text.
    property_text: str
    # The metadata under the last key that is the bound one in lower case, as text.
    property_in_any_case: str
    # `_model` of the metadata, if it is a non-empty text.
    stated_model: str
    # That a text matches a bound pattern, whatever the case of ASCII letters.
    like_in_any_case: str

    @abstractmethod
    def without_index(self, column: str) -> str:
        """A column that is not looked up in an index."""

    @abstractmethod
    def with_index(self, table: str, index: str) -> str:
        """A table whose rows are found through this index, whatever the planner prefers."""

    @abstractmethod
    def order(self, sql: str, *, descending: bool, may_be_null: bool) -> str:
        """A key of ORDER BY, with null before all else."""

    # lists that are bound as JSON

    @abstractmethod
    def in_texts(self, placeholder: str) -> str:
        """That a text is in a JSON list."""

    @abstractmethod
    def in_numbers(self, placeholder: str) -> str:
        """That a whole number is in a JSON list."""

    # JSON in columns

    @abstractmethod
    def json_has_element(self, column: str, test: str) -> str:
        """That a JSON list of texts has an element that passes a test; false for null."""

    @abstractmethod
    def json_distinct_list(self, column: str) -> str:
        """The distinct values that are not null, as a JSON list."""

    @abstractmethod
    def json_object(self, key: str, value: str) -> str: ...

    @abstractmethod
    def json_column(self, column: str) -> str:
        """The values of all rows, as a JSON list; of several columns in the same order."""

    @abstractmethod
    def json_list(self, values: Iterable[str]) -> str:
        """A JSON list of a row's values."""

    # metadata

    @abstractmethod
    def metadata_matches(self, kind: ValueKind, function: str, test: str) -> str:
        """That metadata has a value under the bound key that passes a test; `function` begins a call that it
        ends."""

    @abstractmethod
    def set_tag(self, column: str) -> str:
        """Set a tag column of row `:seq` and its metadata to `:value`, unless the tag or facts are there."""

    # text

    @abstractmethod
    def like(self, pattern: str) -> tuple[str, str]:
        """That a text matches a bound pattern, with case; and the value to bind."""

    @abstractmethod
    def body_text(self, side: str) -> str:
        """The text of a body (`request` or `response`) of the current row of `requests`."""

    @property
    def inside_bodies(self) -> Dialect:
        return self

    def with_bodies(self, sql: str) -> str:
        """A condition on several body texts of the current row of `requests`, each read once."""
        return f"({sql})"

    # rows

    @abstractmethod
    def allocate_seqs(self, connection: SupportsExecute, number: int) -> Sequence[int]: ...

    @abstractmethod
    def is_payload_of(self, payload: str, request: str) -> str:
        """That a row of `payloads` belongs to a row of `requests`, given their aliases."""

    @abstractmethod
    def and_started_before(self, placeholder: str) -> str:
        """A further condition on `payloads` that requests started before a time, where it helps."""

    @abstractmethod
    def payload_column(self, column: str) -> str:
        """A column of `payloads`, called `p`, as it was before it was packed."""

    @abstractmethod
    def rollup_value(self, column: str) -> str: ...

    @abstractmethod
    def typed_rollup_value(self, column: str, field: str, kind: ValueKind, *, is_whole: bool) -> str:
        """The stored value of a rollup that is split by a field."""


Parameters = Sequence[Any] | Mapping[str, Any]


class Cursor(Protocol):
    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection that blocks, for one thread at a time. Placeholders are `?` or `:name`."""

    @property
    def dialect(self) -> Dialect: ...

    def execute(self, sql: str, parameters: Parameters = ..., /) -> Cursor: ...

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> object: ...

    def insert(self, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert any number of rows."""

    def close(self) -> None: ...


class AsyncConnection(ABC):
    """A connection that reads without blocking the event loop. Placeholders are `?` or `:name`."""

    dialect: Dialect

    @abstractmethod
    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        """Run one statement, in a snapshot of its own, and return its rows."""

    @abstractmethod
    async def begin_snapshot(self) -> None:
        """Run all further statements of the query in one snapshot."""

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Any:
        """Run one statement and return its first row, or None."""
        rows = await self.fetch_all(sql, parameters)
        return rows[0] if rows else None
