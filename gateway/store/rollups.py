"""Rollups: hourly and daily sums of requests and feedback, built, invalidated and cleaned up."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson

from gateway.models.ids import new_id
from gateway.models.metrics import DAY_US, GRADE_FIELD, HOUR_US, QUARTER_DAY_US, WEEK_US, Measure
from gateway.store import aggregates, compare, packed_sums
from gateway.store.dialect import AsyncConnection, Connection, Dialect
from gateway.store.filters import Query
from gateway.store.rows import list_from_json

# Of the kind that is bound, beside its sums.
_IS_ROLLED_UP = """
SELECT 1 FROM rollup_seals AS seal
WHERE seal.kind = ? AND seal.span_us = sums.span_us AND seal.starts_at_us = sums.starts_at_us
    AND seal.fields IS NOT NULL
"""
_OF_SPAN = "FROM requests WHERE started_at_us >= ? AND started_at_us < ?"


def usage_rollup_query(from_us: int, to_us: int, dialect: Dialect) -> Query:
    columns = ", ".join(f"{sql} AS {name}" for name, sql in aggregates.request_usage_columns(dialect).items())
    few = [field for field in aggregates.REQUEST_FIELDS if field not in aggregates.HIGH_CARDINALITY_FIELDS]
    sums = ", ".join(f"{aggregates.sum_columns({name: name})} AS {name}" for name in aggregates.USAGE_COLUMNS)
    parts = " UNION ALL ".join(
        f"SELECT '{field}', tenant, {_group_value(field, dialect)}, {aggregates.SUMMED_USAGE}"
        f" FROM {'rows' if field in aggregates.HIGH_CARDINALITY_FIELDS else 'combined'} GROUP BY 2, 3"
        for field in aggregates.USAGE_FIELDS
    )
    return Query(
        f"WITH rows AS MATERIALIZED (SELECT tenant, {columns}, {_group_columns(aggregates.REQUEST_FIELDS, dialect)}"
        f" {_OF_SPAN}),"
        f" combined AS MATERIALIZED (SELECT tenant, {sums}, {_quote_fields(few)} FROM rows"
        f" GROUP BY tenant, {_quote_fields(few)}) {parts}",
        (from_us, to_us),
    )


def parts_rollup_query(kind: str, fields: Iterable[str], part_us: int, from_us: int, to_us: int) -> Query:
    """Select the sums of a span by some fields from those of its parts; packed ones a part at a time."""
    made = ROLLUP_KINDS[kind]
    is_packed = made.is_packed
    sums = (
        ", ".join(made.columns)
        if is_packed
        else aggregates.sum_columns({name: name for name in made.columns})
    )
    of_fields = ", ".join(f"'{field}'" for field in fields)
    return Query(
        f"SELECT field, tenant, value, {sums} FROM {made.table} AS sums"
        f" WHERE span_us = {part_us} AND field IN ({of_fields}) AND starts_at_us >= ? AND starts_at_us < ?"
        # Of a part whose requests are gone there may be sums that nobody deleted yet.
        f" AND EXISTS ({_IS_ROLLED_UP}) {'' if is_packed else 'GROUP BY 1, 2, 3'}",
        (from_us, to_us, kind),
    )


def user_rollup_query(from_us: int, to_us: int, dialect: Dialect) -> Query:
    of_request = aggregates.request_usage_columns(dialect)
    sums = ", ".join(f"{aggregates.sum_columns({name: sql})} AS {name}" for name, sql in of_request.items())
    columns = ", ".join(map(dialect.json_column, ('"user"', *of_request)))
    return Query(
        f"SELECT 'user', tenant, NULL, {columns} FROM ("
        f'SELECT tenant, "user", {sums} {_OF_SPAN} AND "user" IS NOT NULL GROUP BY tenant, "user"'
        ") AS users GROUP BY tenant",
        (from_us, to_us),
    )


def latency_rollup_query(from_us: int, to_us: int, dialect: Dialect) -> Query:
    fields = [field for field in aggregates.LATENCY_FIELDS if field]
    parts = " UNION ALL ".join(
        f"SELECT '{field}', tenant, value, measure, {dialect.json_object('class', 'number')} FROM ("
        f"SELECT tenant, {_group_value(field, dialect)} AS value, measure, class, sum(number) AS number"
        " FROM combined WHERE class IS NOT NULL GROUP BY 1, 2, 3, 4) AS classes GROUP BY 2, 3, 4"
        for field in aggregates.LATENCY_FIELDS
    )
    # Each by itself, since nearly every request has a pair of classes of its own.
    combined = " UNION ALL ".join(
        f"SELECT tenant, {_group_columns(fields, dialect)}, '{measure}' AS measure,"
        f" {aggregates.latency_class(dialect, measure)} AS class,"
        f" count(*) AS number {_OF_SPAN} GROUP BY tenant, {_quote_fields(fields)}, class"
        for measure in Measure
    )
    return Query(f"WITH combined AS MATERIALIZED ({combined}) {parts}", (from_us, to_us) * len(Measure))


def feedback_rollup_query(from_us: int, to_us: int, dialect: Dialect) -> Query:
    parts = " UNION ALL ".join(
        f"SELECT '{field}', tenant, {_feedback_value(field, dialect)}, {aggregates.FEEDBACK_SUMS}"
        " FROM rows GROUP BY 2, 3"
        for field in aggregates.FEEDBACK_FIELDS
    )
    return Query(
        "WITH rows AS MATERIALIZED (SELECT tenant, request_seq, weight, score, grade,"
        f" {_group_columns(aggregates.REQUEST_FIELDS, dialect)} FROM {aggregates.COUNTED_FEEDBACK}) {parts}",
        (from_us, to_us),
    )


def _group_columns(fields: Iterable[str], dialect: Dialect) -> str:
    return ", ".join(f'{aggregates.group_operand(field, dialect).sql} AS "{field}"' for field in fields)


def _quote_fields(fields: Iterable[str]) -> str:
    return ", ".join(f'"{field}"' for field in fields)


def _feedback_value(field: str, dialect: Dialect) -> str:
    return dialect.rollup_value("grade") if field == GRADE_FIELD else _group_value(field, dialect)


def _group_value(field: str, dialect: Dialect) -> str:
    return dialect.rollup_value(f'"{field}"' if field else "NULL")


USAGE_KIND = "usage"
LATENCY_KIND = "latencies"
FEEDBACK_KIND = "verdicts"
PEOPLE_KIND = "people"
USERS_KIND = "users"
# Kinds that feedback does not change.
REQUEST_KINDS = (USAGE_KIND, LATENCY_KIND, USERS_KIND)
FEEDBACK_KINDS = (FEEDBACK_KIND, PEOPLE_KIND)

# Of a field with many values a day has many rows, and a ranking of a month reads all of them; of weeks, a fourth.
WEEK_FIELDS = (aggregates.NO_FIELD, "user")

# A rollup is not split by a field if that would take more than one row for so many requests, or entries of splits.
MIN_REQUESTS_PER_ROW = 4
# Of entries fewer, since each would be read together with its request.
_MIN_ENTRIES_PER_ROW = 2
# Packed sums of a user take little room.
_MIN_REQUESTS_PER_USER = 1.25

# How long after its end a span is summed up: requests that started in it may still be running.
SETTLE_US = 600_000_000

# After this time a rollup that was started counts as abandoned.
GENERATION_TIMEOUT_US = 300_000_000


_OF_QUARTERS = {DAY_US: QUARTER_DAY_US, WEEK_US: DAY_US}


@dataclass(frozen=True, slots=True)
class RollupKind:
    """A kind of rollups: table, splitting fields, columns of sums, and statement."""

    table: str
    fields: tuple[str, ...]
    columns: tuple[str, ...]
    statement: Callable[[int, int, Dialect], Query]
    # Spans come after those that they are made of.
    spans: tuple[int, ...] = (DAY_US, HOUR_US)
    min_per_row: float = MIN_REQUESTS_PER_ROW
    week_fields: tuple[str, ...] = WEEK_FIELDS
    # Lengths of the spans that longer ones are made of.
    parts: Mapping[int, int] = field(default_factory=lambda: {WEEK_US: DAY_US})
    # Of a span there is one row for each value, with its names and their sums in columns of many numbers.
    is_packed: bool = False

    @property
    def new_sums(self) -> packed_sums.SumsByName:
        """What adds up columns that are packed."""
        maxima = (
            number for number, name in enumerate(self.columns[1:]) if name in aggregates.MAXIMUM_COLUMNS
        )
        return packed_sums.SumsByName(len(self.columns) - 1, maxima)


@dataclass(frozen=True, slots=True)
class RollupSpan:
    """A span of time to be summed up."""

    kind: str
    span_us: int
    starts_at_us: int
    generation: str


@dataclass(frozen=True, slots=True)
class Rollup:
    """The sums of a span, with the fields that split them."""

    span: RollupSpan
    fields: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]


ROLLUP_KINDS: Mapping[str, RollupKind] = {
    USAGE_KIND: RollupKind(
        "usage_rollups",
        aggregates.USAGE_FIELDS,
        aggregates.USAGE_COLUMNS,
        usage_rollup_query,
        (DAY_US, HOUR_US, WEEK_US),
    ),
    LATENCY_KIND: RollupKind(
        "latency_rollups", aggregates.LATENCY_FIELDS, ("measure", "classes"), latency_rollup_query
    ),
    FEEDBACK_KIND: RollupKind(
        "verdict_rollups",
        aggregates.FEEDBACK_FIELDS,
        aggregates.FEEDBACK_COLUMNS,
        feedback_rollup_query,
        (DAY_US, HOUR_US, WEEK_US),
        _MIN_ENTRIES_PER_ROW,
    ),
    PEOPLE_KIND: RollupKind(
        "people_rollups",
        compare.PEOPLE_FIELDS,
        compare.PEOPLE_COLUMNS,
        compare.people_rollup_query,
        compare.PEOPLE_SPANS,
        week_fields=compare.PEOPLE_FIELDS,
        parts=_OF_QUARTERS,
        is_packed=True,
    ),
    USERS_KIND: RollupKind(
        "user_rollups",
        ("user",),
        ("users", *aggregates.USAGE_COLUMNS),
        user_rollup_query,
        # A ranking adds up nearly all users in each span, and of hours there may be 46.
        (HOUR_US, QUARTER_DAY_US, DAY_US, WEEK_US),
        _MIN_REQUESTS_PER_USER,
        week_fields=("user",),
        parts=_OF_QUARTERS,
        is_packed=True,
    ),
}

_NEXT_START = "SELECT started_at_us FROM requests WHERE started_at_us >= ? ORDER BY started_at_us LIMIT 1"
_TAKEN_STARTS = """
SELECT starts_at_us FROM rollup_seals
WHERE kind = ? AND span_us = ? AND (fields IS NOT NULL OR drawn_at_us > ?)
"""
_FIELDS_OF_SPAN = "SELECT fields FROM rollup_seals WHERE kind = ? AND span_us = ? AND starts_at_us = ?"
_HAS_REQUESTS = "SELECT EXISTS (SELECT 1 FROM requests WHERE started_at_us >= ? AND started_at_us < ?)"
_IS_INTERPRETED = """
SELECT NOT EXISTS (
    SELECT 1 FROM requests WHERE interpreted_at_us IS NULL AND started_at_us >= ? AND started_at_us < ?
)
"""
_START_ROLLUP = """
INSERT INTO rollup_seals (kind, span_us, starts_at_us, ticket, drawn_at_us) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (kind, span_us, starts_at_us) DO UPDATE SET
    ticket = excluded.ticket, drawn_at_us = excluded.drawn_at_us, fields = NULL
"""
_FINISH_ROLLUP = """
UPDATE rollup_seals SET fields = ? WHERE kind = ? AND span_us = ? AND starts_at_us = ? AND ticket = ?
"""
_IS_ASKED_SPLIT = "IN (SELECT split_id FROM rollup_splits)"
_INVALIDATE = "DELETE FROM rollup_seals WHERE kind = ? AND span_us = ? AND starts_at_us = ?"


@cache
def _select_rolled_up(dialect: Dialect) -> str:
    return f"""
SELECT span_us, starts_at_us FROM rollup_seals
WHERE kind = ? AND span_us = ? AND starts_at_us > ? AND starts_at_us < ?
    AND {dialect.json_has_element("fields", "= ?")}
ORDER BY starts_at_us
"""


async def rolled_up_spans(
    connection: AsyncConnection, kind: str, field: str, from_us: int, to_us: int
) -> aggregates.RolledUpSpans:
    """Return the spans with rollups split by a field that overlap a time."""
    sql = _select_rolled_up(connection.dialect)
    spans: aggregates.RolledUpSpans = {}
    for span_us in ROLLUP_KINDS[kind].spans:
        found = await connection.fetch_all(sql, (kind, span_us, from_us - span_us, to_us, field))
        spans[span_us] = [start for _, start in found]
    return spans


async def due_spans(connection: AsyncConnection, at_us: int) -> list[tuple[str, int, int]]:
    """Return kind, length and start of the spans that are over and not summed up, the latest first."""
    return [
        (kind, span_us, start)
        for kind, made in ROLLUP_KINDS.items()
        for span_us in made.spans
        for start in reversed(await _due_starts(connection, kind, span_us, at_us))
    ]


def start_rollup(connection: Connection, kind: str, span_us: int, start: int, at_us: int) -> RollupSpan:
    """Begin a new generation of a rollup."""
    span = RollupSpan(kind, span_us, start, new_id())
    connection.execute(_START_ROLLUP, (kind, span_us, start, span.generation, at_us))
    return span


async def compute_rollup(connection: AsyncConnection, span: RollupSpan) -> Rollup | None:
    """Sum up a span; None while facts of its requests are missing."""
    bounds = span.starts_at_us, span.starts_at_us + span.span_us
    await connection.begin_snapshot()
    if not (await connection.fetch_one(_IS_INTERPRETED, bounds))[0]:
        return None
    kind = ROLLUP_KINDS[span.kind]
    query, is_of_parts = kind.statement(*bounds, connection.dialect), False
    fields = kind.week_fields if span.span_us == WEEK_US else kind.fields
    if part_us := kind.parts.get(span.span_us):
        if (of_parts := await _fields_of_parts(connection, span, part_us, fields)) is None:
            return None
        # Where parts have too many rows by a field, the whole may have few, and has few requests to sum up.
        if is_of_parts := of_parts == fields:
            query = parts_rollup_query(span.kind, fields, part_us, *bounds)
    found_rows = await connection.fetch_all(query.sql, query.values)
    if kind.is_packed:
        # Many thousand persons take long, and other callers' streams share the event loop.
        found_rows = await asyncio.to_thread(_add_up_parts if is_of_parts else _pack, kind, found_rows)
    rows: dict[str, list[tuple[Any, ...]]] = {field: [] for field in fields}
    for row in found_rows:
        if row[0] in rows:
            rows[row[0]].append((span.span_us, span.starts_at_us, *row))
    kept = {
        field: found
        for field, found in rows.items()
        if field not in aggregates.HIGH_CARDINALITY_FIELDS or _are_few(found, kind)
    }
    return Rollup(span, tuple(kept), tuple(row for found in kept.values() for row in found))


async def _fields_of_parts(
    connection: AsyncConnection, span: RollupSpan, part_us: int, fields: tuple[str, ...]
) -> tuple[str, ...] | None:
    """Return which of some fields all parts of a span are split by; None while one is not summed up."""
    for start in range(span.starts_at_us, span.starts_at_us + span.span_us, part_us):
        part = await connection.fetch_one(_FIELDS_OF_SPAN, (span.kind, part_us, start))
        if part is not None and part[0] is not None:
            of_part = list_from_json(part[0])
            fields = tuple(field for field in fields if field in of_part)
        elif (await connection.fetch_one(_HAS_REQUESTS, (start, start + part_us)))[0]:
            return None
    return fields


def store_rollup(connection: Connection, rollup: Rollup) -> bool:
    """Replace the rollup of a span unless it was invalidated meanwhile; tell whether it was stored."""
    span = rollup.span
    fields = orjson.dumps(rollup.fields).decode()
    place = (span.kind, span.span_us, span.starts_at_us, span.generation)
    if not connection.execute(_FINISH_ROLLUP, (fields, *place)).rowcount:
        return False
    kind = ROLLUP_KINDS[span.kind]
    columns = ("span_us", "starts_at_us", "field", "tenant", "value", *kind.columns)
    at = f"{kind.table} WHERE span_us = ? AND starts_at_us = ? AND field"
    connection.executemany(
        f"DELETE FROM {at} = ?", [(span.span_us, span.starts_at_us, field) for field in kind.fields]
    )
    # Of earlier rows, and perhaps of persons who were erased since.
    connection.execute(f"DELETE FROM {at} {_IS_ASKED_SPLIT}", (span.span_us, span.starts_at_us))
    connection.insert(kind.table, columns, rollup.rows)
    return True


def invalidate_rollups(connection: Connection, kinds: Iterable[str], times_us: Iterable[int]) -> None:
    """Invalidate every rollup with requests that started at these times, in the caller's transaction."""
    # Nothing from before the epoch is ever summed up.
    hours = {time_us // HOUR_US * HOUR_US for time_us in times_us if time_us >= 0}
    spans = {
        (kind, span_us, hour_us // span_us * span_us)
        for kind in kinds
        for span_us in ROLLUP_KINDS[kind].spans
        for hour_us in hours
    }
    connection.executemany(_INVALIDATE, list(spans))


def _are_few(rows: Sequence[tuple[Any, ...]], kind: RollupKind) -> bool:
    if kind.is_packed:
        requests = [packed_sums.unpack(row[6]) for row in rows]
        return sum(map(len, requests)) * kind.min_per_row <= sum(map(sum, requests))
    stands_for: int = sum(row[5] for row in rows)
    return len(rows) * kind.min_per_row <= stands_for


def _pack(_: RollupKind, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [(*row[:3], *packed_sums.pack(*row[3:])) for row in rows]


def _add_up_parts(kind: RollupKind, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    found: dict[tuple[Any, ...], packed_sums.SumsByName] = {}
    for of_field, tenant, value, names, *columns in rows:
        found.setdefault((of_field, tenant, value), kind.new_sums).add_packed(names, columns)
    return [(*place, *packed_sums.pack_columns(*sums.totals())) for place, sums in found.items()]


async def _due_starts(connection: AsyncConnection, kind: str, span_us: int, at_us: int) -> list[int]:
    found = await connection.fetch_all(_TAKEN_STARTS, (kind, span_us, at_us - GENERATION_TIMEOUT_US))
    taken = {row[0] for row in found}
    due = []
    start = await _start_of_next(connection, 0, span_us)
    while start is not None and start + span_us + SETTLE_US <= at_us:
        if start not in taken:
            due.append(start)
        following = start + span_us
        start = following if following in taken else await _start_of_next(connection, following, span_us)
    return due


async def _start_of_next(connection: AsyncConnection, from_us: int, span_us: int) -> int | None:
    row = await connection.fetch_one(_NEXT_START, (from_us,))
    return None if row is None else row[0] // span_us * span_us


@dataclass(frozen=True, slots=True)
class OrphanRollup:
    """Sums of a span without rollup state."""

    kind: str
    span_us: int
    starts_at_us: int


async def find_orphan_rollups(connection: AsyncConnection) -> list[OrphanRollup]:
    """Return the spans that have sums but no rollup state."""
    return [
        OrphanRollup(name, *place)
        for name, kind in ROLLUP_KINDS.items()
        for place in await connection.fetch_all(
            f"SELECT DISTINCT span_us, starts_at_us FROM {kind.table} AS sums"
            f" WHERE field = '{kind.fields[0]}' AND NOT EXISTS ({_IS_ROLLED_UP})",
            (name,),
        )
    ]


def delete_orphan_rollup(connection: Connection, orphan: OrphanRollup) -> None:
    """Delete the sums of a span, unless they were computed again."""
    kind = ROLLUP_KINDS[orphan.kind]
    of_fields = (
        f"DELETE FROM {kind.table} AS sums WHERE span_us = ? AND starts_at_us = ?"
        f" AND NOT EXISTS ({_IS_ROLLED_UP}) AND field"
    )
    place = (orphan.span_us, orphan.starts_at_us, orphan.kind)
    connection.executemany(f"{of_fields} = ?", [(*place, field) for field in kind.fields])
    connection.execute(f"{of_fields} {_IS_ASKED_SPLIT}", place)
