"""Finding requests from what was said of them, where that is little.

Where a condition on feedback holds of many requests, the newest are met soon when rows are gone through; where it
holds of few, that would take all rows, so they are looked up from the feedback. The condition itself is asked in
both cases: this only says among which rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.feedback import Target
from gateway.domain.filter import All, Filter, Is, Joined, Op
from gateway.store.dialect import Dialect
from gateway.store.filters import condition
from gateway.store.relational.connection import Connection
from gateway.store.tables import FEEDBACK
from gateway.store.text import list_to_json, storable

MOST_ENTRIES = 2_000
"""Of how many entries at most requests are looked up."""
MOST_ROWS = 10_000

_AT_MOST = (Op.LT, Op.LE, Op.EQ)
_AT_LEAST = (Op.GT, Op.GE, Op.EQ)
_GOOD, _BAD, _COUNTED = "score > 0", "score < 0", "request_seq IS NOT NULL"
_NAME_OF = {Target.REQUEST: "request_id", Target.TRACE: "trace_id", Target.SESSION: "session"}


@dataclass(frozen=True, slots=True)
class Clue:
    """What holds of at least one entry on each request that is looked for, as it stands behind WHERE.

    Args:
        is_counted: whether that entry counts for the request in figures.
    """

    sql: str
    values: tuple[str | int | float, ...] = ()
    is_counted: bool = False


def clues(where: Filter, dialect: Dialect) -> tuple[Clue, ...]:
    """Return what a filter requires of feedback, as far as entries can be found by it."""
    return tuple(clue for condition in _required(where) if (clue := _clue(condition, dialect)) is not None)


def rows_among(connection: Connection, given: Sequence[Clue]) -> list[int] | None:
    """Return the `seq`s among which are all rows that a filter with these clues finds; None where they are many."""
    for clue in given:
        seqs = _judged(connection, clue) if clue.is_counted else _said_of(connection, clue)
        if seqs is not None:
            return seqs
    return None


def _required(where: Filter) -> Iterator[Is | Joined]:
    if isinstance(where, Is | Joined):
        yield where
    elif isinstance(where, All):
        for part in where.parts:
            yield from _required(part)


def _clue(required: Is | Joined, dialect: Dialect) -> Clue | None:
    match required:
        case Joined(part, is_counted):
            of_entry = condition(FEEDBACK, part, None, dialect)
            return Clue(f"{of_entry.sql} AND {_COUNTED}", of_entry.values, is_counted=is_counted)
        case Is("feedback.rating", Op.EQ, bool(is_good)):
            return Clue(_GOOD if is_good else _BAD)
        case Is("feedback.id", Op.EQ, str(feedback_id)):
            return Clue("feedback_id = ?", (storable(feedback_id),))
        case Is("is_judged", Op.EQ, True):
            return Clue(_COUNTED, is_counted=True)
        case Is("has_feedback", Op.EQ, True):
            return Clue(_COUNTED)
        case Is("weighted_verdict" | "mean_counted_score", op, int() | float() as mean):
            return _clue_to_mean(op, mean, is_counted=True)
        case Is("weighted_feedback" | "mean_score", op, int() | float() as mean):
            return _clue_to_mean(op, mean, is_counted=False)
    return None


def _clue_to_mean(op: Op, mean: float, *, is_counted: bool) -> Clue | None:
    """A mean below 0 takes an entry below 0, one above takes one above, and any takes an entry."""
    if op in _AT_MOST and mean < 0:
        return Clue(f"{_BAD} AND {_COUNTED}", is_counted=is_counted)
    if op in _AT_LEAST and mean > 0:
        return Clue(f"{_GOOD} AND {_COUNTED}", is_counted=is_counted)
    return Clue(_COUNTED, is_counted=is_counted) if op in (*_AT_MOST, *_AT_LEAST) else None


def _judged(connection: Connection, clue: Clue) -> list[int] | None:
    sql = f"SELECT DISTINCT request_seq FROM feedback WHERE {clue.sql} AND deleted_at_us IS NULL"
    found = _column(connection, f"{sql} LIMIT {MOST_ROWS + 1}", clue.values)
    return found if len(found) <= MOST_ROWS else None


def _said_of(connection: Connection, clue: Clue) -> list[int] | None:
    entries = connection.execute(
        "SELECT target, request_id, trace_id, session FROM feedback"
        f" WHERE {clue.sql} AND deleted_at_us IS NULL LIMIT {MOST_ENTRIES + 1}",
        clue.values,
    ).fetchall()
    if len(entries) > MOST_ENTRIES:
        return None
    seqs: set[int] = set()
    for place, (target, column) in enumerate(_NAME_OF.items(), 1):
        # What waits has no name that anything is logged under.
        names = {entry[place] for entry in entries if entry[0] == target} - {None}
        sql = f"SELECT seq FROM requests WHERE {column} {connection.dialect.among_texts('?')}"
        seqs.update(_column(connection, f"{sql} LIMIT {MOST_ROWS + 1}", (list_to_json(list(names)),)))
        if len(seqs) > MOST_ROWS:
            return None
    return list(seqs)


def _column(connection: Connection, sql: str, values: Sequence[Any]) -> list[int]:
    return [row[0] for row in connection.execute(sql, values)]
