"""Splits that queries asked for: rollups by further fields, added in the background, dropped when unasked."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import zip_longest
from typing import Any

import orjson

from gateway.models.clock import now_us
from gateway.models.ids import new_id
from gateway.models.metrics import DAY_US, HOUR_US, Measure, MetricsQuery
from gateway.store import aggregates, compare, packed_sums, rollups
from gateway.store.aggregates import VALUE_COLUMNS, Split
from gateway.store.database import Database
from gateway.store.dialect import AsyncConnection, Connection, Dialect
from gateway.store.filters import Query
from gateway.store.rows import list_from_json, list_to_json

# Most splits at a time. For a new one the one that nobody has asked for the longest goes, unless that is recent.
MAX_SPLITS = 16
_RECENT_US = 600_000_000

# When a split is dropped that nobody asks for.
KEPT_US = 7 * DAY_US

# A span with more rows of a split than so many, and than a fourth of what they stand for, is not split by it.
FEW_ROWS = 200
MAX_ROWS = 20_000

# How long a read takes at most, about, spans that are planned at a time, and splits that one statement sums up.
_STEP_SECONDS = 0.25
_PLANNED_SPANS = 100
_SPLITS_A_STATEMENT = 4

# For how long one process adds rollups while others do not.
_LEASE_US = 60_000_000

# In `fields` of a seal before a split that has too many rows there, and of a split that is being dropped.
_TOO_MANY = "-"
_DROPPED = "dropped "

_SELECT = f"SELECT split_id, fields, asked_at_us FROM rollup_splits WHERE fields NOT LIKE '{_DROPPED}%'"
_READ = f"""
SELECT split_id, fields, people_asked_at_us > ? FROM rollup_splits
WHERE fields NOT LIKE '{_DROPPED}%' ORDER BY asked_at_us DESC
"""
_FIND = "SELECT split_id FROM rollup_splits WHERE fields = ?"
_REFRESH = "UPDATE rollup_splits SET asked_at_us = ? WHERE fields = ?"
_REFRESH_PEOPLE = "UPDATE rollup_splits SET people_asked_at_us = ? WHERE fields = ?"
_ADD = """
INSERT INTO rollup_splits (split_id, fields, asked_at_us) VALUES (?, ?, ?)
ON CONFLICT (fields) DO UPDATE SET asked_at_us = excluded.asked_at_us
"""
_LEASE = """
UPDATE rollup_splits SET owner = ?, lease_until_us = ?
WHERE split_id = ? AND fields = ? AND (owner = ? OR lease_until_us < ?)
"""
_BEGIN_DROP = f"UPDATE rollup_splits SET fields = '{_DROPPED}' || split_id WHERE split_id = ?"
_SELECT_DROPPED = f"SELECT split_id FROM rollup_splits WHERE fields LIKE '{_DROPPED}%'"
_END_DROP = "DELETE FROM rollup_splits WHERE split_id = ?"
_SEAL = "SELECT ticket, fields FROM rollup_seals WHERE kind = ? AND span_us = ? AND starts_at_us = ?"
_ADD_TO_SEAL = """
UPDATE rollup_seals SET fields = ?
WHERE kind = ? AND span_us = ? AND starts_at_us = ? AND ticket = ? AND fields = ?
"""


async def find_split(
    connection: AsyncConnection, spec: MetricsQuery, kind_fields: Sequence[str]
) -> Split | None:
    """Return the split of the rollups that answer a query; None where there are none."""
    wanted = aggregates.split_fields(spec)
    if (standard := aggregates.standard_split(wanted, kind_fields)) is not None:
        return standard
    if (asked := aggregates.asked_fields(spec, kind_fields)) is None:
        return None
    found = await connection.fetch_one(_FIND, (list_to_json(asked),))
    return None if found is None else Split(found[0], asked)


async def will_be_rolled_up(
    connection: AsyncConnection, spec: MetricsQuery, split: Split | None, kind: str
) -> bool:
    """Tell whether rollups that answer a query are there or to be expected."""
    if split is None:
        asked = aggregates.asked_fields(spec, rollups.ROLLUP_KINDS[kind].fields)
        return asked is not None and len(await connection.fetch_all(_SELECT)) < MAX_SPLITS
    has_too_many = f"{connection.dialect.position_call}fields, ?) > 0"
    spans = await connection.fetch_all(
        f"SELECT DISTINCT {has_too_many} FROM rollup_seals"
        " WHERE kind = ? AND span_us = ? AND starts_at_us >= ? AND starts_at_us < ? AND fields IS NOT NULL",
        (f'"{_TOO_MANY}{split.name}"', kind, DAY_US, spec.from_us, spec.to_us),
    )
    return not spans or any(not row[0] for row in spans)


@dataclass(frozen=True, slots=True)
class _AskedSplit(Split):
    """A split that is kept; `has_people`: somebody asks what persons say by it."""

    has_people: bool


# Fields that were asked for, and whether for what persons say.
_Asked = tuple[tuple[str, ...], bool]


@dataclass(frozen=True, slots=True)
class _Gap:
    """A span that is summed up, but not by all splits."""

    kind: str
    span_us: int
    starts_at_us: int

    @property
    def place(self) -> tuple[str, int, int]:
        return self.kind, self.span_us, self.starts_at_us


@dataclass(frozen=True, slots=True)
class _Addition:
    """What is added to the rollups of a span, and its state before: generation and `fields`."""

    gap: _Gap
    generation: str
    fields: str
    # Rows of `second`, `third` and so on by split; None where they are too many.
    rows: Mapping[str, list[tuple[Any, ...]] | None]


def record_asked(connection: Connection, asked: Iterable[_Asked], at_us: int) -> None:
    """Note that splits were asked for; add those that are missing, while there is room."""
    known = {fields: (asked_at_us, split_id) for split_id, fields, asked_at_us in connection.execute(_SELECT)}
    for names, is_of_people in asked:
        fields = list_to_json(names)
        if fields in known:
            connection.execute(_REFRESH, (at_us, fields))
        elif len(known) < MAX_SPLITS or _make_room(connection, known, at_us):
            connection.execute(_ADD, (new_id(), fields, at_us))
        else:
            continue
        known[fields] = at_us, ""
        if is_of_people:
            connection.execute(_REFRESH_PEOPLE, (at_us, fields))


def _make_room(connection: Connection, known: dict[str, tuple[int, str]], at_us: int) -> bool:
    oldest = min(known, key=lambda fields: known[fields])
    asked_at_us, split_id = known[oldest]
    if asked_at_us > at_us - _RECENT_US:
        return False
    del known[oldest]
    connection.execute(_BEGIN_DROP, (split_id,))
    return True


def begin_drops(connection: Connection, at_us: int) -> None:
    """Take away the splits that nobody has asked for in `KEPT_US`."""
    for split_id, _, asked_at_us in connection.execute(_SELECT).fetchall():
        if asked_at_us < at_us - KEPT_US:
            connection.execute(_BEGIN_DROP, (split_id,))


@cache
def _strip_from_seals(dialect: Dialect) -> str:
    # An id is never the first of the list.
    return f"""
UPDATE rollup_seals SET fields = replace(replace(fields, ?, ''), ?, '')
WHERE kind = ? AND span_us = ? AND starts_at_us >= ? AND starts_at_us < ? AND {dialect.position_call}fields, ?) > 0
"""


def delete_rollups_of_split(connection: Connection, split_id: str, kind: str, day_us: int) -> None:
    """Delete what one day has of a split that is being dropped."""
    for span_us in (DAY_US, HOUR_US):
        span = (span_us, day_us, day_us + DAY_US)
        connection.execute(
            f"DELETE FROM {rollups.ROLLUP_KINDS[kind].table}"
            " WHERE span_us = ? AND starts_at_us >= ? AND starts_at_us < ? AND field = ?",
            (*span, split_id),
        )
        marks = f',"{_TOO_MANY}{split_id}"', f',"{split_id}"'
        connection.execute(_strip_from_seals(connection.dialect), (*marks, kind, *span, split_id))


def _end_drop(connection: Connection, split_id: str) -> None:
    connection.execute(_END_DROP, (split_id,))


async def _find_gaps(
    connection: AsyncConnection, splits: Sequence[_AskedSplit], only_days: bool
) -> list[_Gap]:
    gaps: list[_Gap] = []
    for kind, ids in _ids_by_kind(splits).items():
        lacks = " OR ".join([f"{connection.dialect.position_call}fields, ?) = 0"] * len(ids))
        found = await connection.fetch_all(
            "SELECT span_us, starts_at_us FROM rollup_seals WHERE kind = ? AND span_us = ?"
            f" AND fields IS NOT NULL AND ({lacks}) ORDER BY starts_at_us DESC LIMIT {_PLANNED_SPANS}",
            (kind, DAY_US if only_days else HOUR_US, *ids),
        )
        gaps += [_Gap(kind, *place) for place in found]
    # All kinds of a span together, since an answer needs them all.
    return sorted(gaps, key=lambda gap: gap.starts_at_us, reverse=True)


def _ids_by_kind(splits: Sequence[_AskedSplit]) -> dict[str, list[str]]:
    ids = {name: [split.name for split in splits if _belongs(split, name)] for name in _SOURCES}
    return {name: of_kind for name, of_kind in ids.items() if of_kind}


def _belongs(split: _AskedSplit, kind: str) -> bool:
    if kind == rollups.PEOPLE_KIND and not split.has_people:
        return False
    return not aggregates.standard_split(split.fields, rollups.ROLLUP_KINDS[kind].fields)


async def _compute(
    connection: AsyncConnection, gaps: Sequence[_Gap], splits: Sequence[_AskedSplit]
) -> list[_Addition]:
    """Sum up what some of the gaps lack, for about `_STEP_SECONDS`."""
    ends_at = time.monotonic() + _STEP_SECONDS
    await connection.begin_snapshot()
    found = []
    for gap in gaps:
        if (addition := await _compute_addition(connection, gap, splits)) is not None:
            found.append(addition)
        if time.monotonic() > ends_at:
            break
    return found


async def _compute_addition(
    connection: AsyncConnection, gap: _Gap, splits: Sequence[_AskedSplit]
) -> _Addition | None:
    seal = await connection.fetch_one(_SEAL, gap.place)
    if seal is None or seal[1] is None:
        return None
    lacking = [split for split in splits if _belongs(split, gap.kind) and split.name not in seal[1]]
    if not lacking:
        return None
    lacking = lacking[:_SPLITS_A_STATEMENT]
    query = _split_query(gap, lacking, connection.dialect)
    found: dict[str, list[tuple[Any, ...]]] = {split.name: [] for split in lacking}
    for row in await connection.fetch_all(query.sql, query.values):
        found[row[0]].append(row)
    rows = {name: of_split if _are_few(of_split) else None for name, of_split in found.items()}
    if rollups.ROLLUP_KINDS[gap.kind].is_packed:
        rows = await asyncio.to_thread(_packed, rows)
    return _Addition(gap, seal[0], seal[1], rows)


def _packed(rows: Mapping[str, list[tuple[Any, ...]] | None]) -> dict[str, list[tuple[Any, ...]] | None]:
    return {
        name: found and [(*row[:5], *packed_sums.pack(*row[5:-1]), row[-1]) for row in found]
        for name, found in rows.items()
    }


def _are_few(rows: Sequence[tuple[Any, ...]]) -> bool:
    stands_for: int = sum(row[-1] for row in rows)
    return len(rows) <= max(FEW_ROWS, min(MAX_ROWS, stands_for // rollups.MIN_REQUESTS_PER_ROW))


def _split_query(gap: _Gap, splits: Sequence[Split], dialect: Dialect) -> Query:
    fields = sorted({field for split in splits for field in split.fields})
    operands = [aggregates.group_operand(field, dialect) for field in fields]
    names = {field: f"field_{number}" for number, field in enumerate(fields)}
    columns = [f"{operand.sql} AS {name}" for operand, name in zip(operands, names.values(), strict=True)]
    source, taken, sums = _SOURCES[gap.kind](dialect)
    parts = " UNION ALL ".join(
        f"SELECT * FROM ({sums(split.name, _values(split, names, dialect))} LIMIT {MAX_ROWS + 1}) AS part"
        for split in splits
    )
    # With one split there is nothing to read twice.
    keeping = "MATERIALIZED" if len(splits) > 1 else "NOT MATERIALIZED"
    return Query(
        f"WITH found AS {keeping} (SELECT requests.tenant, {', '.join(columns)}, {taken} FROM {source}) {parts}",
        (
            *(mark for operand in operands for mark in operand.values),
            gap.starts_at_us,
            gap.starts_at_us + gap.span_us,
        ),
    )


def _values(split: Split, names: Mapping[str, str], dialect: Dialect) -> str:
    of_fields = [names[field] for field in split.fields]
    columns = zip_longest(VALUE_COLUMNS, of_fields, fillvalue="NULL")
    return ", ".join(f"{dialect.rollup_value(value)} AS {column}" for column, value in columns)


_OF_SPAN = "requests WHERE started_at_us >= ? AND started_at_us < ?"
_BY_VALUES = "GROUP BY 2, 3, 4, 5"

# Where the rows of a span are from, what is read of them, and a statement that sums them up by values of a split;
# its last column is how many requests or entries a row stands for.
_Source = tuple[str, str, Callable[[str, str], str]]


def _usage_source(dialect: Dialect) -> _Source:
    columns = ", ".join(f"{sql} AS {name}" for name, sql in aggregates.request_usage_columns(dialect).items())
    return _OF_SPAN, columns, partial(_summed, aggregates.SUMMED_USAGE)


def _feedback_source(_: Dialect) -> _Source:
    columns = "request_seq, weight, score, grade"
    return aggregates.COUNTED_FEEDBACK, columns, partial(_summed, aggregates.FEEDBACK_SUMS)


def _latency_source(dialect: Dialect) -> _Source:
    def summed(name: str, values: str) -> str:
        classes = " UNION ALL ".join(
            f"SELECT tenant, {values}, '{measure}' AS measure, {measure} AS class FROM found"
            for measure in Measure
        )
        return (
            f"SELECT '{name}', tenant, value, second, third, measure,"
            f" {dialect.json_object('class', 'number')}, sum(number)"
            " FROM (SELECT tenant, value, second, third, measure, class, count(*) AS number"
            f" FROM ({classes}) AS valued WHERE class IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6) AS numbered"
            f" {_BY_VALUES}, measure"
        )

    columns = (f"{aggregates.latency_class(dialect, measure)} AS {measure}" for measure in Measure)
    return _OF_SPAN, ", ".join(columns), summed


def _people_source(dialect: Dialect) -> _Source:
    def summed(name: str, values: str) -> str:
        return (
            f"SELECT '{name}', tenant, value, second, third, {compare.people_columns(dialect)}, sum(entries)"
            f" FROM (SELECT tenant, {values}, person, {compare.NAMED_SUMS} FROM found GROUP BY 1, 2, 3, 4, 5)"
            f" AS persons {_BY_VALUES}"
        )

    return compare.latest_entries_with_requests(dialect), ", ".join(compare.ENTRY_COLUMNS), summed


def _summed(sums: str, name: str, values: str) -> str:
    return f"SELECT '{name}', tenant, {values}, {sums}, count(*) FROM found {_BY_VALUES}"


_SOURCES: Mapping[str, Callable[[Dialect], _Source]] = {
    rollups.USAGE_KIND: _usage_source,
    rollups.LATENCY_KIND: _latency_source,
    rollups.FEEDBACK_KIND: _feedback_source,
    rollups.PEOPLE_KIND: _people_source,
}


def _store_additions(connection: Connection, additions: Sequence[_Addition]) -> int:
    """Add rollups to spans, but to those that were invalidated, and of splits that were dropped; return to how
    many."""
    kept = {row[0] for row in connection.execute(_SELECT)}
    return sum(_store_addition(connection, addition, kept) for addition in additions)


def _store_addition(connection: Connection, addition: _Addition, kept: Collection[str]) -> bool:
    gap, kind = addition.gap, rollups.ROLLUP_KINDS[addition.gap.kind]
    rows = {name: found for name, found in addition.rows.items() if name in kept}
    marks = [name if found is not None else _TOO_MANY + name for name, found in rows.items()]
    fields = orjson.dumps([*list_from_json(addition.fields), *marks]).decode()
    before = (*gap.place, addition.generation, addition.fields)
    if not connection.execute(_ADD_TO_SEAL, (fields, *before)).rowcount:
        return False
    connection.executemany(
        f"DELETE FROM {kind.table} WHERE span_us = ? AND field = ? AND starts_at_us = ?",
        [(gap.span_us, name, gap.starts_at_us) for name in rows],
    )
    columns = ("span_us", "starts_at_us", "field", "tenant", *VALUE_COLUMNS, *kind.columns)
    place = gap.span_us, gap.starts_at_us
    connection.insert(
        kind.table, columns, [(*place, *row[:-1]) for found in rows.values() for row in found or ()]
    )
    return True


class SqlSplits(Database):
    """Adds rollups for splits that are asked for, and drops them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asked: set[_Asked] = set()
        self._known: set[_Asked] = set()
        self._has_new = False
        self._on_new_split: Callable[[], None] | None = None
        self._lease_owner = new_id()

    def on_new_split(self, callback: Callable[[], None]) -> None:
        self._on_new_split = callback

    def _note_asked(self, spec: MetricsQuery, kind: str) -> None:
        asked = aggregates.asked_fields(
            aggregates.with_metadata_as_text(spec), rollups.ROLLUP_KINDS[kind].fields
        )
        # Less is counted quickly, and no rollups would cover it.
        if kind not in _SOURCES or asked is None or spec.to_us - spec.from_us < DAY_US:
            return
        wanted = asked, kind == rollups.PEOPLE_KIND
        self._asked.add(wanted)
        if wanted not in self._known:
            self._known.add(wanted)
            self._has_new = True
            if self._on_new_split is not None:
                self._on_new_split()

    async def _build_splits(self, at_us: int) -> int:
        await self._drop_splits(at_us)
        kept = 0
        while True:
            self._has_new = False
            await self._record_asked(at_us)
            # Days first, which most answers are from.
            added = await self._add_to_spans(at_us, only_days=True)
            added = added or await self._add_to_spans(at_us, only_days=False)
            kept += added
            if not added and not self._has_new:
                return kept

    async def _add_to_spans(self, at_us: int, *, only_days: bool) -> int:
        """Add what a few spans lack; return 0 where that is nothing."""
        splits = await self._primary.read(partial(_read_splits, at_us=at_us))
        gaps = (
            await self._primary.read(partial(_find_gaps, splits=splits, only_days=only_days))
            if splits
            else []
        )
        if not gaps or not (leased := await self._writer.write(partial(self._lease, splits=splits))):
            return 0
        added = 0
        while gaps and not self._has_new:
            additions = await self._primary.read(partial(_compute, gaps=gaps, splits=leased))
            if not additions:
                break
            added += await self._writer.write(partial(_store_additions, additions=additions))
            gaps = gaps[gaps.index(additions[-1].gap) + 1 :]
        return added

    def _lease(self, connection: Connection, splits: Sequence[_AskedSplit]) -> list[_AskedSplit]:
        owner, now = self._lease_owner, now_us()
        leases = (
            (owner, now + _LEASE_US, split.name, list_to_json(split.fields), owner, now) for split in splits
        )
        return [
            split
            for split, lease in zip(splits, leases, strict=True)
            if connection.execute(_LEASE, lease).rowcount
        ]

    async def _record_asked(self, at_us: int) -> None:
        if asked := self._asked:
            self._asked = set()
            # Exclusive, so that no rollups are added meanwhile to a split that goes.
            await self._writer.write(partial(record_asked, asked=asked, at_us=at_us), is_exclusive=True)
            kept = await self._primary.read(partial(_read_splits, at_us=at_us))
            self._known = {
                (split.fields, is_of_people) for split in kept for is_of_people in (False, split.has_people)
            }
            self._known |= asked

    async def _drop_splits(self, at_us: int) -> None:
        await self._record_asked(at_us)
        known = await self._primary.read(lambda connection: connection.fetch_all(_SELECT))
        if any(asked_at_us < at_us - KEPT_US for *_, asked_at_us in known):
            await self._writer.write(partial(begin_drops, at_us=at_us), is_exclusive=True)
        for (split_id,) in await self._primary.read(lambda connection: connection.fetch_all(_SELECT_DROPPED)):
            for kind in _SOURCES:
                for day_us in await self._primary.read(partial(_days_of_split, kind=kind, split_id=split_id)):
                    await self._writer.write(
                        partial(delete_rollups_of_split, split_id=split_id, kind=kind, day_us=day_us)
                    )
            await self._writer.write(partial(_end_drop, split_id=split_id))


async def _read_splits(connection: AsyncConnection, at_us: int) -> list[_AskedSplit]:
    rows = await connection.fetch_all(_READ, (at_us - KEPT_US,))
    return [
        _AskedSplit(split_id, tuple(list_from_json(fields)), bool(has_people))
        for split_id, fields, has_people in rows
    ]


async def _days_of_split(connection: AsyncConnection, kind: str, split_id: str) -> list[int]:
    starts = await connection.fetch_all(
        f"SELECT starts_at_us / {DAY_US} FROM rollup_seals WHERE kind = ?"
        f" UNION SELECT starts_at_us / {DAY_US} FROM {rollups.ROLLUP_KINDS[kind].table}"
        f" WHERE span_us IN {DAY_US, HOUR_US} AND field = ?",
        (kind, split_id),
    )
    return [day * DAY_US for (day,) in starts]
