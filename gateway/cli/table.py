"""Rows as aligned text: no wider than 100 columns, and nothing in it that a terminal would obey."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from gateway.domain.clock import datetime_of

WIDTH = 100
GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        width: its width, unless the first rows have longer cells.
        least: how narrow it may get, its cells cut, so that the table fits; None: never narrower than a cell.
    """

    title: str
    width: int
    least: int | None = None


@dataclass(slots=True)
class Table:
    """Lays out rows that come bit by bit: the first ones decide how wide the columns are."""

    columns: Sequence[Column]
    _widths: list[int] = field(default_factory=list)

    def lines(self, rows: Iterable[Sequence[str]]) -> Iterator[str]:
        """Return a line for each row; before the first, the one with the titles."""
        cells = [[printable(cell).replace("\n", " ") for cell in row] for row in rows]
        if not self._widths:
            self._widths = self._fit(cells)
            yield self._line([column.title for column in self.columns])
        for row in cells:
            yield self._line(row)

    def _fit(self, rows: list[list[str]]) -> list[int]:
        widths = [
            max([column.width, *(len(row[index]) for row in rows)])
            for index, column in enumerate(self.columns)
        ]
        for index, column in enumerate(self.columns):
            excess = sum(widths) + len(GAP) * (len(widths) - 1) - WIDTH
            if column.least is not None and excess > 0:
                widths[index] = max(min(column.least, widths[index]), widths[index] - excess)
        return widths

    def _line(self, cells: list[str]) -> str:
        columns = zip(cells, self.columns, self._widths, strict=True)
        return GAP.join(
            (cut(cell, width) if column.least else cell).ljust(width) for cell, column, width in columns
        ).rstrip()


def printable(text: str) -> str:
    """Return text of strangers with all that could steer a terminal spelled out; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else _spelled(character)
        for character in text
    )


def clock(time_us: int) -> str:
    """Write microseconds since the epoch as a date and time of day in UTC, to the second."""
    return f"{datetime_of(time_us):%Y-%m-%d %H:%M:%S}"


def cut(cell: str, width: int) -> str:
    """Return a text no longer than so many characters, with … where something is left out."""
    return cell if len(cell) <= width else f"{cell[: width - 1]}…"


def mebibytes(size_bytes: int, decimals: int = 1) -> str:
    """Write a size in MiB."""
    return f"{size_bytes / (1024 * 1024):,.{decimals}f} MiB"


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode()
