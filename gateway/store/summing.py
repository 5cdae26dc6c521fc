"""Summing up the requests of a span: the statements that fill rollups.

Each row of a result is field, tenant, value and what the rollup holds of them. Rows are read once
and first put together by all fields of few values at a time, so that most of the work is done on what little that
leaves.
"""

from __future__ import annotations

from collections.abc import Iterable

from gateway.domain.aggregate import GRADE
from gateway.store.aggregates import (
    JUDGED,
    RESUMMED_USAGE,
    USAGE_COLUMNS,
    VERDICT_SUMS,
    group_operand,
    latency_class,
    summed,
    usage_of_request,
)
from gateway.store.dialect import Dialect
from gateway.store.filters import Query
from gateway.store.rollups import (
    LATENCY_FIELDS,
    MANIFOLD_FIELDS,
    REQUEST_FIELDS,
    USAGE_FIELDS,
    VERDICT_FIELDS,
)

_OF_SPAN = "FROM requests WHERE started_at_us >= ? AND started_at_us < ?"


def usage(from_us: int, to_us: int, dialect: Dialect) -> Query:
    """Return the statement for `UsageSums`."""
    figures = ", ".join(f"{sql} AS {name}" for name, sql in usage_of_request(dialect).items())
    few = [field for field in REQUEST_FIELDS if field not in MANIFOLD_FIELDS]
    sums = ", ".join(f"{summed({name: name})} AS {name}" for name in USAGE_COLUMNS)
    parts = " UNION ALL ".join(
        f"SELECT '{field}', tenant, {_value(field, dialect)}, {RESUMMED_USAGE}"
        f" FROM {'rows' if field in MANIFOLD_FIELDS else 'combined'} GROUP BY 2, 3"
        for field in USAGE_FIELDS
    )
    return Query(
        f"WITH rows AS MATERIALIZED (SELECT tenant, {figures}, {_columns(REQUEST_FIELDS, dialect)} {_OF_SPAN}),"
        f" combined AS MATERIALIZED (SELECT tenant, {sums}, {_quoted(few)} FROM rows"
        f" GROUP BY tenant, {_quoted(few)}) {parts}",
        (from_us, to_us),
    )


def latencies(from_us: int, to_us: int, dialect: Dialect) -> Query:
    """Return the statement for classes of durations, as a JSON object of their numbers."""
    fields = [field for field in LATENCY_FIELDS if field]
    parts = " UNION ALL ".join(
        f"SELECT '{field}', tenant, value, {dialect.object_of('class', 'number')} FROM ("
        f"SELECT tenant, {_value(field, dialect)} AS value, class, sum(number) AS number"
        " FROM combined GROUP BY 1, 2, 3) AS classes GROUP BY 2, 3"
        for field in LATENCY_FIELDS
    )
    return Query(
        f"WITH combined AS MATERIALIZED (SELECT tenant, {_columns(fields, dialect)},"
        f" {latency_class(dialect)} AS class,"
        f" count(*) AS number {_OF_SPAN} GROUP BY tenant, {_quoted(fields)}, class) {parts}",
        (from_us, to_us),
    )


def verdicts(from_us: int, to_us: int, dialect: Dialect) -> Query:
    """Return the statement for the sums of `VERDICTS`."""
    parts = " UNION ALL ".join(
        f"SELECT '{field}', tenant, {_judged(field, dialect)}, {VERDICT_SUMS} FROM rows GROUP BY 2, 3"
        for field in VERDICT_FIELDS
    )
    return Query(
        "WITH rows AS MATERIALIZED (SELECT tenant, request_seq, weight, score, grade,"
        f" {_columns(REQUEST_FIELDS, dialect)} FROM {JUDGED}) {parts}",
        (from_us, to_us),
    )


def _columns(fields: Iterable[str], dialect: Dialect) -> str:
    return ", ".join(f'{group_operand(field, dialect).sql} AS "{field}"' for field in fields)


def _quoted(fields: Iterable[str]) -> str:
    return ", ".join(f'"{field}"' for field in fields)


def _judged(field: str, dialect: Dialect) -> str:
    return dialect.kept_value("grade") if field == GRADE else _value(field, dialect)


def _value(field: str, dialect: Dialect) -> str:
    return dialect.kept_value(f'"{field}"' if field else "NULL")
