"""Finding requests from what was said of them, where that is little.

Where a condition on feedback holds of many requests, the newest are met soon when rows are gone through; where it
holds of few, that would take all rows, so they are looked up from the feedback. The condition itself is asked in
both cases: this only says among which rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gateway.domain.feedback import Target
from gateway.domain.filter import All, Filter, Is, Op
from gateway.store.relational.connection import Connection
from gateway.store.text import list_to_json, storable

MOST_ENTRIES = 2_000
"""Of how many entries at most requests are looked up."""
MOST_ROWS = 10_000

_ORDERINGS = (Op.LT, Op.LE, Op.GT, Op.GE)
_NAME_OF = {Target.REQUEST: "request_id", Target.TRACE: "trace_id", Target.SESSION: "session"}


@dataclass(frozen=True, slots=True)
class Clue:
    """What holds of at least one entry on each request that is looked for, as it stands behind WHERE.

    Args:
        is_counted: whether that entry counts for the request in figures.
    """

    sql: str
    values: tuple[str, ...] = ()
    is_counted: bool = False


def clues(where: Filter) -> tuple[Clue, ...]:
    """Return what a filter requires of feedback, as far as entries can be found by it."""
    return tuple(clue for condition in _required(where) if (clue := _clue(condition)) is not None)


def rows_among(connection: Connection, given: Sequence[Clue]) -> list[int] | None:
    """Return the `seq`s among which are all rows that a filter with these clues finds; None where they are many."""
    for clue in given:
        seqs = _judged(connection, clue) if clue.is_counted else _said_of(connection, clue)
        if seqs is not None:
            return seqs
    return None


def _required(where: Filter) -> Iterator[Is]:
    if isinstance(where, Is):
        yield where
    elif isinstance(where, All):
        for part in where.parts:
            yield from _required(part)


def _clue(condition: Is) -> Clue | None:
    match condition:
        case Is("feedback.rating", Op.EQ, bool(is_good)):
            return Clue("score > 0" if is_good else "score < 0")
        case Is("feedback.id", Op.EQ, str(feedback_id)):
            return Clue("feedback_id = ?", (storable(feedback_id),))
        case Is("is_judged", Op.EQ, True):
            return Clue("request_seq IS NOT NULL", is_counted=True)
        case Is("weighted_verdict", op, int() | float()) if op in (*_ORDERINGS, Op.EQ):
            return Clue("request_seq IS NOT NULL", is_counted=True)
        case Is("weighted_feedback", op, int() | float()) if op in (*_ORDERINGS, Op.EQ):
            return Clue("request_seq IS NOT NULL")
    return None


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
    names: Mapping[Target, set[str]] = {target: set() for target in Target}
    for target, request_id, trace_id, session in entries:
        name = {Target.REQUEST: request_id, Target.TRACE: trace_id, Target.SESSION: session}[Target(target)]
        names[Target(target)].add(name)
    seqs: set[int] = set()
    for target, column in _NAME_OF.items():
        wanted = names[target] - {None}
        among = connection.dialect.among_texts("?")
        sql = f"SELECT seq FROM requests WHERE {column} {among} LIMIT {MOST_ROWS + 1}"
        seqs.update(_column(connection, sql, (list_to_json(list(wanted)),)) if wanted else ())
        if len(seqs) > MOST_ROWS:
            return None
    return list(seqs)


def _column(connection: Connection, sql: str, values: Sequence[Any]) -> list[int]:
    return [row[0] for row in connection.execute(sql, values)]
