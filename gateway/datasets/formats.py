"""Rows and columns of an export file, written as JSON Lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from gateway.models.filters import Filter, Page
from gateway.query.requests import LoggedRequest


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of an export: a page of those that match, oldest first."""

    where: Filter
    page: Page


@dataclass(frozen=True, slots=True)
class Column:
    """A member of the exported objects.

    Args:
        read: returns its value as JSON, or as `orjson.Fragment` without line breaks.
    """

    read: Callable[[LoggedRequest], object]
    needs_bodies: bool = False


@dataclass(frozen=True, slots=True)
class JsonLines:
    """Format of a dialect's export files.

    Args:
        select: returns the rows that filters mean; raises BadInput.
    """

    select: Callable[[Mapping[str, object]], Selection]
    columns: Mapping[str, Column]
    suffix: str = "jsonl"

    def needs_bodies(self, columns: Sequence[str]) -> bool:
        """Tell whether any of these columns needs the bodies of a request."""
        return any(self.columns[name].needs_bodies for name in columns)

    def write(self, logged: LoggedRequest, columns: Sequence[str]) -> bytes:
        """Return a request as a line."""
        row = {name: self.columns[name].read(logged) for name in columns}
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
