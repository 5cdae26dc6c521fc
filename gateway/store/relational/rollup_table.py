"""Making rollups, and undoing those whose rows have changed.

A span is summed up in three steps, so that nobody waits for it: a ticket is drawn for it, its rows are summed up
by a reader, and the sums are kept if the ticket is still valid. Whatever changes a row takes away ticket and seal
of the spans that it is in, in its own transaction; so a rollup never differs from its rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import orjson

from gateway.domain.aggregate import HOUR_US
from gateway.domain.ids import new_id
from gateway.store import summing
from gateway.store.aggregates import USAGE_COLUMNS, VERDICT_COLUMNS
from gateway.store.dialect import Dialect
from gateway.store.filters import Query
from gateway.store.relational.connection import Connection
from gateway.store.rollups import (
    LATENCY_FIELDS,
    MANIFOLD_FIELDS,
    SPANS,
    USAGE_FIELDS,
    VERDICT_FIELDS,
    Seals,
    spans_of,
)

USAGE = "usage"
LATENCIES = "latencies"
VERDICTS = "verdicts"
OF_REQUESTS = (USAGE, LATENCIES)
"""Kinds of sums that votes leave as they are."""

WORTHWHILE = 4
"""A field is left out of a rollup that would have more than one row for so many requests or entries."""

SETTLING_US = 600_000_000
"""How long a span has been over before it is summed up: requests that started in it may still be under way."""

TICKET_US = 300_000_000
"""After this time it is taken that whoever drew a ticket has died."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One of the kinds of rollups: its table, the fields that it is split by, the columns of its sums, and the
    statement that makes them for a span."""

    table: str
    fields: tuple[str, ...]
    columns: tuple[str, ...]
    statement: Callable[[int, int, Dialect], Query]


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of time that is to be summed up, and the ticket for it."""

    kind: str
    span_us: int
    starts_at_us: int
    ticket: str


@dataclass(frozen=True, slots=True)
class Rollup:
    """The sums of a span: the fields that it is split by, and its rows in the order of their table's columns."""

    span: Span
    fields: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


KINDS: Mapping[str, Kind] = {
    USAGE: Kind("usage_rollups", USAGE_FIELDS, USAGE_COLUMNS, summing.usage),
    LATENCIES: Kind("latency_rollups", LATENCY_FIELDS, ("classes",), summing.latencies),
    VERDICTS: Kind("verdict_rollups", VERDICT_FIELDS, VERDICT_COLUMNS, summing.verdicts),
}

_NEXT_START = "SELECT started_at_us FROM requests WHERE started_at_us >= ? ORDER BY started_at_us LIMIT 1"
_TAKEN = """
SELECT starts_at_us FROM rollup_seals
WHERE kind = ? AND span_us = ? AND (fields IS NOT NULL OR drawn_at_us > ?)
"""
_IS_INTERPRETED = """
SELECT NOT EXISTS (
    SELECT 1 FROM requests WHERE interpreted_at_us IS NULL AND started_at_us >= ? AND started_at_us < ?
)
"""
_DRAW = """
INSERT INTO rollup_seals (kind, span_us, starts_at_us, ticket, drawn_at_us) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, span_us, starts_at_us) DO UPDATE SET
    ticket = excluded.ticket, drawn_at_us = excluded.drawn_at_us, fields = NULL
"""
_SEAL = """
UPDATE rollup_seals SET fields = ? WHERE kind = ? AND span_us = ? AND starts_at_us = ? AND ticket = ?
"""
_BREAK = "DELETE FROM rollup_seals WHERE kind = ? AND span_us = ? AND starts_at_us = ?"


@cache
def _seals(dialect: Dialect) -> str:
    return f"""
SELECT span_us, starts_at_us FROM rollup_seals
WHERE kind = ? AND span_us = ? AND starts_at_us > ? AND starts_at_us < ?
    AND {dialect.has_element("fields", "= ?")}
ORDER BY starts_at_us
"""


def seals_of(connection: Connection, kind: str, field: str, from_us: int, to_us: int) -> Seals:
    """Return the spans that are summed up by a field, as far as they touch this time."""
    seals = _seals(connection.dialect)
    return {
        span_us: [
            start for _, start in connection.execute(seals, (kind, span_us, from_us - span_us, to_us, field))
        ]
        for span_us in SPANS
    }


def due_spans(connection: Connection, at_us: int) -> list[tuple[str, int, int]]:
    """Return kind, length and start of the spans that are over and are not summed up, the latest first."""
    return [
        (kind, span_us, start)
        for kind in KINDS
        for span_us in SPANS
        for start in sorted(_due(connection, kind, span_us, at_us), reverse=True)
    ]


def draw_ticket(connection: Connection, kind: str, span_us: int, start: int, at_us: int) -> Span:
    """Begin to sum up a span."""
    span = Span(kind, span_us, start, new_id())
    connection.execute(_DRAW, (kind, span_us, start, span.ticket, at_us))
    return span


def sum_up(connection: Connection, span: Span) -> Rollup | None:
    """Sum up the rows of a span. None where it must wait, since facts of some are not known yet."""
    bounds = span.starts_at_us, span.starts_at_us + span.span_us
    if not connection.execute(_IS_INTERPRETED, bounds).fetchone()[0]:
        return None
    kind = KINDS[span.kind]
    query = kind.statement(*bounds, connection.dialect)
    rows: dict[str, list[tuple[Any, ...]]] = {field: [] for field in kind.fields}
    for row in connection.execute(query.sql, query.values):
        rows[row[0]].append((span.span_us, span.starts_at_us, *row))
    kept = {
        field: found for field, found in rows.items() if field not in MANIFOLD_FIELDS or _is_worthwhile(found)
    }
    return Rollup(span, tuple(kept), tuple(row for found in kept.values() for row in found))


def keep(connection: Connection, rollup: Rollup) -> bool:
    """Keep the sums of a span instead of earlier ones, unless its rows have changed since its ticket was drawn;
    tell whether they are kept."""
    span = rollup.span
    fields = orjson.dumps(rollup.fields).decode()
    place = (span.kind, span.span_us, span.starts_at_us, span.ticket)
    if not connection.execute(_SEAL, (fields, *place)).rowcount:
        return False
    kind = KINDS[span.kind]
    columns = ("span_us", "starts_at_us", "field", "tenant", "value", *kind.columns)
    connection.executemany(
        f"DELETE FROM {kind.table} WHERE span_us = ? AND field = ? AND starts_at_us = ?",
        [(span.span_us, field, span.starts_at_us) for field in kind.fields],
    )
    connection.insert(kind.table, columns, rollup.rows)
    return True


def break_seals(connection: Connection, kinds: Iterable[str], times_us: Iterable[int]) -> None:
    """Take back the sums of every span that requests started in at one of these times, in the transaction in
    which those change."""
    # Nothing from before the epoch is ever summed up.
    hours = {time_us // HOUR_US for time_us in times_us if time_us >= 0}
    spans = {span for hour in hours for span in spans_of(hour * HOUR_US)}
    connection.executemany(_BREAK, [(kind, *span) for kind in kinds for span in spans])


def _is_worthwhile(rows: Sequence[tuple[Any, ...]]) -> bool:
    """Whether the rows of a field are few enough, by the first of their sums, which is how many they stand for."""
    stands_for: int = sum(row[5] for row in rows)
    return len(rows) * WORTHWHILE <= stands_for


def _due(connection: Connection, kind: str, span_us: int, at_us: int) -> Iterator[int]:
    taken = {row[0] for row in connection.execute(_TAKEN, (kind, span_us, at_us - TICKET_US))}
    start = _start_of_next(connection, 0, span_us)
    while start is not None and start + span_us + SETTLING_US <= at_us:
        if start not in taken:
            yield start
        following = start + span_us
        start = following if following in taken else _start_of_next(connection, following, span_us)


def _start_of_next(connection: Connection, from_us: int, span_us: int) -> int | None:
    row = connection.execute(_NEXT_START, (from_us,)).fetchone()
    return None if row is None else row[0] // span_us * span_us
