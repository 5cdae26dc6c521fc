"""For which request an entry counts in figures: the one that it names, or where it names a trace, the latest of
its requests that had started when the entry was given, since that is what the voter saw; else the first."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from gateway.store.sqlite.rollup_table import VERDICTS, break_seals
from gateway.store.text import list_to_json

_UNCOUNTED = (
    "feedback_id IN (SELECT value FROM json_each(?)) AND joined_at_us IS NOT NULL AND request_seq IS NULL"
)
# A plus sign keeps SQLite off the index on traces, which may be long where a request id is not.
_COUNT_FOR_REQUEST = f"""
UPDATE feedback SET request_seq = (
    SELECT r.seq FROM requests AS r
    WHERE r.request_id = feedback.request_id AND +r.trace_id = feedback.trace_id AND r.tenant IS feedback.tenant
    ORDER BY r.seq DESC LIMIT 1
)
WHERE target = 'request' AND {_UNCOUNTED}
"""
_OF_TRACE = (
    "SELECT r.seq FROM requests AS r WHERE r.trace_id = feedback.trace_id AND r.tenant IS feedback.tenant"
)
_COUNT_FOR_TRACE = f"""
UPDATE feedback SET request_seq = coalesce(
    ({_OF_TRACE} AND r.started_at_us <= feedback.created_at_us ORDER BY r.started_at_us DESC, r.seq DESC LIMIT 1),
    ({_OF_TRACE} ORDER BY r.started_at_us, r.seq LIMIT 1)
)
WHERE target = 'trace' AND {_UNCOUNTED}
"""
_DATE = """
UPDATE feedback SET request_started_at_us = (SELECT started_at_us FROM requests WHERE seq = feedback.request_seq)
WHERE feedback_id IN (SELECT value FROM json_each(?)) AND request_seq IS NOT NULL
    AND request_started_at_us IS NULL
"""
_TIMES = """
SELECT DISTINCT request_started_at_us FROM feedback
WHERE feedback_id IN (SELECT value FROM json_each(?)) AND request_seq IS NOT NULL
"""


def count(connection: sqlite3.Connection, feedback_ids: Sequence[str]) -> None:
    """Note for which request each of these entries counts, as far as it is joined to any, and take back the sums
    in which it did not count or counted otherwise."""
    ids = list_to_json(feedback_ids)
    connection.execute(_COUNT_FOR_REQUEST, (ids,))
    connection.execute(_COUNT_FOR_TRACE, (ids,))
    connection.execute(_DATE, (ids,))
    break_seals(connection, (VERDICTS,), [row[0] for row in connection.execute(_TIMES, (ids,))])
