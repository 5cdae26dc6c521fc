"""SQL for sums over many requests, read from rollups where they cover the time, else from rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache

import orjson

from gateway.errors import BadInput
from gateway.models import metrics
from gateway.models.columns import GROUP
from gateway.models.filters import AllOf, AnyOf, Comparison, FeedbackFilter, Filter, Not, Op, Scalar
from gateway.models.request import REQUEST_COLUMNS
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
SPANS = (metrics.WEEK_US, metrics.DAY_US, metrics.QUARTER_DAY_US, metrics.HOUR_US)

# Starts of the spans that have rollups, in order, by their length.
RolledUpSpans = dict[int, list[int]]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of the time of a query; rows are read where `span_us` is None, else rollups."""

    from_us: int
    to_us: int
    span_us: int | None = None


@dataclass(frozen=True, slots=True)
class Split:
    """Fields that rollups are split by, in the order of their columns, and what their `field` is."""

    name: str
    fields: tuple[str, ...]


# Columns of rollups with the values of the fields of a split.
VALUE_COLUMNS = ("value", "second", "third")

# By these and by metadata rollups are split where queries ask for it.
_COLUMNS_TO_SPLIT_BY = {"any_model", "model"} | {
    column.name for column in REQUEST_COLUMNS if column.uses & GROUP
}
_LONGEST_KEY = 200
_METADATA, _PROPERTY = "metadata.", "property."


def split_fields(spec: metrics.MetricsQuery) -> tuple[str, ...] | None:
    """Return the fields of the rollups that could answer a query; None where none could."""
    # Groups of metadata are by its text, unlike conditions on it.
    named = {*_filter_fields(spec.where), *map(_as_property_name, spec.groups)}
    if len(named) > len(VALUE_COLUMNS):
        return None
    if named == {metrics.GRADE_FIELD} or all(map(_may_split, named)):
        return tuple(sorted(named))
    return None


def standard_split(wanted: tuple[str, ...] | None, fields: Sequence[str]) -> Split | None:
    """Return the split of rollups that are always made, given the fields that these are split by."""
    if wanted is None or len(wanted) > 1:
        return None
    name = wanted[0] if wanted else NO_FIELD
    return Split(name, wanted) if name in fields else None


def asked_fields(spec: metrics.MetricsQuery, fields: Sequence[str]) -> tuple[str, ...] | None:
    """Return the fields to split rollups by for a query, besides those that they are always split by."""
    wanted = split_fields(spec)
    if not wanted or metrics.GRADE_FIELD in wanted or standard_split(wanted, fields):
        return None
    return wanted


def with_metadata_as_text(spec: metrics.MetricsQuery) -> metrics.MetricsQuery:
    """Return the same query with conditions on metadata as rollups can answer them, where there are such."""
    return replace(spec, where=_as_text(spec.where))


def _may_split(name: str) -> bool:
    return name in _COLUMNS_TO_SPLIT_BY or (name.startswith(_PROPERTY) and len(name) <= _LONGEST_KEY)


def _as_property_name(name: str) -> str:
    return _PROPERTY + name.removeprefix(_METADATA) if name.startswith(_METADATA) else name


def _as_text(where: Filter) -> Filter:
    if isinstance(where, Comparison):
        return _comparison_as_text(where)
    if isinstance(where, FeedbackFilter):
        return where
    if isinstance(where, Not):
        return Not(_as_text(where.part))
    if isinstance(where, AnyOf):
        return _flag_as_text(where) or AnyOf(tuple(map(_as_text, where.parts)))
    return AllOf(tuple(map(_as_text, where.parts)))


def _comparison_as_text(condition: Comparison) -> Comparison:
    if not condition.field.startswith(_METADATA) or condition.op not in (Op.EQ, Op.NE, Op.IN):
        return condition
    values = condition.value if isinstance(condition.value, tuple) else (condition.value,)
    if not all(value is None or _is_only_text(value) for value in values):
        return condition
    return replace(condition, field=_as_property_name(condition.field))


def _flag_as_text(where: AnyOf) -> Comparison | None:
    # What a filter of the API makes of `true` and `false`.
    match where.parts:
        case (Comparison(name, Op.EQ, str() as text), Comparison(other, Op.EQ, bool() as flag)):
            if name == other and name.startswith(_METADATA) and text == str(flag).lower():
                return Comparison(_as_property_name(name), Op.EQ, text)
    return None


def _is_only_text(value: Scalar) -> bool:
    """Tell whether no number, flag, list or object is this as text."""
    if not isinstance(value, str):
        return False
    try:
        orjson.loads(value)
    except ValueError:
        return True
    return False


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
MAXIMUM_COLUMNS = ("last_started_at_us",)

_BY_GROUP = "GROUP BY 1, 2, 3"
_BY_CLASS = "GROUP BY 1, 2, 3, 4"

# SQLite's limit on the terms of a compound SELECT is a little above this.
_MOST_TERMS = 400

# A condition with so many values narrows feedback less than its time does.
_MANY_VALUES = 10

# Durations of 2³² ms and more are one class.
_LATENCY_BITS = 32


def _bounded(column: str, dialect: Dialect) -> str:
    within = f"{dialect.greatest}({dialect.least}({column}, {_MAX_SUMMED_VALUE}), -{_MAX_SUMMED_VALUE})"
    return f"CASE WHEN {column} IS NULL THEN 0 ELSE {within} END"


def _flag(condition: str) -> str:
    return f"CAST({condition} AS INTEGER)"


def sum_columns(columns: Mapping[str, str]) -> str:
    """Return the sums of columns, given the SQL of each column."""
    return ", ".join(f"{'max' if key in MAXIMUM_COLUMNS else 'sum'}({sql})" for key, sql in columns.items())


# Columns with the end of what is measured.
_ENDS = {metrics.Measure.DURATION: "ended_at_us", metrics.Measure.FIRST_BYTE: "first_byte_at_us"}


@cache
def latency_class(dialect: Dialect, measure: metrics.Measure = metrics.Measure.DURATION) -> str:
    """Return the SQL of `gateway.models.metrics.latency_class`; null for a request without such a time."""
    end = _ENDS[measure]
    took = f"{dialect.greatest}(({end} - started_at_us) / 1000, 0)"
    exact_bits = metrics.EXACT_LATENCY_MS.bit_length() - 1
    steps = " ".join(
        f"WHEN {took} < {1 << bits} THEN {took} / {1 << bits - exact_bits} * {1 << bits - exact_bits}"
        for bits in range(exact_bits + 1, _LATENCY_BITS + 1)
    )
    exact = f"WHEN {end} IS NULL THEN NULL WHEN {took} < {metrics.EXACT_LATENCY_MS} THEN {took}"
    return f"CASE {exact} {steps} ELSE {1 << _LATENCY_BITS} END"


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


def usage_query(spec: metrics.MetricsQuery, segment: Segment, split: Split | None, dialect: Dialect) -> Query:
    """Select `UsageSums` by bucket and group."""
    if split is not None and segment.span_us is not None:
        return _from_rollups("usage_rollups", spec, segment, split, SUMMED_USAGE, _BY_GROUP, dialect)
    return _from_requests(spec, segment, usage_sums(dialect), _BY_GROUP, dialect)


def feedback_query(
    spec: metrics.MetricsQuery, segment: Segment, split: Split | None, dialect: Dialect
) -> Query:
    """Select `FeedbackSums` by bucket and group."""
    if split is not None and segment.span_us is not None:
        return _from_rollups("verdict_rollups", spec, segment, split, SUMMED_FEEDBACK, _BY_GROUP, dialect)
    start, groups = _bucket_start(spec, "requests.started_at_us"), _group_columns(spec, dialect)
    found = where_clause(REQUESTS, spec.where, spec.tenant, dialect)
    is_by_time = _is_short(segment) or _names_many(spec.where)
    counted = _counted_feedback_by_time(dialect) if is_by_time else COUNTED_FEEDBACK
    return Query(
        f"SELECT {start.sql}, {groups.sql}, {FEEDBACK_SUMS} FROM {counted} WHERE {found.sql} {_BY_GROUP}",
        (*start.values, *groups.values, segment.from_us, segment.to_us, *found.values),
    )


def latency_query(
    spec: metrics.MetricsQuery,
    segment: Segment,
    split: Split | None,
    dialect: Dialect,
    measure: metrics.Measure = metrics.Measure.DURATION,
) -> Query:
    """Select by bucket and group the class and number of durations; from rollups the numbers of classes as JSON."""
    if split is not None and segment.span_us is not None:
        # Not taken apart here, which takes a database several times as long.
        of_measure = f"AND measure = '{measure}'"
        return _from_rollups("latency_rollups", spec, segment, split, "classes", of_measure, dialect)
    measured = replace(spec, where=AllOf((Comparison(_ENDS[measure], Op.NE, None), spec.where)))
    return _from_requests(
        measured, segment, f"{latency_class(dialect, measure)}, count(*)", _BY_CLASS, dialect
    )


def packed_query(
    table: str,
    spec: metrics.MetricsQuery,
    segment: Segment,
    split: Split,
    columns: Sequence[str],
    dialect: Dialect,
) -> Query:
    """Select bucket, groups and packed columns of each rollup."""
    return _from_rollups(table, spec, segment, split, ", ".join(columns), "", dialect)


def group_count_query(
    spec: metrics.MetricsQuery, segments: Sequence[Segment], split: Split | None, dialect: Dialect
) -> Query:
    """Select the number of groups by bucket, in one statement, since a value may be in several segments."""
    parts = [usage_part(spec, part, split, (), dialect) for part in limit_terms(spec, segments)]
    return Query(
        f"WITH found (starts_at_us, value, second) AS ({' UNION ALL '.join(part.sql for part in parts)})"
        " SELECT starts_at_us, count(DISTINCT value) FROM found WHERE value IS NOT NULL GROUP BY 1",
        tuple(value for part in parts for value in part.values),
    )


def limit_terms(spec: metrics.MetricsQuery, segments: Sequence[Segment]) -> Sequence[Segment]:
    """Return segments that one statement may read."""
    return segments if len(segments) <= _MOST_TERMS else [Segment(spec.from_us, spec.to_us)]


def usage_part(
    spec: metrics.MetricsQuery,
    segment: Segment,
    split: Split | None,
    columns: Sequence[str],
    dialect: Dialect,
) -> Query:
    """Select bucket, groups and some columns of `UsageSums` of each rollup or request, not summed up."""
    if split is not None and segment.span_us is not None:
        return _from_rollups("usage_rollups", spec, segment, split, ", ".join(columns), "", dialect)
    of_request = request_usage_columns(dialect)
    return _from_requests(spec, segment, ", ".join(of_request[name] for name in columns), "", dialect)


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
    table: str,
    spec: metrics.MetricsQuery,
    segment: Segment,
    split: Split,
    sums: str,
    ending: str,
    dialect: Dialect,
) -> Query:
    start = _bucket_start(spec, "starts_at_us")
    values = {
        field: _rollup_expression(split, field, f"{table}.{column}", dialect)
        for field, column in zip(split.fields, VALUE_COLUMNS, strict=False)
    }
    groups = (
        "NULL" if name is None else values[_as_property_name(name)].to_sql(dialect)
        for name in (spec.group_by, spec.then_by)
    )
    searched = Table("rollups", columns=(), kinds={}, expressions=values)
    found = where_clause(searched, spec.where, spec.tenant, dialect)
    return Query(
        f"SELECT {_join_parts(start.sql, *groups, sums)} FROM {table}"
        f" WHERE span_us = ? AND field = ? AND starts_at_us >= ? AND starts_at_us < ? AND {found.sql}"
        f" {ending}",
        (*start.values, segment.span_us or 0, split.name, segment.from_us, segment.to_us, *found.values),
    )


def _is_short(segment: Segment) -> bool:
    return segment.to_us - segment.from_us <= metrics.DAY_US


def _names_many(where: Filter) -> bool:
    # All requests of so many users or models are more than the feedback of a time.
    if isinstance(where, Comparison):
        return isinstance(where.value, tuple) and len(where.value) >= _MANY_VALUES
    return isinstance(where, AllOf) and any(map(_names_many, where.parts))


def names_one(where: Filter) -> bool:
    """Tell whether a condition is met by the requests of one user or session only."""
    if isinstance(where, Comparison):
        return where.field in HIGH_CARDINALITY_FIELDS and where.op is Op.EQ and where.value is not None
    return isinstance(where, AllOf) and any(map(names_one, where.parts))


def _counted_feedback_by_time(dialect: Dialect) -> str:
    # SQLite does not know how few rows a time has, and would rather read all rows of a tenant.
    return f"{_FEEDBACK_IN_TIME} {dialect.ordered_join} requests ON requests.seq = said.request_seq"


def _rollup_expression(split: Split, field: str, column: str, dialect: Dialect) -> Expression:
    kind = feedback_group(field, dialect).kind
    as_was = dialect.typed_rollup_value(column, split.name, kind, is_whole=field != metrics.GRADE_FIELD)
    return Expression(kind, lambda _: as_was)


def _bucket_start(spec: metrics.MetricsQuery, time: str) -> Query:
    if spec.bucket_us is None:
        return Query("NULL", ())
    offset, length = spec.bucket_offset_us, spec.bucket_us
    return Query(f"({time} - ?) / ? * ? + ?", (offset, length, length, offset))


def _join_parts(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
