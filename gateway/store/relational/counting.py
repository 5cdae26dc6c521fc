"""For which request an entry counts in figures: the one that it names, or where it names a trace or a session,
the latest of its requests that had started when the entry was given, since that is what the voter saw; else the
first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import orjson

from gateway.domain.feedback import Target
from gateway.store.dialect import Dialect
from gateway.store.relational.connection import Connection
from gateway.store.relational.rollup_table import VERDICTS, break_seals
from gateway.store.text import list_to_json


def _judged_of(column: str) -> str:
    of_group = (
        f"SELECT r.seq FROM requests AS r WHERE r.{column} = feedback.{column}"
        " AND r.tenant IS NOT DISTINCT FROM feedback.tenant"
    )
    return f"""coalesce(
        (
            {of_group} AND r.started_at_us <= feedback.created_at_us
            ORDER BY r.started_at_us DESC, r.seq DESC LIMIT 1
        ),
        ({of_group} ORDER BY r.started_at_us, r.seq LIMIT 1)
    )"""


_TAKES = """
feedback.request_seq IS NULL OR CASE WHEN feedback.request_started_at_us <= feedback.created_at_us
    THEN r.started_at_us <= feedback.created_at_us
        AND (r.started_at_us, r.seq) > (feedback.request_started_at_us, feedback.request_seq)
    ELSE r.started_at_us <= feedback.created_at_us
        OR (r.started_at_us, r.seq) < (feedback.request_started_at_us, feedback.request_seq)
END
"""


def _misplaced(dialect: Dialect) -> str:
    """What finds the entries that have to count for one of some rows and do not."""
    ways = {
        Target.TRACE: ("feedback.trace_id = r.trace_id", _TAKES),
        Target.SESSION: ("feedback.session = r.session", _TAKES),
        # Traces may be long where a request id is not.
        Target.REQUEST: (
            f"feedback.request_id = r.request_id AND {dialect.unindexed('feedback.trace_id')} = r.trace_id",
            "feedback.request_seq IS NULL OR feedback.request_seq < r.seq",
        ),
    }
    return " UNION ".join(
        f"SELECT feedback_id FROM requests AS r {dialect.joined_in_order} feedback ON {is_about}"
        f" WHERE r.seq {dialect.among_numbers(':seqs')} AND feedback.target = '{target}'"
        " AND feedback.tenant IS NOT DISTINCT FROM r.tenant AND feedback.joined_at_us IS NOT NULL"
        f" AND ({takes})"
        for target, (is_about, takes) in ways.items()
    )


@dataclass(frozen=True, slots=True)
class _Statements:
    count: str
    date: str
    misplaced: str
    counted_at: str
    forget: str


@cache
def _statements(dialect: Dialect) -> _Statements:
    given = f"feedback_id {dialect.among_texts('?')}"
    return _Statements(
        # Traces may be long where a request id is not.
        count=f"""
UPDATE feedback SET request_seq = CASE target
    WHEN 'request' THEN (
        SELECT r.seq FROM requests AS r
        WHERE r.request_id = feedback.request_id AND {dialect.unindexed("r.trace_id")} = feedback.trace_id
            AND r.tenant IS NOT DISTINCT FROM feedback.tenant
        ORDER BY r.seq DESC LIMIT 1
    )
    WHEN 'session' THEN {_judged_of("session")}
    ELSE {_judged_of("trace_id")}
END
WHERE {given} AND joined_at_us IS NOT NULL AND request_seq IS NULL
""",
        date=f"""
UPDATE feedback SET request_started_at_us = coalesce(
    request_started_at_us, (SELECT started_at_us FROM requests WHERE seq = feedback.request_seq)
)
WHERE {given} AND request_seq IS NOT NULL RETURNING request_started_at_us
""",
        misplaced=_misplaced(dialect),
        counted_at=(
            f"SELECT request_started_at_us FROM feedback WHERE {given} AND request_started_at_us IS NOT NULL"
        ),
        forget=f"UPDATE feedback SET request_seq = NULL, request_started_at_us = NULL WHERE {given}",
    )


def count(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Note for which request each of these entries counts, as far as it is joined to any, and take back the sums
    in which it did not count or counted otherwise."""
    statements = _statements(connection.dialect)
    ids = list_to_json(feedback_ids)
    connection.execute(statements.count, (ids,))
    times_us = {row[0] for row in connection.execute(statements.date, (ids,))}
    break_seals(connection, (VERDICTS,), times_us - {None})


def count_for(connection: Connection, seqs: Sequence[int], left: Sequence[str] = ()) -> None:
    """Bring up to date for which request entries count, now that these rows are in the log or in other groups than
    before.

    Args:
        left: further entries that may count for another request than before.
    """
    statements = _statements(connection.dialect)
    found = connection.execute(statements.misplaced, {"seqs": orjson.dumps(list(seqs)).decode()})
    feedback_ids = [*left, *(row[0] for row in found)]
    if feedback_ids:
        ids = (list_to_json(feedback_ids),)
        break_seals(
            connection, (VERDICTS,), [row[0] for row in connection.execute(statements.counted_at, ids)]
        )
        connection.execute(statements.forget, ids)
        count(connection, feedback_ids)
