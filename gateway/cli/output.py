"""Text output: aligned tables, safe and shortened cells, times, sizes, and progress on standard error."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import click

from gateway.models.clock import to_datetime

MAX_WIDTH = 100
COLUMN_GAP = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Args:
        width: its width, unless the first rows have longer cells.
        least: how narrow it may get, its cells cut, so that the table fits; None: never narrower than a cell.
    """

    title: str
    width: int
    min_width: int | None = None


@dataclass(slots=True)
class Table:
    """Lays out rows that come bit by bit: the first ones decide how wide the columns are."""

    columns: Sequence[Column]
    _widths: list[int] = field(default_factory=list)

    def lines(self, rows: Iterable[Sequence[str]]) -> Iterator[str]:
        """Return a line for each row; before the first, the one with the titles."""
        cells = [[escape_unprintable(cell).replace("\n", " ") for cell in row] for row in rows]
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
            excess = sum(widths) + len(COLUMN_GAP) * (len(widths) - 1) - MAX_WIDTH
            if column.min_width is not None and excess > 0:
                widths[index] = max(min(column.min_width, widths[index]), widths[index] - excess)
        return widths

    def _line(self, cells: list[str]) -> str:
        columns = zip(cells, self.columns, self._widths, strict=True)
        return COLUMN_GAP.join(
            (truncate(cell, width) if column.min_width else cell).ljust(width)
            for cell, column, width in columns
        ).rstrip()


def escape_unprintable(text: str) -> str:
    """Return text of strangers with all that could steer a terminal spelled out; line ends and tabs stay."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character in "\n\t" else _escape(character)
        for character in text
    )


def format_time(time_us: int) -> str:
    """Write microseconds since the epoch as a date and time of day in UTC, to the second."""
    return f"{to_datetime(time_us):%Y-%m-%d %H:%M:%S}"


def truncate(cell: str, width: int) -> str:
    """Return a text no longer than so many characters, with … where something is left out."""
    return cell if len(cell) <= width else f"{cell[: width - 1]}…"


def format_mebibytes(size_bytes: int, decimals: int = 1) -> str:
    """Write a size in MiB."""
    return f"{size_bytes / (1024 * 1024):,.{decimals}f} MiB"


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode()


PROGRESS_SECONDS = 5.0


class Progress:
    """Says how far a command has come, if it has not done so for a while."""

    def __init__(self) -> None:
        self._started_at = self._reported_at = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long the command has run."""
        return time.monotonic() - self._started_at

    def report(self, line: Callable[[], str], done: int) -> None:
        """Say a line, and how many a second were done."""
        now = time.monotonic()
        if now - self._reported_at >= PROGRESS_SECONDS:
            self._reported_at = now
            click.echo(f"{line()}, {done / (now - self._started_at):,.0f} a second", err=True)
