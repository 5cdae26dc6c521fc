"""JsonLines: an exporter that writes each row as a JSON object on a line of its own.

Source: https://jsonlines.org
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from gateway.query.exports.exporter import Selection
from gateway.query.requests import LoggedRequest


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
