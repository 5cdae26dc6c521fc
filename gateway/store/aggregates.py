"""SQL for sums over many requests, read from rollups where they cover the time, else from rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache

from gateway.errors import BadInput
from gateway.models import metrics
from gateway.models.filters import AllOf, Comparison, FeedbackFilter, Filter, Not, Op
from gateway.store.dialect import Dialect
from gateway.store.filters import Operand, Query, find_operand, where_clause
from gateway.store.schema import IS_COUNTED, REQUEST_EXPRESSIONS, REQUESTS, Expression, Table

# The field of a rollup that is not split by any.
NO_FIELD = ""

# Fields of requests by which rollups are split.
REQUEST_FIELDS = (
    "provider", "any_model", "endpoint", "status", "outcome", "key_name", "user", "organisation", "prompt",
    "environment", "session", "cache_status", "attempt", "client_retry",
)  # fmt: skip

# Fields that often have about as many values as there are requests.
HIGH_CARDINALITY_FIELDS = ("user", "session")

USAGE_FIELDS = (NO_FIELD, *REQUEST_FIELDS)
LATENCY_FIELDS = (NO_FIELD, "provider", "any_model", "key_name", "prompt", "environment")
FEEDBACK_FIELDS = (NO_FIELD, *REQUEST_FIELDS, metrics.GRADE_FIELD)

# Stands for all fields of a joined table: no rollup is split by one.
_OTHER_TABLE = "joined"

# Lengths of rollups in microseconds, the longest first.
SPANS = (metrics.DAY_US, metrics.HOUR_US)

# Starts of the spans that have rollups, in order, by their length.
RolledUpSpans = dict[int, list[int]]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the time of a query; rows are read where `span_us` is None, else rollups."""

    from_us: int
    to_us: int
    span_us: int | None = None


def rollup_field(spec: metrics.MetricsQuery, fields: Sequence[str]) -> str | None:
    """Return the field of the rollups that answer a query; None where there are none."""
    named = set(_filter_fields(spec.where))
    named.update(spec.groups)
    field = named.pop() if named else NO_FIELD
    return field if not named and field in fields else None


def split_segments(spec: metrics.MetricsQuery, rolled_up: RolledUpSpans) -> list[Segment]:
    """Split the time of a query into segments, in order, each with the longest rollups that fit its buckets."""
    done: list[Segment] = []
    left = [(spec.from_us, spec.to_us)] if spec.from_us < spec.to_us else []
    for span_us in SPANS:
        if spec.bucket_us is None or spec.bucket_us % span_us == spec.bucket_offset_us % span_us == 0:
            runs = [run for gap in left for run in _contiguous_runs(gap, span_us, rolled_up.get(span_us, []))]
            done += [Segment(start, end, span_us) for start, end in runs]
            left = [rest for gap in left for rest in _subtract_runs(gap, runs)]
    return sorted([*done, *(Segment(start, end) for start, end in left)], key=lambda part: part.from_us)


def spans_containing(time_us: int) -> tuple[tuple[int, int], ...]:
    """Return length and start of each span that contains a time."""
    return tuple((span_us, time_us // span_us * span_us) for span_us in SPANS)


def _filter_fields(where: Filter) -> Iterator[str]:
    if isinstance(where, Comparison):
        yield where.field
    elif isinstance(where, FeedbackFilter):
        yield _OTHER_TABLE
    else:
        for part in (where.part,) if isinstance(where, Not) else where.parts:
            yield from _filter_fields(part)


def _contiguous_runs(gap: tuple[int, int], span_us: int, starts: Iterable[int]) -> Iterator[tuple[int, int]]:
    run: tuple[int, int] | None = None
    for start in starts:
        end = start + span_us
        if start < gap[0] or end > gap[1]:
            continue
        if run is not None and run[1] == start:
            run = run[0], end
        else:
            if run is not None:
                yield run
            run = start, end
    if run is not None:
        yield run


def _subtract_runs(gap: tuple[int, int], covered: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    at = gap[0]
    for start, end in covered:
        if gap[0] <= start and end <= gap[1]:
            if at < start:
                yield at, start
            at = end
    if at < gap[1]:
        yield at, gap[1]


# No request really takes more tokens, microseconds or nano-dollars; so sums stay within 64 bits.
_MAX_SUMMED_VALUE = 10**12

# Columns that are combined by their maximum, not their sum.
_MAXIMUM_COLUMNS = ("last_started_at_us",)

_BY_GROUP = "GROUP BY 1, 2, 3"
_BY_CLASS = "GROUP BY 1, 2, 3, 4"

# SQLite's limit on the terms of a compound SELECT is a little above this.
_MOST_TERMS = 400

# Durations of 2³² ms and more are one class.
_LATENCY_BITS = 32


def _bounded(column: str, dialect: Dialect) -> str:
    within = f"{dialect.greatest}({dialect.least}({column}, {_MAX_SUMMED_VALUE}), -{_MAX_SUMMED_VALUE})"
    return f"CASE WHEN {column} IS NULL THEN 0 ELSE {within} END"


def _flag(condition: str) -> str:
    return f"CAST({condition} AS INTEGER)"


def sum_columns(columns: Mapping[str, str]) -> str:
    """Return the sums of columns, given the SQL of each column."""
    return ", ".join(f"{'max' if key in _MAXIMUM_COLUMNS else 'sum'}({sql})" for key, sql in columns.items())


@cache
def latency_class(dialect: Dialect) -> str:
    """Return the SQL of `gateway.models.metrics.latency_class`."""
    took = f"{dialect.greatest}((ended_at_us - started_at_us) / 1000, 0)"
    exact_bits = metrics.EXACT_LATENCY_MS.bit_length() - 1
    steps = " ".join(
        f"WHEN {took} < {1 << bits} THEN {took} / {1 << bits - exact_bits} * {1 << bits - exact_bits}"
        for bits in range(exact_bits + 1, _LATENCY_BITS + 1)
    )
    return f"CASE WHEN {took} < {metrics.EXACT_LATENCY_MS} THEN {took} {steps} ELSE {1 << _LATENCY_BITS} END"


@cache
def request_usage_columns(dialect: Dialect) -> Mapping[str, str]:
    """Return the SQL of what one request adds to each of the `UsageSums`."""
    return {
        "requests": "1",
        "errors": _flag(REQUEST_EXPRESSIONS["is_error"].to_sql(dialect)),
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


FEEDBACK_SUM_COLUMNS: Mapping[str, str] = {
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
assert list(FEEDBACK_SUM_COLUMNS) == [field.name for field in fields(metrics.FeedbackSums)]

USAGE_COLUMNS = tuple(field.name for field in fields(metrics.UsageSums))
FEEDBACK_COLUMNS = tuple(FEEDBACK_SUM_COLUMNS)
FEEDBACK_SUMS = ", ".join(FEEDBACK_SUM_COLUMNS.values())
SUMMED_USAGE = sum_columns({name: name for name in USAGE_COLUMNS})
SUMMED_FEEDBACK = sum_columns({name: name for name in FEEDBACK_COLUMNS})

_FEEDBACK_IN_TIME = f"""(
    SELECT request_seq, weight, score, grade FROM feedback
    WHERE request_started_at_us >= ? AND request_started_at_us < ? AND request_seq IS NOT NULL
        AND deleted_at_us IS NULL AND {IS_COUNTED}
) AS said"""
# Counted feedback with its requests; two values are bound, the first start time and the end of start times.
COUNTED_FEEDBACK = f"{_FEEDBACK_IN_TIME} JOIN requests ON requests.seq = said.request_seq"


@cache
def usage_sums(dialect: Dialect) -> str:
    return sum_columns(request_usage_columns(dialect))


def usage_query(spec: metrics.MetricsQuery, segment: Segment, field: str | None, dialect: Dialect) -> Query:
    """Select `UsageSums` by bucket and group."""
    if field is not None and segment.span_us is not None:
        return _from_rollups("usage_rollups", spec, segment, field, SUMMED_USAGE, _BY_GROUP, dialect)
    return _from_requests(spec, segment, usage_sums(dialect), _BY_GROUP, dialect)


def feedback_query(
    spec: metrics.MetricsQuery, segment: Segment, field: str | None, dialect: Dialect
) -> Query:
    """Select `FeedbackSums` by bucket and group."""
    if field is not None and segment.span_us is not None:
        return _from_rollups("verdict_rollups", spec, segment, field, SUMMED_FEEDBACK, _BY_GROUP, dialect)
    start, groups = _bucket_start(spec, "requests.started_at_us"), _group_columns(spec, dialect)
    found = where_clause(REQUESTS, spec.where, spec.tenant, dialect)
    counted = _counted_feedback_by_time(dialect) if _is_short(segment) else COUNTED_FEEDBACK
    return Query(
        f"SELECT {start.sql}, {groups.sql}, {FEEDBACK_SUMS} FROM {counted} WHERE {found.sql} {_BY_GROUP}",
        (*start.values, *groups.values, segment.from_us, segment.to_us, *found.values),
    )


def latency_query(spec: metrics.MetricsQuery, segment: Segment, field: str | None, dialect: Dialect) -> Query:
    """Select class and number of durations by bucket and group."""
    if field is not None and segment.span_us is not None:
        source = f"latency_rollups, {dialect.json_members('latency_rollups.classes')} AS class"
        sums = "CAST(class.key AS BIGINT), sum(CAST(class.value AS BIGINT))"
        value = "latency_rollups.value"
        return _from_rollups(source, spec, segment, field, sums, _BY_CLASS, dialect, value)
    return _from_requests(spec, segment, f"{latency_class(dialect)}, count(*)", _BY_CLASS, dialect)


def rolled_up_people_query(
    spec: metrics.MetricsQuery, segment: Segment, field: str, dialect: Dialect
) -> Query:
    """Select bucket, groups and sums by person as JSON."""
    return _from_rollups("people_rollups", spec, segment, field, "people", "", dialect)


def group_count_query(
    spec: metrics.MetricsQuery, segments: Sequence[Segment], field: str | None, dialect: Dialect
) -> Query:
    """Select the number of groups by bucket, in one statement, since a value may be in several segments."""
    if len(segments) > _MOST_TERMS:
        segments = [Segment(spec.from_us, spec.to_us)]
    parts = [_group_values(spec, segment, field, dialect) for segment in segments]
    return Query(
        f"WITH found (starts_at_us, value, second) AS ({' UNION ALL '.join(part.sql for part in parts)})"
        " SELECT starts_at_us, count(DISTINCT value) FROM found WHERE value IS NOT NULL GROUP BY 1",
        tuple(value for part in parts for value in part.values),
    )


def _group_values(spec: metrics.MetricsQuery, segment: Segment, field: str | None, dialect: Dialect) -> Query:
    if field is not None and segment.span_us is not None:
        return _from_rollups("usage_rollups", spec, segment, field, "", "", dialect)
    return _from_requests(spec, segment, "", "", dialect)


def group_operand(name: str, dialect: Dialect) -> Operand:
    """Return the SQL of a field to group by. Raises BadInput."""
    key = name.removeprefix("metadata.")
    operand = find_operand(REQUESTS, name if key == name else f"property.{key}", dialect)
    if operand is None:
        raise BadInput(f"there is no field {name!r} to group by.", field=name)
    return operand


def request_group(name: str | None, dialect: Dialect) -> Operand:
    """Return the SQL to group requests by. Raises BadInput."""
    return Operand("NULL", "text") if name is None else group_operand(name, dialect)


def feedback_group(name: str | None, dialect: Dialect) -> Operand:
    """Return the SQL to group feedback by. Raises BadInput."""
    return Operand("grade", "number") if name == metrics.GRADE_FIELD else request_group(name, dialect)


def _group_columns(spec: metrics.MetricsQuery, dialect: Dialect) -> Query:
    # The first may be the grade of feedback; queries of requests alone never group by it.
    parts = feedback_group(spec.group_by, dialect), request_group(spec.then_by, dialect)
    return Query(", ".join(part.sql for part in parts), tuple(mark for part in parts for mark in part.values))


def _from_requests(
    spec: metrics.MetricsQuery, segment: Segment, sums: str, ending: str, dialect: Dialect
) -> Query:
    time = "started_at_us"
    start, groups = _bucket_start(spec, time), _group_columns(spec, dialect)
    span = Comparison(time, Op.GE, segment.from_us), Comparison(time, Op.LT, segment.to_us)
    found = where_clause(REQUESTS, AllOf((*span, spec.where)), spec.tenant, dialect)
    source = dialect.with_index("requests", "requests_started") if _is_short(segment) else "requests"
    return Query(
        f"SELECT {_join_parts(start.sql, groups.sql, sums)} FROM {source} WHERE {found.sql} {ending}",
        (*start.values, *groups.values, *found.values),
    )


def _from_rollups(
    source: str,
    spec: metrics.MetricsQuery,
    segment: Segment,
    field: str,
    sums: str,
    ending: str,
    dialect: Dialect,
    value: str = "value",
) -> Query:
    start, split = _bucket_start(spec, "starts_at_us"), _rollup_expression(field, value, dialect)
    group = split.to_sql(dialect) if spec.group_by is not None else "NULL"
    table = Table("rollups", columns=(), kinds={}, expressions={field: split})
    found = where_clause(table, spec.where, spec.tenant, dialect)
    return Query(
        f"SELECT {_join_parts(start.sql, group, 'NULL', sums)} FROM {source}"
        f" WHERE span_us = ? AND field = ? AND starts_at_us >= ? AND starts_at_us < ? AND {found.sql}"
        f" {ending}",
        (*start.values, segment.span_us or 0, field, segment.from_us, segment.to_us, *found.values),
    )


def _is_short(segment: Segment) -> bool:
    return segment.to_us - segment.from_us <= metrics.DAY_US


def _counted_feedback_by_time(dialect: Dialect) -> str:
    # SQLite does not know how few rows a short time has, and would rather read all rows of a tenant.
    return f"{_FEEDBACK_IN_TIME} {dialect.ordered_join} requests ON requests.seq = said.request_seq"


def _rollup_expression(field: str, value: str, dialect: Dialect) -> Expression:
    kind = feedback_group(field or None, dialect).kind
    as_was = dialect.typed_rollup_value(value, field, kind, is_whole=field != metrics.GRADE_FIELD)
    return Expression(kind, lambda _: as_was)


def _bucket_start(spec: metrics.MetricsQuery, time: str) -> Query:
    if spec.bucket_us is None:
        return Query("NULL", ())
    offset, length = spec.bucket_offset_us, spec.bucket_us
    return Query(f"({time} - ?) / ? * ? + ?", (offset, length, length, offset))


def _join_parts(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
