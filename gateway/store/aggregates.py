"""Questions about many requests → SELECT statements, from the rows themselves or from rollups of them.

Each statement answers for one segment of a question's time; its first three columns are where the piece of time
starts and the two values that are grouped by, the others the sums in the order of their dataclass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache

from gateway.domain.aggregate import DAY_US, EXACT_MS, GRADE, Question, UsageSums, VerdictSums
from gateway.domain.filter import All, Is, Op
from gateway.errors import BadInput
from gateway.store.computed import IS_VERDICT, REQUEST_EXPRESSIONS, Expression
from gateway.store.dialect import Dialect
from gateway.store.filters import Query, condition
from gateway.store.operands import Operand, operand_of
from gateway.store.rollups import Segment
from gateway.store.tables import REQUESTS, Table

_MOST = 10**12
"""No request takes more tokens, microseconds or nano-dollars in earnest; so sums stay within 64 bits."""

_GREATEST = ("last_started_at_us",)
"""Columns of which not the sum is meant, but the greatest value."""

_BY_CELL = "GROUP BY 1, 2, 3"
_BY_CLASS = "GROUP BY 1, 2, 3, 4"

_MOST_TERMS = 400
"""Most statements put together as one; SQLite takes a few more."""

_LONGEST_BITS = 32
"""Durations of 2³² ms and more are one class."""


def _bounded(column: str, dialect: Dialect) -> str:
    within = f"{dialect.greatest}({dialect.least}({column}, {_MOST}), -{_MOST})"
    return f"CASE WHEN {column} IS NULL THEN 0 ELSE {within} END"


def _flag(condition: str) -> str:
    """1 where a condition holds, else 0."""
    return f"CAST({condition} AS INTEGER)"


def summed(columns: Mapping[str, str]) -> str:
    """Return the sums of columns by their names, given what of each row is summed."""
    return ", ".join(f"{'max' if name in _GREATEST else 'sum'}({sql})" for name, sql in columns.items())


@cache
def latency_class(dialect: Dialect) -> str:
    """Return the class of a request's duration, as `gateway.domain.aggregate.class_of` has it."""
    duration = f"{dialect.greatest}((ended_at_us - started_at_us) / 1000, 0)"
    exact_bits = EXACT_MS.bit_length() - 1
    steps = " ".join(
        f"WHEN {duration} < {1 << bits} THEN {duration} / {1 << bits - exact_bits} * {1 << bits - exact_bits}"
        for bits in range(exact_bits + 1, _LONGEST_BITS + 1)
    )
    return f"CASE WHEN {duration} < {EXACT_MS} THEN {duration} {steps} ELSE {1 << _LONGEST_BITS} END"


@cache
def usage_of_request(dialect: Dialect) -> Mapping[str, str]:
    """Return what a request adds to each of the `UsageSums`; of times of starts the greatest is kept."""
    return {
        "requests": "1",
        "errors": _flag(REQUEST_EXPRESSIONS["is_error"].spell(dialect)),
        "prompt_tokens": _bounded("prompt_tokens", dialect),
        "completion_tokens": _bounded("completion_tokens", dialect),
        "cached_tokens": _bounded("cached_tokens", dialect),
        "tokens_counted": _flag("prompt_tokens IS NOT NULL OR completion_tokens IS NOT NULL"),
        "cost_nanousd": _bounded("cost_nanousd", dialect),
        "priced": _flag("cost_nanousd IS NOT NULL"),
        "duration_us": _bounded("ended_at_us - started_at_us", dialect),
        "first_byte_us": _bounded("first_byte_at_us - started_at_us", dialect),
        "answered": _flag("first_byte_at_us IS NOT NULL"),
        "last_started_at_us": "started_at_us",
    }


def _total(figure: str) -> str:
    return f"coalesce(sum({figure}), 0.0)"


VERDICTS: Mapping[str, str] = {
    "entries": "count(*)",
    "judged_requests": "count(DISTINCT request_seq)",
    "scored": "count(score)",
    "positive": f"sum({_flag('score IS NOT NULL AND coalesce(grade, 0) > 0')})",
    "weight": _total("CASE WHEN score IS NULL THEN 0.0 ELSE weight END"),
    "weight_squared": _total("CASE WHEN score IS NULL THEN 0.0 ELSE weight * weight END"),
    "weighted_score": _total("weight * score"),
    "squared_weighted_score": _total("weight * weight * score"),
    "squared_weighted_square": _total("weight * weight * score * score"),
    "weighted_grade": _total("weight * grade"),
}
assert list(VERDICTS) == [field.name for field in fields(VerdictSums)]

USAGE_COLUMNS = tuple(field.name for field in fields(UsageSums))
VERDICT_COLUMNS = tuple(VERDICTS)
VERDICT_SUMS = ", ".join(VERDICTS.values())
RESUMMED_USAGE = summed({name: name for name in USAGE_COLUMNS})
RESUMMED_VERDICTS = summed({name: name for name in VERDICT_COLUMNS})

_SAID = f"""(
    SELECT request_seq, weight, score, grade FROM feedback
    WHERE request_started_at_us >= ? AND request_started_at_us < ? AND request_seq IS NOT NULL
        AND deleted_at_us IS NULL AND {IS_VERDICT}
) AS said"""
JUDGED = f"{_SAID} JOIN requests ON requests.seq = said.request_seq"
"""Entries with the requests that they count for; an original alone is no verdict. Bound to it: from when and until
when those started."""


@cache
def usage_sums(dialect: Dialect) -> str:
    """Return the `UsageSums` of requests."""
    return summed(usage_of_request(dialect))


def usage(question: Question, segment: Segment, field: str | None, dialect: Dialect) -> Query:
    """Return the statement for `UsageSums`."""
    if field is not None and segment.span_us is not None:
        return _from_rollups("usage_rollups", question, segment, field, RESUMMED_USAGE, _BY_CELL, dialect)
    return _from_requests(question, segment, usage_sums(dialect), _BY_CELL, dialect)


def verdicts(question: Question, segment: Segment, field: str | None, dialect: Dialect) -> Query:
    """Return the statement for `VerdictSums`."""
    if field is not None and segment.span_us is not None:
        return _from_rollups(
            "verdict_rollups", question, segment, field, RESUMMED_VERDICTS, _BY_CELL, dialect
        )
    start, groups = _start(question, "requests.started_at_us"), _groups(question, dialect)
    found = condition(REQUESTS, question.where, question.tenant, dialect)
    judged = _judged_by_time(dialect) if _is_short(segment) else JUDGED
    return Query(
        f"SELECT {start.sql}, {groups.sql}, {VERDICT_SUMS} FROM {judged} WHERE {found.sql} {_BY_CELL}",
        (*start.values, *groups.values, segment.from_us, segment.to_us, *found.values),
    )


def latencies(question: Question, segment: Segment, field: str | None, dialect: Dialect) -> Query:
    """Return the statement for classes of durations: after the first three columns class and number."""
    if field is not None and segment.span_us is not None:
        source = f"latency_rollups, {dialect.members('latency_rollups.classes')} AS class"
        sums = "CAST(class.key AS BIGINT), sum(CAST(class.value AS BIGINT))"
        value = "latency_rollups.value"
        return _from_rollups(source, question, segment, field, sums, _BY_CLASS, dialect, value)
    return _from_requests(question, segment, f"{latency_class(dialect)}, count(*)", _BY_CLASS, dialect)


def count_groups(
    question: Question, segments: Sequence[Segment], field: str | None, dialect: Dialect
) -> Query:
    """Return the statement for how many values there are to group by: where the piece of time starts, and their
    number. It is one for all segments, since a value may be in several."""
    if len(segments) > _MOST_TERMS:
        segments = [Segment(question.from_us, question.to_us)]
    parts = [_values(question, segment, field, dialect) for segment in segments]
    return Query(
        f"WITH found (starts_at_us, value, second) AS ({' UNION ALL '.join(part.sql for part in parts)})"
        " SELECT starts_at_us, count(DISTINCT value) FROM found WHERE value IS NOT NULL GROUP BY 1",
        tuple(value for part in parts for value in part.values),
    )


def _values(question: Question, segment: Segment, field: str | None, dialect: Dialect) -> Query:
    if field is not None and segment.span_us is not None:
        return _from_rollups("usage_rollups", question, segment, field, "", "", dialect)
    return _from_requests(question, segment, "", "", dialect)


def group_operand(name: str, dialect: Dialect) -> Operand:
    """Return what a field of requests stands for when it is grouped by.

    Raises:
        BadInput: requests have no such field.
    """
    key = name.removeprefix("metadata.")
    operand = operand_of(REQUESTS, name if key == name else f"property.{key}", dialect)
    if operand is None:
        raise BadInput(f"there is no field {name!r} to group by.", field=name)
    return operand


def request_group(name: str | None, dialect: Dialect) -> Operand:
    """Return what requests are grouped by, all as one where `name` is None. Raises BadInput like
    `group_operand`."""
    return Operand("NULL", "text") if name is None else group_operand(name, dialect)


def verdict_group(name: str | None, dialect: Dialect) -> Operand:
    """Return what verdicts are grouped by. Raises BadInput like `group_operand`."""
    return Operand("grade", "number") if name == GRADE else request_group(name, dialect)


def _groups(question: Question, dialect: Dialect) -> Query:
    """The two values that are grouped by; of requests, where it is not by the grade that verdicts give."""
    parts = verdict_group(question.group_by, dialect), request_group(question.then_by, dialect)
    return Query(", ".join(part.sql for part in parts), tuple(mark for part in parts for mark in part.values))


def _from_requests(question: Question, segment: Segment, sums: str, ending: str, dialect: Dialect) -> Query:
    start, groups = _start(question, "started_at_us"), _groups(question, dialect)
    span = (Is("started_at_us", Op.GE, segment.from_us), Is("started_at_us", Op.LT, segment.to_us))
    found = condition(REQUESTS, All((*span, question.where)), question.tenant, dialect)
    source = dialect.by_index("requests", "requests_started") if _is_short(segment) else "requests"
    return Query(
        f"SELECT {_list(start.sql, groups.sql, sums)} FROM {source} WHERE {found.sql} {ending}",
        (*start.values, *groups.values, *found.values),
    )


def _from_rollups(
    source: str,
    question: Question,
    segment: Segment,
    field: str,
    sums: str,
    ending: str,
    dialect: Dialect,
    value: str = "value",
) -> Query:
    start, split = _start(question, "starts_at_us"), _split_by(field, value, dialect)
    group = split.spell(dialect) if question.group_by is not None else "NULL"
    table = Table("rollups", columns=(), kinds={}, expressions={field: split})
    found = condition(table, question.where, question.tenant, dialect)
    return Query(
        f"SELECT {_list(start.sql, group, 'NULL', sums)} FROM {source}"
        f" WHERE span_us = ? AND field = ? AND starts_at_us >= ? AND starts_at_us < ? AND {found.sql}"
        f" {ending}",
        (*start.values, segment.span_us or 0, field, segment.from_us, segment.to_us, *found.values),
    )


def _is_short(segment: Segment) -> bool:
    return segment.to_us - segment.from_us <= DAY_US


def _judged_by_time(dialect: Dialect) -> str:
    """The same as `JUDGED` where the time is short: found by it, whatever else is asked. SQLite does not know how
    few rows are in it, and would rather go through all of a tenant."""
    return f"{_SAID} {dialect.joined_in_order} requests ON requests.seq = said.request_seq"


def _split_by(field: str, value: str, dialect: Dialect) -> Expression:
    """The one field that filters may name in rollups: that by which they are split."""
    kind = verdict_group(field or None, dialect).kind
    as_was = dialect.value_of_rollup(value, field, kind, is_whole=field != GRADE)
    return Expression(kind, lambda _: as_was)


def _start(question: Question, time: str) -> Query:
    if question.bucket_us is None:
        return Query("NULL", ())
    offset, length = question.bucket_offset_us, question.bucket_us
    return Query(f"({time} - ?) / ? * ? + ?", (offset, length, length, offset))


def _list(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
