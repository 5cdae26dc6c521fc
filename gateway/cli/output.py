"""Text output: aligned tables, safe and shortened cells, times, sizes, and progress on standard error."""

import select
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import click

from gateway.models.clock import to_datetime

MAX_WIDTH = 100
COLUMN_GAP = "  "
PROGRESS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; its width grows with the first rows."""

    title: str
    width: int
    # How narrow it may become by cutting cells; None: cells are never cut.
    min_width: int | None = None


@dataclass(slots=True)
class Table:
    """A table whose rows come in batches; the first batch decides the widths."""

    columns: Sequence[Column]
    _widths: list[int] = field(default_factory=list)

    def lines(self, rows: Iterable[Sequence[str]]) -> Iterator[str]:
        """Return a line for each row; before the first batch, the titles."""
        cells = [[escape_unprintable(cell).replace("\n", " ") for cell in row] for row in rows]
        if not self._widths:
            self._widths = self._fit(cells)
            yield self._line([column.title for column in self.columns])
        for row in cells:
            yield self._line(row)

    def _fit(self, rows: list[list[str]]) -> list[int]:
        widths = [max([each.width, *(len(row[at]) for row in rows)]) for at, each in enumerate(self.columns)]
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
    """Return text with control characters escaped, except line ends and tabs."""
    # They could steer the terminal.
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in "\n\t" else _escape(char) for char in text)


def print_lines(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)


def check_reader() -> None:
    """Raise BrokenPipeError where nobody reads standard output any more."""
    # Without any line to print, only this shows it.
    output = select.poll()
    output.register(sys.stdout, 0)  # which leaves hang-ups and errors
    if output.poll(0):
        raise BrokenPipeError


def format_time(time_us: int) -> str:
    """Format microseconds since the epoch as UTC, to the second."""
    return f"{to_datetime(time_us):%Y-%m-%d %H:%M:%S}"


def truncate(cell: str, width: int) -> str:
    return cell if len(cell) <= width else f"{cell[: width - 1]}…"


def format_mebibytes(size_bytes: int, decimals: int = 1) -> str:
    return f"{size_bytes / (1024 * 1024):,.{decimals}f} MiB"


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode()


class Progress:
    """Prints the progress of a command to standard error, at most every few seconds."""

    def __init__(self) -> None:
        self._started_at = self._reported_at = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started_at

    def report(self, line: Callable[[], str], done: int) -> None:
        now = time.monotonic()
        if now - self._reported_at >= PROGRESS_SECONDS:
            self._reported_at = now
            click.echo(f"{line()}, {done / (now - self._started_at):,.0f} a second", err=True)
