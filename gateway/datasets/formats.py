"""Exporter: rows and columns of an export file; JSON Lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import orjson

from gateway.models.filters import Filter, Page
from gateway.query.requests import LoggedRequest


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that an export is to write: those on a page of what is found, the oldest first."""

    where: Filter
    page: Page


class Exporter(Protocol):
    """How a dialect reads its filters, and what it writes of a row."""

    @property
    def suffix(self) -> str:
        """How names of its files end, such as `jsonl`."""

    def select(self, filters: Mapping[str, object]) -> Selection:
        """Return which rows these filters mean. Raises BadInput that names the one to blame."""

    def needs_bodies(self, columns: Sequence[str]) -> bool:
        """Tell whether any of these columns shows what was sent or answered."""

    def write(self, logged: LoggedRequest, columns: Sequence[str]) -> bytes:
        """Return what is written of a row. Its messages are None where no column needs them."""


@dataclass(frozen=True, slots=True)
class Column:
    """A member of the objects.

    Args:
        read: its value, as JSON or an `orjson.Fragment` without line breaks.
        needs_bodies: whether that takes more than the row.
    """

    read: Callable[[LoggedRequest], object]
    needs_bodies: bool = False


@dataclass(frozen=True, slots=True)
class JsonLines:
    """An Exporter in the words of the face that made it.

    Args:
        selection_of: which rows filters mean.
        columns: what there is to write, by name.
    """

    selection_of: Callable[[Mapping[str, object]], Selection]
    columns: Mapping[str, Column]
    suffix: str = "jsonl"

    def select(self, filters: Mapping[str, object]) -> Selection:
        """Return which rows these filters mean. Raises BadInput that names the one to blame."""
        return self.selection_of(filters)

    def needs_bodies(self, columns: Sequence[str]) -> bool:
        """Tell whether any of these columns shows what was sent or answered."""
        return any(self.columns[name].needs_bodies for name in columns)

    def write(self, logged: LoggedRequest, columns: Sequence[str]) -> bytes:
        """Return a row as a line, its members in the order of the columns."""
        row = {name: self.columns[name].read(logged) for name in columns}
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
