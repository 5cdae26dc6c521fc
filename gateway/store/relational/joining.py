"""What an id names, and the joining of feedback to it.

An id names, in this order: a trace; a request, by our id; a request, by its provider's response id; a session.
A response id that comes again, as those of servers that count from 1 at each start, names the latest answer.
Feedback that is about a request by its own word (target `request`) is joined to nothing else. Feedback of
a tenant is joined to rows of that tenant; feedback of none to rows of any, whose tenant it takes. Feedback
that waited is not refused when its id turns out to name several things: it is joined to the newest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

from gateway.domain.feedback import Target
from gateway.domain.subject import MAX_CANDIDATES, REPEATED_ID_US, Subject
from gateway.store.dialect import Dialect
from gateway.store.relational.connection import Connection
from gateway.store.relational.counting import count
from gateway.store.relational.edit_pairs import PAIRED, pair_all_of
from gateway.store.text import list_to_json, storable, storable_or_none

_VISIBLE = (
    "(CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant)"
    " AND (CAST(:trace_id AS TEXT) IS NULL OR trace_id = :trace_id)"
)
_TRACES = f"""
SELECT tenant, trace_id, NULL, NULL, max(seq) FROM requests
WHERE trace_id = :name AND {_VISIBLE}
GROUP BY trace_id, tenant ORDER BY max(seq) DESC LIMIT {MAX_CANDIDATES}
"""
_SESSIONS = f"""
SELECT tenant, NULL, NULL, NULL, max(seq), session FROM requests
WHERE session = :name AND {_VISIBLE}
GROUP BY session, tenant ORDER BY max(seq) DESC LIMIT {MAX_CANDIDATES}
"""


def _requests_by(condition: str, within_us: int | None = None) -> str:
    """What finds requests; given a time, only those that started no longer before the last of them."""
    is_late = "TRUE"
    if within_us is not None:
        is_late = f"started_at_us > (SELECT max(started_at_us) FROM answered) - {within_us}"
    # What failed under a name and was answered under it later is a try of the same thing.
    return f"""
WITH latest AS (
    SELECT
        tenant, trace_id, request_id, response_id, seq, started_at_us,
        CASE WHEN outcome = 'complete' AND status < 400 THEN 1 ELSE 0 END AS is_answered
    FROM requests
    WHERE seq IN (
        SELECT max(seq) FROM requests
        WHERE {condition} AND {_VISIBLE}
        GROUP BY tenant, trace_id, request_id
    )
), answered AS (
    SELECT * FROM latest WHERE is_answered = (SELECT max(is_answered) FROM latest)
)
SELECT tenant, trace_id, request_id, response_id, seq FROM answered
WHERE {is_late}
ORDER BY seq DESC LIMIT {MAX_CANDIDATES}
"""


_REQUESTS = _requests_by("request_id = :name")
_RESPONSES = _requests_by("response_id = :name", REPEATED_ID_US)
_OTHER_RESPONSES = _requests_by(
    "seq IN (SELECT seq FROM other_response_ids WHERE response_id = :name)", REPEATED_ID_US
)
_KINDS = {
    Target.TRACE: (_TRACES, _REQUESTS, _RESPONSES, _OTHER_RESPONSES, _SESSIONS),
    Target.REQUEST: (_REQUESTS, _RESPONSES, _OTHER_RESPONSES),
    Target.SESSION: (_SESSIONS,),
}

_IS_ANY_WAITING = "SELECT EXISTS (SELECT 1 FROM feedback WHERE joined_at_us IS NULL)"


class _Waiting(NamedTuple):
    """Feedback that waits: what for, and how that of it is joined which waits for one of these things."""

    subjects: str
    join: str


@cache
def _by_name(dialect: Dialect) -> _Waiting:
    named = f"joined_at_us IS NULL AND subject_id {dialect.among_texts(':names')}"
    return _Waiting(
        f"SELECT DISTINCT subject_id, tenant, target FROM feedback WHERE {named}",
        f"{_join_in(dialect)} joined_at_us IS NULL AND subject_id = :subject_id RETURNING feedback_id, kind",
    )


@cache
def _by_id(dialect: Dialect) -> _Waiting:
    given = f"joined_at_us IS NULL AND feedback_id {dialect.among_texts(':ids')}"
    # Any number of entries may wait for a subject.
    subject = dialect.unindexed("subject_id")
    return _Waiting(
        f"SELECT DISTINCT subject_id, tenant, target FROM feedback WHERE {given}",
        f"{_join_in(dialect)} {given} AND {subject} = :subject_id RETURNING feedback_id, kind",
    )


def _join_in(dialect: Dialect) -> str:
    return f"""
UPDATE feedback SET
    tenant = :tenant, trace_id = :trace_id, request_id = :request_id, session = :session, target = :target,
    joined_at_us = {dialect.greatest}(:appeared_at_us, updated_at_us)
WHERE tenant IS NOT DISTINCT FROM :awaited_tenant AND target = :awaited_target AND
"""


def find_subjects(
    connection: Connection,
    name: str,
    tenant: str | None,
    target: Target,
    trace_id: str | None = None,
) -> list[Subject]:
    """Return what an id names, only the most preferred kind of it, newest first. A tenant of None sees
    all."""
    values = {
        "name": storable(name),
        "tenant": storable_or_none(tenant),
        "trace_id": storable_or_none(trace_id),
    }
    for kind in _KINDS[target]:
        if rows := connection.execute(kind, values).fetchall():
            return [Subject(*row) for row in rows]
    return []


def join_waiting(connection: Connection, names: Mapping[str, int]) -> None:
    """Join the feedback that waits for one of these ids, in the caller's transaction.

    Args:
        names: when each id appeared, in microseconds since the epoch. Feedback is joined then, or when it was
            given if that was later.
    """
    if not names or not connection.execute(_IS_ANY_WAITING).fetchone()[0]:
        return
    appeared = {storable(name): at_us for name, at_us in names.items()}
    _join(connection, _by_name(connection.dialect), {"names": list_to_json(list(appeared))}, appeared)


def join_given(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Join those of these entries whose subject is already there, in the caller's transaction. What else waits
    for that subject is not looked at: it waits for something that did not come."""
    _join(connection, _by_id(connection.dialect), {"ids": list_to_json(feedback_ids)}, {})


def _join(
    connection: Connection, waiting: _Waiting, values: Mapping[str, str], appeared: Mapping[str, int]
) -> None:
    """Join what waits. However many wait for the same, it is looked for once."""
    joined: list[tuple[str, str]] = []
    for subject_id, tenant, target in connection.execute(waiting.subjects, values).fetchall():
        if subjects := find_subjects(connection, subject_id, tenant, Target(target)):
            subject = subjects[0]
            found = {
                "tenant": subject.tenant,
                "trace_id": subject.trace_id,
                "request_id": subject.request_id,
                "session": subject.session,
                "target": subject.target,
                "appeared_at_us": appeared.get(subject_id, 0),
                "subject_id": subject_id,
                "awaited_tenant": tenant,
                "awaited_target": target,
            }
            joined += connection.execute(waiting.join, {**values, **found})
    if joined:
        count(connection, [feedback_id for feedback_id, _ in joined])
        pair_all_of(connection, [feedback_id for feedback_id, kind in joined if kind in PAIRED])
