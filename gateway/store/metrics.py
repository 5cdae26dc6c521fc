"""Metrics of many requests and groups of them (traces, sessions)."""

import asyncio
import operator
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, Generic, TypeVar

import orjson

from gateway.errors import TooLarge
from gateway.models.feedback import Source
from gateway.models.filters import AllOf, Comparison, Filter, Op, Scalar
from gateway.models.metrics import (
    DAY_US,
    HOUR_US,
    Coverage,
    FeedbackSums,
    GroupKey,
    Latencies,
    Measure,
    MetricsQuery,
    PersonSums,
    Sums,
    UsageSums,
)
from gateway.models.trace import GroupCursor, GroupField, RequestGroup
from gateway.store import aggregates, compare, rollups
from gateway.store.dialect import AsyncConnection, Connection, Dialect
from gateway.store.filters import Query, where_clause
from gateway.store.rows import clean_text, list_from_json, list_to_json
from gateway.store.schema import IS_COUNTED, REQUEST_EXPRESSIONS, REQUESTS
from gateway.store.splits import SqlSplits, find_split, will_be_rolled_up

# Most groups of an answer; more are refused, never cut.
MAX_PARTS = 250_000

_FIRST_AND_LAST_START = """
SELECT
    (SELECT started_at_us FROM requests ORDER BY started_at_us LIMIT 1),
    (SELECT started_at_us FROM requests ORDER BY started_at_us DESC LIMIT 1)
"""

QueryBuilder = Callable[[MetricsQuery, aggregates.Segment, aggregates.Split | None, Dialect], Query]
GroupKeyFactory = Callable[[int | None, Any, Any], GroupKey]


def check_metrics_query(spec: MetricsQuery, dialect: Dialect) -> None:
    """Raise BadInput for an unknown field or a value of the wrong kind, whatever is stored."""
    where_clause(REQUESTS, spec.where, spec.tenant, dialect)
    for field in spec.groups:
        aggregates.request_group(field, dialect)


def check_feedback_query(spec: MetricsQuery, dialect: Dialect) -> None:
    """Raise BadInput like `check_metrics_query`, for a query of feedback."""
    where_clause(REQUESTS, spec.where, spec.tenant, dialect)
    aggregates.feedback_group(spec.group_by, dialect)
    aggregates.request_group(spec.then_by, dialect)


async def read_usage(connection: AsyncConnection, spec: MetricsQuery) -> dict[GroupKey, UsageSums]:
    return await _sum_groups(UsageSums, connection, spec, aggregates.usage_query, rollups.USAGE_KIND)


async def read_feedback_sums(connection: AsyncConnection, spec: MetricsQuery) -> dict[GroupKey, FeedbackSums]:
    statement, kind = aggregates.feedback_query, rollups.FEEDBACK_KIND
    return await _sum_groups(FeedbackSums, connection, spec, statement, kind)


async def read_latencies(
    connection: AsyncConnection, spec: MetricsQuery, measure: Measure = Measure.DURATION
) -> dict[GroupKey, Latencies]:
    found: dict[GroupKey, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    group_key_of = _group_key_factory(spec, connection.dialect)
    statement = partial(aggregates.latency_query, measure=measure)
    async for rows in _read_rows(connection, spec, statement, rollups.LATENCY_KIND):
        # Not in the event loop, since they may be hundreds of thousands.
        await asyncio.to_thread(_add_classes, found, rows, group_key_of)
    return {
        group_key: {int(class_ms): number for class_ms, number in classes.items()}
        for group_key, classes in found.items()
    }


def _add_classes(
    found: dict[GroupKey, dict[str, int]], rows: Iterable[tuple[Any, ...]], group_key_of: GroupKeyFactory
) -> None:
    for start, value, second, classes, *number in rows:
        of_group = found[group_key_of(start, value, second)]
        # Of rows a class and its number, of rollups a JSON object.
        for class_ms, more in ((str(classes), *number),) if number else orjson.loads(classes).items():
            of_group[class_ms] += more


async def read_group_counts(connection: AsyncConnection, spec: MetricsQuery) -> dict[GroupKey, int]:
    narrowed, segments, split = await plan_segments(connection, spec, rollups.USAGE_KIND)
    if not segments:
        return {}
    query = aggregates.group_count_query(narrowed, segments, split, connection.dialect)
    rows = await connection.fetch_all(query.sql, query.values)
    return {GroupKey(start): number for start, number in rows}


async def read_people(
    connection: AsyncConnection, spec: MetricsQuery, source: Source
) -> dict[Scalar, Mapping[str, PersonSums]]:
    narrowed, segments, split = await plan_segments(connection, spec, rollups.PEOPLE_KIND)
    group_key_of = _group_key_factory(spec, connection.dialect)
    people = compare.PeopleSums(lambda value: group_key_of(None, value, None).value)
    if source is not compare.ROLLED_UP_SOURCE:
        segments = aggregates.split_segments(narrowed, {})
    for segment in segments:
        if split is not None and segment.span_us is not None:
            table, columns = rollups.ROLLUP_KINDS[rollups.PEOPLE_KIND].table, compare.PEOPLE_COLUMNS
            query = aggregates.packed_query(table, narrowed, segment, split, columns, connection.dialect)
            rows = await connection.fetch_all(query.sql, query.values)
            # Many thousand persons a day take long to add up, and other callers' streams share the event loop.
            await asyncio.to_thread(people.add_rollups, [(value, *sums) for _, value, _, *sums in rows])
        else:
            query = compare.people_query(narrowed, source, segment, connection.dialect)
            await asyncio.to_thread(people.add_rows, await connection.fetch_all(query.sql, query.values))
    return await asyncio.to_thread(people.by_group)


async def _read_rows(
    connection: AsyncConnection,
    spec: MetricsQuery,
    statement: QueryBuilder,
    kind: str,
    limit: int | None = None,
) -> AsyncIterator[list[tuple[Any, ...]]]:
    narrowed, segments, split = await plan_segments(connection, spec, kind)
    for segment in segments:
        query = statement(narrowed, segment, split, connection.dialect)
        sql = query.sql if limit is None else f"{query.sql} LIMIT {limit}"
        yield await connection.fetch_all(sql, query.values)


# The first part of rows that is counted against a time limit, and how long a part should take.
_FIRST_PART_US = HOUR_US
_PART_SECONDS = 0.1


async def read_usage_within(
    connection: AsyncConnection, spec: MetricsQuery, seconds: float
) -> tuple[dict[GroupKey, UsageSums], Coverage]:
    """Sum up usage from the latest requests back to where the time is used up."""
    ends_at = time.monotonic() + seconds
    narrowed, segments, split = await plan_segments(connection, spec, rollups.USAGE_KIND)
    totals = _Totals(UsageSums)
    parts = _PartsBackwards(segments)
    for part in parts:
        begun = time.monotonic()
        query = aggregates.usage_query(narrowed, part, split, connection.dialect)
        rows = await connection.fetch_all(f"{query.sql} LIMIT {MAX_PARTS + 1}", query.values)
        await totals.add(rows)
        parts.note_seconds(time.monotonic() - begun)
        if time.monotonic() > ends_at:
            break
    is_rolled_up = await will_be_rolled_up(connection, narrowed, split, rollups.USAGE_KIND)
    found = totals.by_group(_group_key_factory(spec, connection.dialect))
    return found, Coverage(narrowed.from_us, narrowed.to_us, parts.covers_from_us, is_rolled_up)


class _PartsBackwards:
    """Segments from the last to the first, those of rows in parts that take about `_PART_SECONDS`."""

    def __init__(self, segments: Sequence[aggregates.Segment]) -> None:
        self._segments = list(segments)
        self._part_us = _FIRST_PART_US
        self.covers_from_us = segments[-1].to_us if segments else None

    def __iter__(self) -> Iterator[aggregates.Segment]:
        while self._segments:
            segment = self._segments.pop()
            if segment.span_us is None and segment.to_us - segment.from_us > self._part_us:
                middle = segment.to_us - self._part_us
                self._segments.append(replace(segment, to_us=middle))
                segment = replace(segment, from_us=middle)
            self.covers_from_us = segment.from_us
            yield segment

    def note_seconds(self, seconds: float) -> None:
        if seconds < _PART_SECONDS / 2:
            self._part_us *= 2
        elif seconds > _PART_SECONDS * 2:
            self._part_us = max(self._part_us // 2, 1)


# An index finds the requests of one user sooner than all that is between so many rollups.
_MANY_SEGMENTS = 8


async def plan_segments(
    connection: AsyncConnection, spec: MetricsQuery, kind: str
) -> tuple[MetricsQuery, list[aggregates.Segment], aggregates.Split | None]:
    await connection.begin_snapshot()
    narrowed = await _narrow_to_data(connection, aggregates.with_metadata_as_text(spec))
    split = await find_split(connection, narrowed, rollups.ROLLUP_KINDS[kind].fields)
    rolled_up: aggregates.RolledUpSpans = {}
    if split is not None:
        times = narrowed.from_us, narrowed.to_us
        rolled_up = await rollups.rolled_up_spans(connection, kind, split.name, *times)
    segments = aggregates.split_segments(narrowed, rolled_up)
    if len(segments) > _MANY_SEGMENTS and aggregates.names_one(narrowed.where):
        segments = aggregates.split_segments(narrowed, {})
    return narrowed, segments, split


async def _narrow_to_data(connection: AsyncConnection, spec: MetricsQuery) -> MetricsQuery:
    first, last = await connection.fetch_one(_FIRST_AND_LAST_START)
    if first is None:
        return replace(spec, to_us=spec.from_us)
    first_day, last_day = first // DAY_US * DAY_US, last // DAY_US * DAY_US
    return replace(spec, from_us=max(spec.from_us, first_day), to_us=min(spec.to_us, last_day + DAY_US))


async def _sum_groups(
    sums: type[Sums], connection: AsyncConnection, spec: MetricsQuery, statement: QueryBuilder, kind: str
) -> dict[GroupKey, Sums]:
    totals = _Totals(sums)
    rows = _read_rows(connection, spec, statement, kind, limit=MAX_PARTS + 1)
    async for of_segment in rows:
        await totals.add(of_segment)
    return totals.by_group(_group_key_factory(spec, connection.dialect))


# So many rows are not added up in the event loop, which other callers' streams share.
_MANY_ROWS = 5_000


class _Totals(Generic[Sums]):
    """Adds up rows by group. An object for each row would take several times as long."""

    def __init__(self, sums: type[Sums]) -> None:
        self._sums: type[Sums] = sums
        self._maxima = [
            place for place, field in enumerate(fields(sums)) if field.name in aggregates.MAXIMUM_COLUMNS
        ]
        self._found: dict[tuple[Any, ...], Sequence[Any]] = {}

    async def add(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if len(rows) > _MANY_ROWS:
            await asyncio.to_thread(self._add, rows)
        else:
            self._add(rows)
        if len(self._found) > MAX_PARTS:
            raise TooLarge(
                f"the answer has more than {MAX_PARTS:,} parts.",
                hint="Ask for less time, or group by a field of fewer values.",
            )

    def by_group(self, group_key_of: GroupKeyFactory) -> dict[GroupKey, Sums]:
        return {group_key_of(*key): self._sums(*values) for key, values in self._found.items()}

    def _add(self, rows: Iterable[tuple[Any, ...]]) -> None:
        found = self._found
        for row in rows:
            key, values = row[:3], row[3:]
            known = found.get(key)
            found[key] = values if known is None else self._combined(known, values)

    def _combined(self, one: Sequence[Any], other: Sequence[Any]) -> Sequence[Any]:
        combined = list(map(operator.add, one, other))
        for place in self._maxima:
            combined[place] = max(one[place], other[place])
        return combined


def _group_key_factory(spec: MetricsQuery, dialect: Dialect) -> GroupKeyFactory:
    first_kind = aggregates.feedback_group(spec.group_by, dialect).kind
    kinds = (first_kind, aggregates.request_group(spec.then_by, dialect).kind)
    if "flag" not in kinds:
        return GroupKey
    first, second = (_flag_or_none if kind == "flag" else _unchanged for kind in kinds)
    return lambda start, value, also: GroupKey(start, first(value), second(also))


def _flag_or_none(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _unchanged(value: Any) -> Any:
    return value


# Named, since a group has few rows, while the planner may choose the index of a condition with very many.
_INDEXES = {GroupField.TRACE: "requests_trace", GroupField.SESSION: "requests_session"}

# Pages of rows that are searched for groups double from the number of groups wanted up to this.
_MAX_PAGE_ROWS = 1000

LAST_SEQ = "SELECT coalesce(max(seq), 0) FROM requests"


def newest_requests_query(
    by: GroupField, where: Filter, after: GroupCursor, limit: int, tenant: str | None, dialect: Dialect
) -> Query:
    """Select `seq` and group of the next matching rows, newest first."""
    found = where_clause(REQUESTS, AllOf((Comparison("seq", Op.LT, after.seq), where)), tenant, dialect)
    return Query(
        f'SELECT seq, "{by}" FROM requests WHERE "{by}" IS NOT NULL AND {found.sql} ORDER BY seq DESC LIMIT ?',
        (*found.values, limit),
    )


def seen_before_query(
    by: GroupField, name: str, where: Filter, after: GroupCursor, tenant: str | None, dialect: Dialect
) -> Query:
    """Select whether a group has a matching row on the pages up to a cursor."""
    so_far = (Comparison("seq", Op.GE, after.seq), Comparison("seq", Op.LE, after.top))
    found = where_clause(REQUESTS, AllOf((Comparison(by, Op.EQ, name), *so_far, where)), tenant, dialect)
    return Query(f"SELECT EXISTS (SELECT 1 FROM {_indexed(by, dialect)} WHERE {found.sql})", found.values)


def group_usage_query(by: GroupField, names: Sequence[str], tenant: str | None, dialect: Dialect) -> Query:
    """Select by group: name, first start, last end, number of traces, models and users as JSON, `UsageSums`."""
    of_tenant = _tenant_clause(tenant)
    model = REQUEST_EXPRESSIONS["any_model"].to_sql(dialect)
    return Query(
        f'SELECT "{by}", min(started_at_us), max(ended_at_us), count(DISTINCT trace_id),'
        f" {dialect.json_distinct_list(model)}, {dialect.json_distinct_list('requests.user')},"
        f" {aggregates.usage_sums(dialect)}"
        f' FROM {_indexed(by, dialect)} WHERE "{by}" {dialect.in_texts("?")}{of_tenant.sql} GROUP BY 1',
        (list_to_json(names), *of_tenant.values),
    )


def group_feedback_query(by: GroupField, names: Sequence[str], tenant: str | None, dialect: Dialect) -> Query:
    """Select by group: name and `FeedbackSums`."""
    of_tenant = _tenant_clause(tenant)
    return Query(
        f'SELECT requests."{by}", {aggregates.FEEDBACK_SUMS}'
        f" FROM {_indexed(by, dialect)} JOIN feedback ON feedback.request_seq = requests.seq"
        f' WHERE requests."{by}" {dialect.in_texts("?")} AND feedback.deleted_at_us IS NULL'
        f" AND {IS_COUNTED}{of_tenant.sql} GROUP BY 1",
        (list_to_json(names), *of_tenant.values),
    )


def _indexed(by: GroupField, dialect: Dialect) -> str:
    return dialect.with_index("requests", _INDEXES[by])


def _tenant_clause(tenant: str | None) -> Query:
    return Query("", ()) if tenant is None else Query(" AND requests.tenant = ?", (clean_text(tenant),))


async def _newest_groups(
    connection: AsyncConnection,
    by: GroupField,
    where: Filter,
    after: GroupCursor | None,
    limit: int,
    tenant: str | None,
) -> list[RequestGroup]:
    await connection.begin_snapshot()
    if after is None:
        top: int = (await connection.fetch_one(LAST_SEQ))[0]
        after = GroupCursor(top, top + 1)
    places: dict[str, GroupCursor] = {}
    seen_before: set[str] = set()
    place, page_rows = after, min(max(limit, 1), _MAX_PAGE_ROWS)
    while len(places) < limit:
        query = newest_requests_query(by, where, place, page_rows, tenant, connection.dialect)
        rows = await connection.fetch_all(query.sql, query.values)
        for seq, name in rows:
            place = GroupCursor(after.top, seq)
            if name in places or name in seen_before:
                continue
            query = seen_before_query(by, name, where, after, tenant, connection.dialect)
            if after.seq <= after.top and (await connection.fetch_one(query.sql, query.values))[0]:
                seen_before.add(name)
            else:
                places[name] = place
                if len(places) == limit:
                    break
        if len(rows) < page_rows:
            break
        page_rows = min(2 * page_rows, _MAX_PAGE_ROWS)
    return await _with_metrics(connection, by, places, tenant)


async def _with_metrics(
    connection: AsyncConnection, by: GroupField, places: dict[str, GroupCursor], tenant: str | None
) -> list[RequestGroup]:
    if not places:
        return []
    query = group_feedback_query(by, list(places), tenant, connection.dialect)
    rows = await connection.fetch_all(query.sql, query.values)
    feedback = {name: FeedbackSums(*sums) for name, *sums in rows}
    query = group_usage_query(by, list(places), tenant, connection.dialect)
    rows = await connection.fetch_all(query.sql, query.values)
    groups = {
        name: RequestGroup(
            name=name,
            place=places[name],
            started_at_us=started_at_us,
            ended_at_us=ended_at_us,
            traces=traces,
            models=tuple(sorted(list_from_json(models))),
            users=tuple(sorted(list_from_json(users))),
            usage=UsageSums(*sums),
            feedback_sums=feedback.get(name, FeedbackSums()),
        )
        for name, started_at_us, ended_at_us, traces, models, users, *sums in rows
    }
    return [groups[name] for name in places]


T = TypeVar("T")


class SqlMetrics(SqlSplits):
    """Metrics, groups and rollups."""

    async def usage(self, spec: MetricsQuery) -> dict[GroupKey, UsageSums]:
        return await self._answer(read_usage, spec, rollups.USAGE_KIND)

    async def usage_within(
        self, spec: MetricsQuery, seconds: float
    ) -> tuple[dict[GroupKey, UsageSums], Coverage]:
        read = partial(read_usage_within, seconds=seconds)
        return await self._answer(read, spec, rollups.USAGE_KIND)

    async def latencies(
        self, spec: MetricsQuery, measure: Measure = Measure.DURATION
    ) -> dict[GroupKey, Latencies]:
        return await self._answer(partial(read_latencies, measure=measure), spec, rollups.LATENCY_KIND)

    async def feedback_sums(self, spec: MetricsQuery) -> dict[GroupKey, FeedbackSums]:
        return await self._answer(read_feedback_sums, spec, rollups.FEEDBACK_KIND)

    async def people(self, spec: MetricsQuery, source: Source) -> dict[Scalar, Mapping[str, PersonSums]]:
        return await self._answer(partial(read_people, source=source), spec, rollups.PEOPLE_KIND)

    async def count_groups(self, spec: MetricsQuery) -> dict[GroupKey, int]:
        return await self._answer(read_group_counts, spec, rollups.USAGE_KIND)

    async def newest_groups(
        self, by: GroupField, where: Filter, after: GroupCursor | None, limit: int, tenant: str | None
    ) -> list[RequestGroup]:
        return await self._replica.query(
            lambda connection: _newest_groups(connection, by, where, after, limit, tenant)
        )

    async def _answer(
        self, read: Callable[[AsyncConnection, MetricsQuery], Awaitable[T]], spec: MetricsQuery, kind: str
    ) -> T:
        check = check_feedback_query if kind == rollups.FEEDBACK_KIND else check_metrics_query
        check(spec, self._dialect)
        self._note_asked(spec, kind)
        return await self._replica.query(lambda connection: read(connection, spec), is_costly=True)

    async def roll_up(self, at_us: int) -> int:
        kept = 0
        for due in await self._primary.read(partial(rollups.due_spans, at_us=at_us)):
            # Exclusive, since a write that is under way would not invalidate a rollup that it does not see.
            span = await self._writer.write(partial(_start_rollup, due=due, at_us=at_us), is_exclusive=True)
            rollup = await self._primary.read(partial(rollups.compute_rollup, span=span))
            if rollup is not None:
                kept += await self._writer.write(partial(rollups.store_rollup, rollup=rollup))
        return kept + await self._build_splits(at_us)


def _start_rollup(connection: Connection, due: tuple[str, int, int], at_us: int) -> rollups.RollupSpan:
    return rollups.start_rollup(connection, *due, at_us)
