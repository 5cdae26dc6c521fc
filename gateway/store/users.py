"""Users in an order by what their requests took: added up from packed sums, or else ranked by the database."""

import asyncio
import operator
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from heapq import nsmallest
from typing import Any, TypeAlias

from gateway.models.filters import NO_FILTER, AllOf, Comparison, Filter, Op, Page
from gateway.models.metrics import DAY_US, GroupKey, MetricsQuery, UsageSums
from gateway.store import aggregates, metrics, rollups
from gateway.store.dialect import AsyncConnection, Dialect
from gateway.store.filters import Query
from gateway.store.packed_sums import Column, SumsByName, pick, read_names

_USERS = rollups.ROLLUP_KINDS[rollups.USERS_KIND]


@dataclass(frozen=True, slots=True)
class _Figure:
    """What users are ranked by: columns that are summed up, and what is made of their sums, also in SQL."""

    columns: tuple[str, ...]
    sql: str
    combine: Callable[..., Any]


def _sum(*columns: str) -> _Figure:
    return _Figure(columns, " + ".join(columns), operator.add if len(columns) > 1 else operator.pos)


def _mean(column: str) -> _Figure:
    sql = f"CAST({column} AS DOUBLE PRECISION) / requests"
    return _Figure((column, "requests"), sql, operator.truediv)


_FIGURES: Mapping[str, _Figure] = {
    "requests": _sum("requests"),
    "errors": _sum("errors"),
    "error_rate": _mean("errors"),
    "cost": _sum("cost_nanousd"),
    "tokens": _sum("prompt_tokens", "completion_tokens"),
    "latency": _mean("duration_us"),
    "last_seen": _sum("last_started_at_us"),
}


def rank_query(
    spec: MetricsQuery,
    segments: Sequence[aggregates.Segment],
    split: aggregates.Split | None,
    figure: _Figure,
    page: Page,
    descending: bool,
    dialect: Dialect,
) -> Query:
    """Select the groups of a page, in one statement, since each may be in several segments."""
    summed = _summed(spec, segments, split, figure.columns, dialect)
    return Query(
        f"SELECT value FROM ({summed.sql}) AS summed"
        f" ORDER BY {figure.sql} {'DESC' if descending else 'ASC'}, value LIMIT ? OFFSET ?",
        (*summed.values, page.limit, page.offset),
    )


def _summed(
    spec: MetricsQuery,
    segments: Sequence[aggregates.Segment],
    split: aggregates.Split | None,
    columns: Sequence[str],
    dialect: Dialect,
) -> Query:
    parts = [aggregates.usage_part(spec, part, split, columns, dialect) for part in segments]
    sums = ", ".join(f"{aggregates.sum_columns({name: name})} AS {name}" for name in columns)
    return Query(
        f"WITH found (starts_at_us, value, second, {', '.join(columns)})"
        f" AS ({' UNION ALL '.join(part.sql for part in parts)})"
        f" SELECT value, {sums} FROM found WHERE value IS NOT NULL GROUP BY value",
        tuple(value for part in parts for value in part.values),
    )


async def read_ranking(
    connection: AsyncConnection, spec: MetricsQuery, by: str, page: Page, descending: bool
) -> list[str]:
    """Return the groups of a page."""
    figure, is_meant = _FIGURES[by], _name_test(spec.where)
    if is_meant is not None and (plan := await _Plan.of(connection, spec)) is not None:
        sums = _new_sums(figure.columns)
        if await _add_up(connection, plan, figure.columns, sums):
            # Many thousand users take long, and other callers' streams share the event loop.
            return await asyncio.to_thread(_rank, sums, figure, is_meant, page, descending)
    narrowed, segments, split = await metrics.plan_segments(connection, spec, rollups.USAGE_KIND)
    if not segments:
        return []
    parts = aggregates.limit_terms(narrowed, segments)
    query = rank_query(narrowed, parts, split, figure, page, descending, connection.dialect)
    return [value for (value,) in await connection.fetch_all(query.sql, query.values)]


def _rank(
    sums: SumsByName, figure: _Figure, is_meant: "_NameTest", page: Page, descending: bool
) -> list[str]:
    names, columns = sums.totals()
    sign = -1 if descending else 1
    figures = zip(map(figure.combine, *columns), names, strict=True)
    places = ((sign * value, name) for value, name in figures if is_meant(name))
    return [name for _, name in nsmallest(page.offset + page.limit, places)[page.offset :]]


@dataclass(frozen=True, slots=True)
class _Plan:
    """The time of a query in segments, of which few requests have no packed sums."""

    spec: MetricsQuery
    segments: Sequence[aggregates.Segment]
    split: aggregates.Split

    @classmethod
    async def of(cls, connection: AsyncConnection, spec: MetricsQuery) -> "_Plan | None":
        narrowed, segments, split = await metrics.plan_segments(connection, spec, rollups.USERS_KIND)
        counted_us = sum(part.to_us - part.from_us for part in segments if part.span_us is None)
        return None if split is None or counted_us > DAY_US else cls(narrowed, segments, split)

    def packed(self, columns: Sequence[str], dialect: Dialect) -> Iterator[Query]:
        unfiltered = replace(self.spec, where=NO_FILTER)
        for part in self.segments:
            if part.span_us is not None:
                yield aggregates.packed_query(
                    _USERS.table, unfiltered, part, self.split, ("users", *columns), dialect
                )

    def counted(self, columns: Sequence[str], dialect: Dialect) -> Iterator[Query]:
        for part in self.segments:
            if part.span_us is None:
                yield _summed(self.spec, [part], None, columns, dialect)


def _new_sums(columns: Sequence[str]) -> SumsByName:
    return SumsByName(
        len(columns), (number for number, name in enumerate(columns) if name in aggregates.MAXIMUM_COLUMNS)
    )


async def _add_up(connection: AsyncConnection, plan: _Plan, columns: Sequence[str], sums: SumsByName) -> bool:
    """Add up all users; give up where they are so many that the database should do it."""
    for query in plan.packed(columns, connection.dialect):
        rows = await connection.fetch_all(query.sql, query.values)
        await asyncio.to_thread(_add_packed, sums, rows)
        if sums.size > metrics.MAX_PARTS:
            return False
    for query in plan.counted(columns, connection.dialect):
        await asyncio.to_thread(sums.add_rows, await connection.fetch_all(query.sql, query.values))
    return sums.size <= metrics.MAX_PARTS


def _add_packed(sums: SumsByName, rows: Iterable[Sequence[Any]]) -> None:
    for _, _, _, names, *columns in rows:
        sums.add_packed(names, columns)


_NameTest: TypeAlias = Callable[[str], bool]
_TESTS: Mapping[Op, Callable[[str, Any], bool]] = {
    Op.EQ: operator.eq,
    Op.GE: operator.ge,
    Op.GT: operator.gt,
    Op.LE: operator.le,
    Op.LT: operator.lt,
}


def _name_test(where: Filter) -> _NameTest | None:
    """Return what tells whether a user is meant; None where that depends on more than the name."""
    conditions: list[_NameTest] = []
    for part in _conjuncts(where):
        match part:
            case Comparison("user", Op.NE, None):
                pass
            case Comparison("user", Op.IN, tuple() as names) if None not in names:
                conditions.append(frozenset(names).__contains__)
            case Comparison("user", op, str() as name) if op in _TESTS:
                conditions.append(partial(_holds, _TESTS[op], name))
            case _:
                return None
    return lambda name: all(condition(name) for condition in conditions)


def _holds(test: Callable[[str, Any], bool], bound: str, name: str) -> bool:
    return test(name, bound)


def _conjuncts(where: Filter) -> Iterator[Filter]:
    if isinstance(where, AllOf):
        for part in where.parts:
            yield from _conjuncts(part)
    else:
        yield where


# More are added up by the database.
_MOST_NAMED = 1_000


def named_users(spec: MetricsQuery) -> list[str] | None:
    """Return the few users that a query is split by and asks for, in order; None where there are others."""
    is_meant = _name_test(spec.where)
    if is_meant is None or spec.groups != ("user",) or spec.bucket_us is not None:
        return None
    for part in _conjuncts(spec.where):
        match part:
            case Comparison("user", Op.IN, tuple() as names) if len(names) <= _MOST_NAMED:
                return sorted({str(name) for name in names if is_meant(str(name))})
    return None


async def read_usage_of_users(
    connection: AsyncConnection, spec: MetricsQuery, users: Sequence[str]
) -> dict[GroupKey, UsageSums]:
    if (plan := await _Plan.of(connection, spec)) is None:
        return await metrics.read_usage(connection, spec)
    sums = _new_sums(aggregates.USAGE_COLUMNS)
    places_in = _PlacesOf(users)
    for query in plan.packed(aggregates.USAGE_COLUMNS, connection.dialect):
        rows = await connection.fetch_all(query.sql, query.values)
        await asyncio.to_thread(_add_few, sums, rows, places_in)
    for query in plan.counted(aggregates.USAGE_COLUMNS, connection.dialect):
        sums.add_rows(await connection.fetch_all(query.sql, query.values))
    names, columns = sums.totals()
    return {GroupKey(value=name): UsageSums(*values) for name, *values in zip(names, *columns, strict=True)}


class _PlacesOf:
    """Where users are among the names of a span; these are often the same."""

    def __init__(self, users: Sequence[str]) -> None:
        self._users = users
        self._known: dict[str, tuple[list[str], list[int]]] = {}

    def __call__(self, names: str) -> tuple[list[str], list[int]]:
        if (known := self._known.get(names)) is None:
            known = self._known[names] = self._find(read_names(names))
        return known

    def _find(self, names: Sequence[str]) -> tuple[list[str], list[int]]:
        places = ((user, bisect_left(names, user)) for user in self._users)
        found = [(user, place) for user, place in places if names[place : place + 1] == [user]]
        return [user for user, _ in found], [place for _, place in found]


def _add_few(sums: SumsByName, rows: Iterable[Sequence[Any]], places_in: _PlacesOf) -> None:
    for _, _, _, names, *columns in rows:
        users, places = places_in(names)
        picked: list[Column] = [pick(column, places) for column in columns]
        sums.add_rows(list(zip(users, *picked, strict=True)))


class SqlUsers(metrics.SqlMetrics):
    """Users by what their requests took."""

    async def rank_users(self, spec: MetricsQuery, by: str, page: Page, *, descending: bool) -> list[str]:
        read = partial(read_ranking, by=by, page=page, descending=descending)
        return await self._answer(read, spec, rollups.USAGE_KIND)

    async def usage(self, spec: MetricsQuery) -> dict[GroupKey, UsageSums]:
        if (users := named_users(spec)) is None:
            return await super().usage(spec)
        read = partial(read_usage_of_users, users=users)
        return await self._answer(read, spec, rollups.USAGE_KIND)
