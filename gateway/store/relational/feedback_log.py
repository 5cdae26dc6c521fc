"""Writing and reading feedback: its latest versions, the earlier ones, and receipts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from gateway.domain.feedback import Feedback, Kind, Receipt, Target
from gateway.errors import Conflict
from gateway.store.dialect import Dialect
from gateway.store.relational.connection import Connection
from gateway.store.relational.counting import count
from gateway.store.relational.joining import join_given
from gateway.store.rows import feedback_from_row, feedback_to_row, receipt_from_row
from gateway.store.tables import FEEDBACK, RECEIPT_COLUMNS, quoted
from gateway.store.text import list_to_json, storable, storable_or_none

_COLUMNS = quoted(FEEDBACK.columns)
_INSERT = f"INSERT INTO feedback ({_COLUMNS}) VALUES ({', '.join('?' * len(FEEDBACK.columns))})"
_KEEP_VERSION = (
    f"INSERT INTO feedback_versions ({_COLUMNS}) SELECT {_COLUMNS} FROM feedback WHERE feedback_id = ?"
)
_SUPERSEDE = (
    f"UPDATE feedback SET {', '.join(f'{column} = ?' for column in FEEDBACK.columns)} WHERE feedback_id = ?"
)
_LATEST = f"SELECT {_COLUMNS} FROM feedback WHERE feedback_id = ?"
_EARLIER = f"SELECT {_COLUMNS} FROM feedback_versions WHERE feedback_id = ? ORDER BY version"
_RECEIPT = f"SELECT {quoted(RECEIPT_COLUMNS)} FROM receipts WHERE scope = ? AND key = ?"
_INSERT_RECEIPT = f"INSERT INTO receipts ({quoted(RECEIPT_COLUMNS)}) VALUES (?, ?, ?, ?)"
_OF_TENANT = "(CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant)"


@cache
def _versions(dialect: Dialect) -> str:
    return f"SELECT feedback_id, version FROM feedback WHERE feedback_id {dialect.among_texts('?')}"


@cache
def _latest_verdicts(dialect: Dialect) -> str:
    return f"""
SELECT {_COLUMNS} FROM (
    SELECT *, row_number() OVER (
        PARTITION BY tenant, trace_id, request_id, kind, CASE kind WHEN '{Kind.SCORE}' THEN metric END
        ORDER BY updated_at_us DESC, seq DESC
    ) AS place
    FROM feedback
    WHERE request_id {dialect.among_texts(":ids")} AND kind IN ('{Kind.THUMB}', '{Kind.SCORE}')
        AND deleted_at_us IS NULL AND {_OF_TENANT}
) AS verdicts
WHERE place = 1 ORDER BY updated_at_us, seq
"""


@cache
def _given(dialect: Dialect) -> str:
    return f"""
SELECT author, count(*) FROM feedback
WHERE author {dialect.among_texts(":authors")} AND deleted_at_us IS NULL AND {_OF_TENANT}
GROUP BY author
"""


def put_feedback(connection: Connection, entries: Sequence[Feedback], receipt: Receipt | None) -> None:
    """Store versions of entries and the receipt for them, and join those whose subject is already there.

    Raises:
        Conflict: before anything is written, if one does not follow what is stored.
    """
    _refuse_used_receipt(connection, receipt)
    _refuse_gaps(connection, entries)
    for entry in entries:
        if entry.version == 1:
            connection.execute(_INSERT, feedback_to_row(entry))
        else:
            _supersede(connection, entry)
    if receipt is not None:
        values = (
            storable(receipt.scope),
            storable(receipt.key),
            receipt.digest,
            list_to_json(receipt.feedback_ids),
        )
        connection.execute(_INSERT_RECEIPT, values)
    feedback_ids = [entry.feedback_id for entry in entries]
    join_given(connection, feedback_ids)
    count(connection, feedback_ids)


def feedback_by_ids(connection: Connection, feedback_ids: Sequence[str]) -> list[Feedback]:
    """Return the latest versions of these entries in the order asked."""
    rows = (connection.execute(_LATEST, (storable(feedback_id),)).fetchone() for feedback_id in feedback_ids)
    return [feedback_from_row(row) for row in rows if row is not None]


def latest_verdicts(connection: Connection, request_ids: Sequence[str], tenant: str | None) -> list[Feedback]:
    """Return the latest thumb on each request, and its latest score by each metric; the oldest first."""
    values = {"ids": list_to_json(request_ids), "tenant": storable_or_none(tenant)}
    return [
        feedback_from_row(row) for row in connection.execute(_latest_verdicts(connection.dialect), values)
    ]


def count_given(connection: Connection, authors: Sequence[str], tenant: str | None) -> dict[str, int]:
    """Return how many entries that were not withdrawn each of these authors gave."""
    values = {"authors": list_to_json(authors), "tenant": storable_or_none(tenant)}
    return dict(connection.execute(_given(connection.dialect), values).fetchall())


def history(connection: Connection, feedback_id: str) -> list[Feedback]:
    """Return every version of an entry, the first one first."""
    earlier = connection.execute(_EARLIER, (storable(feedback_id),)).fetchall()
    return [feedback_from_row(row) for row in earlier] + feedback_by_ids(connection, [feedback_id])


def receipt_of(connection: Connection, scope: str, key: str) -> Receipt | None:
    """Return the receipt of an earlier call under this idempotency key."""
    row = connection.execute(_RECEIPT, (storable(scope), storable(key))).fetchone()
    return None if row is None else receipt_from_row(row)


def size_bytes(entries: Sequence[Feedback]) -> int:
    """Return about how many bytes these entries take in the queue and in the database."""
    return sum(1024 + 2 * len(entry.raw) for entry in entries)


def _refuse_used_receipt(connection: Connection, receipt: Receipt | None) -> None:
    if receipt is not None and receipt_of(connection, receipt.scope, receipt.key) is not None:
        raise Conflict("this idempotency key was used before.")


def _refuse_gaps(connection: Connection, entries: Sequence[Feedback]) -> None:
    ids = list_to_json([entry.feedback_id for entry in entries])
    versions: dict[str, int] = dict(connection.execute(_versions(connection.dialect), (ids,)).fetchall())
    for entry in entries:
        stored = versions.get(entry.feedback_id, 0)
        if entry.version != stored + 1:
            state = f"is at version {stored}" if stored else "does not exist"
            raise Conflict(f"feedback {entry.feedback_id} {state}, so version {entry.version} cannot follow.")
        versions[entry.feedback_id] = entry.version


def _supersede(connection: Connection, entry: Feedback) -> None:
    stored = feedback_from_row(connection.execute(_LATEST, (entry.feedback_id,)).fetchone())
    connection.execute(_KEEP_VERSION, (entry.feedback_id,))
    connection.execute(_SUPERSEDE, (*feedback_to_row(_with_join_of(stored, entry)), entry.feedback_id))


def _with_join_of(stored: Feedback, entry: Feedback) -> Feedback:
    """Keep a join that was made after the caller had read the entry that it now revises."""
    if entry.joined_at_us is not None or stored.joined_at_us is None or entry.subject_id != stored.subject_id:
        return entry
    return replace(
        entry,
        joined_at_us=stored.joined_at_us,
        trace_id=stored.trace_id,
        request_id=stored.request_id,
        target=Target(stored.target),
        tenant=stored.tenant,
    )
