"""Answering questions about many requests: segment by segment, added up."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from typing import Any

from gateway.domain.aggregate import DAY_US, Cell, Latencies, Question, Sums, UsageSums, VerdictSums
from gateway.errors import TooLarge
from gateway.store import aggregates
from gateway.store.aggregates import request_group, verdict_group
from gateway.store.dialect import Dialect
from gateway.store.filters import Query, condition
from gateway.store.relational.connection import Connection
from gateway.store.relational.rollup_table import LATENCIES, USAGE, VERDICTS, seals_of
from gateway.store.rollups import (
    LATENCY_FIELDS,
    USAGE_FIELDS,
    VERDICT_FIELDS,
    Segment,
    field_of,
    segments_of,
)
from gateway.store.tables import REQUESTS

MAX_PARTS = 250_000
"""Most parts of an answer; more are refused, never cut."""

_FIRST_AND_LAST = """
SELECT
    (SELECT started_at_us FROM requests ORDER BY started_at_us LIMIT 1),
    (SELECT started_at_us FROM requests ORDER BY started_at_us DESC LIMIT 1)
"""

Statement = Callable[[Question, Segment, str | None, Dialect], Query]
CellOf = Callable[[int | None, Any, Any], Cell]


def refuse_unanswerable(question: Question, dialect: Dialect) -> None:
    """Raise BadInput for a field or a value that no request can be asked for, whatever is stored."""
    condition(REQUESTS, question.where, question.tenant, dialect)
    for field in question.groups:
        request_group(field, dialect)


def refuse_unanswerable_of_verdicts(question: Question, dialect: Dialect) -> None:
    """Raise BadInput for a field or a value that no verdict can be asked for, whatever is stored."""
    condition(REQUESTS, question.where, question.tenant, dialect)
    verdict_group(question.group_by, dialect)
    request_group(question.then_by, dialect)


def usage(connection: Connection, question: Question) -> dict[Cell, UsageSums]:
    """Return what requests took."""
    rows = _rows(connection, question, aggregates.usage, USAGE, USAGE_FIELDS)
    return _added_up(UsageSums, _cells(question, connection.dialect), rows)


def verdicts(connection: Connection, question: Question) -> dict[Cell, VerdictSums]:
    """Return what was said of requests."""
    rows = _rows(connection, question, aggregates.verdicts, VERDICTS, VERDICT_FIELDS)
    return _added_up(VerdictSums, _cells(question, connection.dialect), rows)


def latencies(connection: Connection, question: Question) -> dict[Cell, Latencies]:
    """Return how many requests took how long."""
    found: dict[Cell, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    cell_of = _cells(question, connection.dialect)
    for *cell, class_ms, number in _rows(
        connection, question, aggregates.latencies, LATENCIES, LATENCY_FIELDS
    ):
        found[cell_of(*cell)][class_ms] += number
    return {cell: dict(classes) for cell, classes in found.items()}


def count_groups(connection: Connection, question: Question) -> dict[Cell, int]:
    """Return how many values of the field that is grouped by there are, apart from none."""
    asked, segments, field = _plan(connection, question, USAGE, USAGE_FIELDS)
    if not segments:
        return {}
    query = aggregates.count_groups(asked, segments, field, connection.dialect)
    return {Cell(start): number for start, number in connection.execute(query.sql, query.values)}


def _rows(
    connection: Connection, question: Question, statement: Statement, kind: str, fields: Sequence[str]
) -> Generator[tuple[Any, ...]]:
    asked, segments, field = _plan(connection, question, kind, fields)
    for segment in segments:
        query = statement(asked, segment, field, connection.dialect)
        yield from connection.execute(query.sql, query.values)


def _plan(
    connection: Connection, question: Question, kind: str, fields: Sequence[str]
) -> tuple[Question, list[Segment], str | None]:
    """The question for no more time than there is something in, the segments of it, and the rollups to ask."""
    asked = _narrowed(connection, question)
    field = field_of(asked, fields)
    seals = seals_of(connection, kind, field, asked.from_us, asked.to_us) if field is not None else {}
    return asked, segments_of(asked, seals), field


def _narrowed(connection: Connection, question: Question) -> Question:
    """The question for no more days than there are requests in."""
    first, last = connection.execute(_FIRST_AND_LAST).fetchone()
    if first is None:
        return replace(question, to_us=question.from_us)
    first_day, last_day = first // DAY_US * DAY_US, last // DAY_US * DAY_US
    return replace(
        question, from_us=max(question.from_us, first_day), to_us=min(question.to_us, last_day + DAY_US)
    )


def _added_up(sums: type[Sums], cell_of: CellOf, rows: Generator[tuple[Any, ...]]) -> dict[Cell, Sums]:
    found: dict[Cell, Sums] = {}
    # What is left unread must not hold the connection to a snapshot that grows old.
    with contextlib.closing(rows):
        for start, value, second, *figures in rows:
            cell, more = cell_of(start, value, second), sums(*figures)
            found[cell] = found[cell] + more if cell in found else more
            if len(found) > MAX_PARTS:
                raise TooLarge(
                    f"the answer has more than {MAX_PARTS:,} parts.",
                    hint="Ask for less time, or group by a field of fewer values.",
                )
    return found


def _cells(question: Question, dialect: Dialect) -> CellOf:
    """What makes the cell of a row from its first three columns."""
    kinds = verdict_group(question.group_by, dialect).kind, request_group(question.then_by, dialect).kind
    if "flag" not in kinds:
        return Cell
    first, second = (_flag_or_none if kind == "flag" else _as_it_is for kind in kinds)
    return lambda start, value, also: Cell(start, first(value), second(also))


def _flag_or_none(value: Any) -> bool | None:
    return None if value is None else bool(value)


def _as_it_is(value: Any) -> Any:
    return value
