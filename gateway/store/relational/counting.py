"""For which request an entry counts in figures: the one that it names, or where it names a trace or a session,
the latest of its requests that had started when the entry was given, since that is what the voter saw; else the
first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

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


@dataclass(frozen=True, slots=True)
class _Statements:
    count: str
    date: str


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
    )


def count(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Note for which request each of these entries counts, as far as it is joined to any, and take back the sums
    in which it did not count or counted otherwise."""
    statements = _statements(connection.dialect)
    ids = list_to_json(feedback_ids)
    connection.execute(statements.count, (ids,))
    times_us = {row[0] for row in connection.execute(statements.date, (ids,))}
    break_seals(connection, (VERDICTS,), times_us - {None})
