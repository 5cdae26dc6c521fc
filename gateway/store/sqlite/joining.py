"""What an id names, and the joining of feedback to it.

An id names, in this order: a trace; a request, by our id; a request, by its provider's response id. Feedback
that is about a request by its own word (target `request`) is never joined to a trace as a whole. Feedback of
a tenant is joined to rows of that tenant; feedback of none to the newest row of any, whose tenant it takes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from gateway.domain.feedback import Target
from gateway.store.base import Subject
from gateway.store.sqlite.counting import count
from gateway.store.text import list_to_json, storable

_TRACES = """
SELECT tenant, trace_id, NULL, max(seq) FROM requests
WHERE trace_id = :name AND (:tenant IS NULL OR tenant = :tenant)
GROUP BY tenant ORDER BY max(seq) DESC
"""
_REQUESTS = """
SELECT tenant, trace_id, request_id, max(seq) FROM requests
WHERE request_id = :name AND (:tenant IS NULL OR tenant = :tenant)
GROUP BY tenant, trace_id ORDER BY max(seq) DESC
"""
_RESPONSES = """
SELECT tenant, trace_id, request_id, max(seq) FROM requests
WHERE response_id = :name AND (:tenant IS NULL OR tenant = :tenant)
GROUP BY tenant, trace_id, request_id ORDER BY max(seq) DESC
"""
_KINDS = {Target.TRACE: (_TRACES, _REQUESTS, _RESPONSES), Target.REQUEST: (_REQUESTS, _RESPONSES)}

_IS_ANY_WAITING = "SELECT EXISTS (SELECT 1 FROM feedback WHERE joined_at_us IS NULL)"
_WAITING = """
SELECT seq, feedback_id, subject_id, tenant, target, updated_at_us FROM feedback
WHERE joined_at_us IS NULL AND subject_id IN (SELECT value FROM json_each(?)) ORDER BY seq
"""
_JOIN = """
UPDATE feedback SET tenant = ?, trace_id = ?, request_id = ?, target = ?, joined_at_us = ? WHERE seq = ?
"""


def find_subjects(
    connection: sqlite3.Connection, name: str, tenant: str | None, target: Target
) -> list[Subject]:
    """Return what an id names, only the most preferred kind of it, newest first. A tenant of None sees
    all."""
    names = {"name": storable(name), "tenant": tenant}
    for kind in _KINDS[target]:
        if rows := connection.execute(kind, names).fetchall():
            return [Subject(*row[:3]) for row in rows]
    return []


def join_waiting(connection: sqlite3.Connection, names: Mapping[str, int]) -> None:
    """Join the feedback that waits for one of these ids, in the caller's transaction.

    Args:
        names: when each id appeared, in microseconds since the epoch. Feedback is joined then, or when it was
            given if that was later.
    """
    if not names or not connection.execute(_IS_ANY_WAITING).fetchone()[0]:
        return
    appeared = {storable(name): at_us for name, at_us in names.items()}
    joined = []
    for seq, feedback_id, subject_id, tenant, target, updated_at_us in connection.execute(
        _WAITING, (list_to_json(list(appeared)),)
    ).fetchall():
        if subjects := find_subjects(connection, subject_id, tenant, Target(target)):
            _join(connection, seq, subjects[0], max(appeared[subject_id], updated_at_us))
            joined.append(feedback_id)
    if joined:
        count(connection, joined)


def _join(connection: sqlite3.Connection, seq: int, subject: Subject, at_us: int) -> None:
    target = Target.TRACE if subject.request_id is None else Target.REQUEST
    values = (subject.tenant, subject.trace_id, subject.request_id, target.value, at_us, seq)
    connection.execute(_JOIN, values)
