"""Looking at feedback for what may be wrong with it. Reads all of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from gateway.domain.clock import now_us
from gateway.store.condition import MAX_AWAITED, MIN_MISREAD, WAITING_US, FeedbackCondition

_WAITING = "FROM feedback WHERE joined_at_us IS NULL AND deleted_at_us IS NULL AND created_at_us < ?"
_AWAITED = f"""
SELECT subject_id, count(*) {_WAITING}
GROUP BY subject_id ORDER BY max(created_at_us) DESC, subject_id LIMIT {MAX_AWAITED}
"""
_MISREAD = f"""
SELECT key_name, sum(CASE WHEN score = value / 10 THEN 1 ELSE 0 END) AS misread FROM feedback
WHERE kind = 'rating' AND grade = value AND deleted_at_us IS NULL
GROUP BY key_name
HAVING sum(CASE WHEN value IN (0, 1) THEN 0 ELSE 1 END) = 0
    AND sum(CASE WHEN score = value / 10 THEN 1 ELSE 0 END) >= {MIN_MISREAD}
ORDER BY misread DESC, key_name
"""


class Reader(Protocol):
    """What is needed of a connection."""

    def execute(self, sql: str, parameters: tuple[Any, ...] = (), /) -> Iterable[Any]:
        """Run one statement."""


def examine_feedback(connection: Reader) -> FeedbackCondition:
    """Return what may be wrong with the feedback in a database of this version."""
    before_us = now_us() - WAITING_US
    [[waiting]] = connection.execute(f"SELECT count(*) {_WAITING}", (before_us,))
    awaited = tuple(row[0] for row in connection.execute(_AWAITED, (before_us,))) if waiting else ()
    return FeedbackCondition(
        waiting, awaited, tuple((row[0], int(row[1])) for row in connection.execute(_MISREAD))
    )
