"""Deleting what is too old to be kept: whole rows, unlike erasing a person, which leaves the figures of requests.

This takes as many short jobs as are needed, so that others write in between. What is deleted is overwritten, as the
writer's connection has `secure_delete` on; the room is used again by the rows that come.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial

import orjson

from gateway.domain.erasure import Expired
from gateway.store.sqlite.erasing import STEP, erase_entries, erase_receipts, steps
from gateway.store.sqlite.readers import Readers
from gateway.store.sqlite.rollup_table import KINDS, break_seals
from gateway.store.sqlite.sweeping import leftovers, sweep
from gateway.store.sqlite.writer import Writer

_OLD_REQUESTS = (
    "SELECT seq, started_at_us FROM requests WHERE started_at_us < ? ORDER BY started_at_us LIMIT ?"
)
_COUNT_FOR_THEM = "SELECT feedback_id FROM feedback WHERE request_seq IN (SELECT value FROM json_each(?))"
_REMEMBER_SEQ = "UPDATE expired SET last_seq = max(last_seq, ?)"
_DELETE_REQUESTS = (
    "DELETE FROM payloads WHERE seq IN (SELECT value FROM json_each(?))",
    "DELETE FROM requests WHERE seq IN (SELECT value FROM json_each(?))",
)
_OLD_FEEDBACK = "SELECT feedback_id FROM feedback WHERE created_at_us < ? AND request_seq IS NULL LIMIT ?"
_DELETE_EXPORTS = "DELETE FROM exports WHERE created_at_us < ?"
_RECEIPTS_OF_NOTHING = """
SELECT scope, key FROM receipts
WHERE json_array_length(feedback_ids) > 0 AND NOT EXISTS (
    SELECT 1 FROM json_each(feedback_ids) AS made
    WHERE EXISTS (SELECT 1 FROM feedback WHERE feedback.feedback_id = made.value)
        OR EXISTS (SELECT 1 FROM requests WHERE requests.request_id = made.value)
)
"""


async def expire(before_us: int, writer: Writer, readers: Readers) -> Expired:
    """Delete what is from before a time, step by step, and return how much that was."""
    expired = Expired()
    while (step := await writer.write(partial(_expire_requests, before_us=before_us))).requests:
        expired += step
    while (step := await writer.write(partial(_expire_feedback, before_us=before_us))).feedback:
        expired += step
    await writer.write(lambda connection: connection.execute(_DELETE_EXPORTS, (before_us,)))
    if expired:
        for receipts in steps(await readers.read(_receipts_of_nothing)):
            await writer.write(partial(erase_receipts, receipts=receipts))
        for leftover in await readers.read(leftovers):
            await writer.write(partial(sweep, leftover=leftover))
    return expired


def _expire_requests(connection: sqlite3.Connection, before_us: int) -> Expired:
    rows = connection.execute(_OLD_REQUESTS, (before_us, STEP)).fetchall()
    if not rows:
        return Expired()
    seqs = orjson.dumps([seq for seq, _ in rows]).decode()
    break_seals(connection, KINDS, [started_at_us for _, started_at_us in rows])
    feedback_ids = _first_column(connection, _COUNT_FOR_THEM, seqs)
    erase_entries(connection, feedback_ids)
    connection.execute(_REMEMBER_SEQ, (max(seq for seq, _ in rows),))
    for statement in _DELETE_REQUESTS:
        connection.execute(statement, (seqs,))
    return Expired(len(rows), len(feedback_ids))


def _expire_feedback(connection: sqlite3.Connection, before_us: int) -> Expired:
    feedback_ids = _first_column(connection, _OLD_FEEDBACK, before_us, STEP)
    erase_entries(connection, feedback_ids)
    return Expired(0, len(feedback_ids))


def _receipts_of_nothing(connection: sqlite3.Connection) -> Sequence[tuple[str, str]]:
    """Scope and key of the calls of which nothing is left that they made."""
    return connection.execute(_RECEIPTS_OF_NOTHING).fetchall()


def _first_column(connection: sqlite3.Connection, sql: str, *values: str | int) -> list[str]:
    return [row[0] for row in connection.execute(sql, values)]
