"""Conditions that a filter implies and indexes support: what finds its candidates first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.models.feedback import Target
from gateway.models.filters import AllOf, Comparison, FeedbackFilter, Filter, Op
from gateway.models.reviews import ReviewState
from gateway.store import schema
from gateway.store.dialect import AsyncConnection, Dialect
from gateway.store.filters import where_clause
from gateway.store.rows import clean_text, list_to_json

# More entries or rows than this are not looked up one by one.
MOST_ENTRIES = 2_000
MOST_ROWS = 10_000

_AT_MOST = (Op.LT, Op.LE, Op.EQ)
_AT_LEAST = (Op.GT, Op.GE, Op.EQ)
_IS_POSITIVE, _IS_NEGATIVE, _HAS_REQUEST = "score > 0", "score < 0", "request_seq IS NOT NULL"
_IS_REVIEWED, _IS_RESERVED = (f"state = '{state}'" for state in (ReviewState.REVIEWED, ReviewState.RESERVED))
_ID_COLUMNS = {Target.REQUEST: "request_id", Target.TRACE: "trace_id", Target.SESSION: "session"}


@dataclass(frozen=True, slots=True)
class RequestPrefilter:
    """A condition on each matching request, which few requests fulfil."""

    sql: str
    values: tuple[str | int | float, ...]


@dataclass(frozen=True, slots=True)
class ReviewPrefilter:
    """A condition on the review of each matching request."""

    sql: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedbackPrefilter:
    """A condition that some feedback on each matching request fulfils, counted for it if `is_counted`."""

    sql: str
    values: tuple[str | int | float, ...] = ()
    is_counted: bool = False


def prefilters(where: Filter, dialect: Dialect) -> tuple[FeedbackPrefilter | ReviewPrefilter, ...]:
    """Return the conditions on feedback and reviews that a filter implies, as far as indexes support them."""
    conditions = list(_required_conditions(where))
    # A part of a list that is walked back is narrow enough.
    if any(isinstance(each, Comparison) and each.field == "seq" and each.op is Op.GT for each in conditions):
        return ()
    return tuple(
        prefilter for condition in conditions if (prefilter := _prefilter(condition, dialect)) is not None
    )


def request_prefilters(where: Filter, dialect: Dialect) -> tuple[RequestPrefilter | ReviewPrefilter, ...]:
    """Return the conditions on the counted request, and on its review, that a filter of feedback implies."""
    return tuple(
        prefilter
        for joined in _required_conditions(where)
        if isinstance(joined, FeedbackFilter)
        for condition in _required_conditions(joined.part)
        if (prefilter := _request_prefilter(condition, dialect)) is not None
    )


async def find_candidate_seqs(
    connection: AsyncConnection, implied: Sequence[FeedbackPrefilter | RequestPrefilter | ReviewPrefilter]
) -> list[int] | None:
    """Return `seq`s that include every match of a filter with these prefilters; None if there are many."""
    for prefilter in implied:
        if isinstance(prefilter, ReviewPrefilter):
            seqs = await _reviewed_seqs(connection, prefilter)
        elif isinstance(prefilter, RequestPrefilter):
            seqs = await _request_seqs(connection, prefilter)
        elif prefilter.is_counted:
            seqs = await _counted_seqs(connection, prefilter)
        else:
            seqs = await _seqs_by_ids(connection, prefilter)
        if seqs is not None:
            return seqs
    return None


def _required_conditions(where: Filter) -> Iterator[Comparison | FeedbackFilter]:
    if isinstance(where, Comparison | FeedbackFilter):
        yield where
    elif isinstance(where, AllOf):
        for part in where.parts:
            yield from _required_conditions(part)


def _prefilter(
    required: Comparison | FeedbackFilter, dialect: Dialect
) -> FeedbackPrefilter | ReviewPrefilter | None:
    match required:
        case Comparison("is_reviewed", Op.EQ, True):
            return ReviewPrefilter(_IS_REVIEWED)
        case Comparison("reviewed_by" | "reserved_by" as name, Op.EQ, str(reviewer)):
            state = _IS_REVIEWED if name == "reviewed_by" else _IS_RESERVED
            return ReviewPrefilter(f"reviewer = ? AND {state}", (clean_text(reviewer),))
        case FeedbackFilter(part, is_counted):
            entry = where_clause(schema.FEEDBACK, part, None, dialect)
            return FeedbackPrefilter(f"{entry.sql} AND {_HAS_REQUEST}", entry.values, is_counted=is_counted)
        case Comparison("feedback.rating", Op.EQ, bool(is_good)):
            return FeedbackPrefilter(_IS_POSITIVE if is_good else _IS_NEGATIVE)
        case Comparison("feedback.id", Op.EQ, str(feedback_id)):
            return FeedbackPrefilter("feedback_id = ?", (clean_text(feedback_id),))
        case Comparison("is_judged", Op.EQ, True):
            return FeedbackPrefilter(_HAS_REQUEST, is_counted=True)
        case Comparison("has_feedback", Op.EQ, True):
            return FeedbackPrefilter(_HAS_REQUEST)
        case Comparison("weighted_verdict" | "mean_counted_score", op, int() | float() as mean):
            return _prefilter_by_mean(op, mean, is_counted=True)
        case Comparison("weighted_feedback" | "mean_score", op, int() | float() as mean):
            return _prefilter_by_mean(op, mean, is_counted=False)
    return None


def _request_prefilter(
    required: Comparison | FeedbackFilter, dialect: Dialect
) -> RequestPrefilter | ReviewPrefilter | None:
    match required:
        case Comparison("user" | "session", Op.EQ, str()):
            found = where_clause(schema.REQUESTS, required, None, dialect)
            return RequestPrefilter(found.sql, found.values)
    prefilter = _prefilter(required, dialect)
    return prefilter if isinstance(prefilter, ReviewPrefilter) else None


def _prefilter_by_mean(op: Op, mean: float, *, is_counted: bool) -> FeedbackPrefilter | None:
    # A mean below 0 takes an entry below 0, one above 0 an entry above, and any mean takes an entry.
    if op in _AT_MOST and mean < 0:
        return FeedbackPrefilter(f"{_IS_NEGATIVE} AND {_HAS_REQUEST}", is_counted=is_counted)
    if op in _AT_LEAST and mean > 0:
        return FeedbackPrefilter(f"{_IS_POSITIVE} AND {_HAS_REQUEST}", is_counted=is_counted)
    return FeedbackPrefilter(_HAS_REQUEST, is_counted=is_counted) if op in (*_AT_MOST, *_AT_LEAST) else None


async def _reviewed_seqs(connection: AsyncConnection, prefilter: ReviewPrefilter) -> list[int] | None:
    held = f"SELECT * FROM reviews WHERE {prefilter.sql} LIMIT {MOST_ROWS + 1}"
    sql = (
        f"SELECT requests.seq FROM ({held}) AS reviews {connection.dialect.ordered_join} requests"
        f" ON {schema.REVIEWS_REQUEST} LIMIT {MOST_ROWS + 1}"
    )
    found = await connection.fetch_all(sql, prefilter.values)
    return [row[0] for row in found] if len(found) <= MOST_ROWS else None


async def _request_seqs(connection: AsyncConnection, prefilter: RequestPrefilter) -> list[int] | None:
    found = await connection.fetch_all(
        f"SELECT seq FROM requests WHERE {prefilter.sql} LIMIT {MOST_ROWS + 1}", prefilter.values
    )
    return [row[0] for row in found] if len(found) <= MOST_ROWS else None


async def _counted_seqs(connection: AsyncConnection, prefilter: FeedbackPrefilter) -> list[int] | None:
    found = await connection.fetch_all(
        f"SELECT DISTINCT request_seq FROM feedback WHERE {prefilter.sql} AND deleted_at_us IS NULL"
        f" LIMIT {MOST_ROWS + 1}",
        prefilter.values,
    )
    return [row[0] for row in found] if len(found) <= MOST_ROWS else None


async def _seqs_by_ids(connection: AsyncConnection, prefilter: FeedbackPrefilter) -> list[int] | None:
    entries = await connection.fetch_all(
        "SELECT target, request_id, trace_id, session FROM feedback"
        f" WHERE {prefilter.sql} AND deleted_at_us IS NULL LIMIT {MOST_ENTRIES + 1}",
        prefilter.values,
    )
    if len(entries) > MOST_ENTRIES:
        return None
    seqs: set[int] = set()
    for place, (target, column) in enumerate(_ID_COLUMNS.items(), 1):
        # Entries that wait name nothing that is logged.
        names = list({entry[place] for entry in entries if entry[0] == target} - {None})
        sql = f"SELECT seq FROM requests WHERE {column} {connection.dialect.in_texts('?')}"
        found = await connection.fetch_all(f"{sql} LIMIT {MOST_ROWS + 1}", (list_to_json(names),))
        seqs.update(row[0] for row in found)
        if len(seqs) > MOST_ROWS:
            return None
    return list(seqs)
