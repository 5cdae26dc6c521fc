"""Edits and their originals, where the two came as entries of their own.

An edit that brought no original takes the text of the latest one given before it on the same subject, else of the
first one given after it; in whichever order they were stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from gateway.domain.feedback import Kind
from gateway.store.dialect import Dialect
from gateway.store.relational.connection import Connection
from gateway.store.text import list_to_json

PAIRED = frozenset({Kind.EDIT, Kind.ORIGINAL})

# One on the trace as a whole goes with those on any of its requests.
_SAME_SUBJECT = """
    coalesce(original.trace_id, original.subject_id) = coalesce(edit.trace_id, edit.subject_id)
    AND original.tenant IS NOT DISTINCT FROM edit.tenant
    AND (original.request_id IS NULL OR edit.request_id IS NULL OR original.request_id = edit.request_id)
"""
_IS_ORIGINAL = "original.kind = 'original' AND original.deleted_at_us IS NULL"
_MAY_TAKE = "edit.kind = 'edit' AND (edit.original_id IS NOT NULL OR edit.original_text IS NULL)"
_COMES_AFTER = "(original.created_at_us, original.seq) > (edit.created_at_us, edit.seq)"


@dataclass(frozen=True, slots=True)
class _Statements:
    concerned: str
    pair: str


@cache
def _statements(dialect: Dialect) -> _Statements:
    given = dialect.among_texts(":ids")
    return _Statements(
        # An edit whose original was given between the two keeps it, so a trace of many edits costs little.
        concerned=f"""
SELECT feedback_id FROM feedback AS edit WHERE feedback_id {given} AND {_MAY_TAKE}
UNION
SELECT feedback_id FROM feedback WHERE original_id {given}
UNION
SELECT edit.feedback_id FROM feedback AS original
JOIN feedback AS edit ON {_SAME_SUBJECT} AND {_MAY_TAKE}
LEFT JOIN feedback AS taken ON taken.feedback_id = edit.original_id
WHERE original.feedback_id {given} AND {_IS_ORIGINAL} AND (
    taken.seq IS NULL OR NOT {_COMES_AFTER}
    OR (taken.created_at_us, taken.seq) > (original.created_at_us, original.seq)
)
""",
        # SQLite knows no column of the outer statement in ORDER BY itself.
        pair=f"""
UPDATE feedback AS edit SET (original_id, original_text) = (
    SELECT feedback_id, original_text FROM (
        SELECT original.feedback_id, original.original_text, original.created_at_us, original.seq,
            CASE WHEN {_COMES_AFTER} THEN 1 ELSE -1 END AS side
        FROM feedback AS original WHERE {_SAME_SUBJECT} AND {_IS_ORIGINAL}
    ) AS originals
    ORDER BY side, side * created_at_us, side * seq LIMIT 1
)
WHERE feedback_id {given} AND {_MAY_TAKE}
""",
    )


def edits_of(connection: Connection, feedback_ids: Sequence[str]) -> list[str]:
    """Return the edits whose original may be another now that these entries were stored, changed or joined."""
    ids = {"ids": list_to_json(feedback_ids)}
    return [row[0] for row in connection.execute(_statements(connection.dialect).concerned, ids)]


def pair(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Give each of these edits the text of its original, in the caller's transaction; none where there is none."""
    if feedback_ids:
        connection.execute(_statements(connection.dialect).pair, {"ids": list_to_json(feedback_ids)})


def pair_all_of(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Bring the pairs up to date in which these entries are, were or should be."""
    if feedback_ids:
        pair(connection, edits_of(connection, feedback_ids))
