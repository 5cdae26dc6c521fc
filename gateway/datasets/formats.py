"""Rows and columns of an export file, written as JSON Lines."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from gateway.models.filters import Filter, Page
from gateway.query.requests import LoggedRequest


@dataclass(frozen=True, slots=True)
class Selection:
    """A page of the matching rows, oldest first."""

    where: Filter
    page: Page


@dataclass(frozen=True, slots=True)
class Column:
    """A member of the exported objects, read as JSON or `orjson.Fragment` without line breaks."""

    read: Callable[[LoggedRequest], object]
    needs_bodies: bool = False


@dataclass(frozen=True, slots=True)
class JsonLines:
    select: Callable[[Mapping[str, object]], Selection]
    columns: Mapping[str, Column]
    suffix: str = "jsonl"

    def needs_bodies(self, columns: Sequence[str]) -> bool:
        return any(self.columns[name].needs_bodies for name in columns)

    def write(self, logged: LoggedRequest, columns: Sequence[str]) -> bytes:
        row = {name: self.columns[name].read(logged) for name in columns}
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
