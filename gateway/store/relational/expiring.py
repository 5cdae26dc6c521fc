"""Deleting what is too old to be kept: whole rows, unlike erasing a person, which leaves the figures of requests.

This takes as many short jobs as are needed, so that others write in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from typing import NamedTuple, TypeVar

import orjson

from gateway.domain.erasure import Expired
from gateway.store.dialect import Dialect
from gateway.store.relational.connection import Connection
from gateway.store.relational.erasing import STEP, erase_entries, erase_receipts, steps
from gateway.store.relational.readers import Readers
from gateway.store.relational.rollup_table import KINDS, break_seals
from gateway.store.relational.sweeping import leftovers, sweep
from gateway.store.relational.writer import Work, Writer

T = TypeVar("T")

_OLD_REQUESTS = (
    "SELECT seq, started_at_us FROM requests WHERE started_at_us < ? ORDER BY started_at_us LIMIT ?"
)
_OLD_FEEDBACK = "SELECT feedback_id FROM feedback WHERE created_at_us < ? AND request_seq IS NULL LIMIT ?"
_DELETE_EXPORTS = "DELETE FROM exports WHERE created_at_us < ?"


class _Statements(NamedTuple):
    """What is asked and done, in the words of a database."""

    counted_for: str
    remember_seq: str
    delete_payloads: str
    delete_other_ids: str
    delete_requests: str
    receipts_of_nothing: str


@cache
def _statements(dialect: Dialect) -> _Statements:
    rows = f"seq {dialect.among_numbers('?')}"
    is_entry = dialect.has_element("feedback_ids", "IN (SELECT feedback_id FROM feedback)")
    is_request = dialect.has_element("feedback_ids", "IN (SELECT request_id FROM requests)")
    return _Statements(
        counted_for=f"SELECT feedback_id FROM feedback WHERE request_{rows}",
        remember_seq=f"UPDATE expired SET last_seq = {dialect.greatest}(last_seq, ?)",
        delete_payloads=(
            f"DELETE FROM payloads WHERE seq {dialect.among_numbers(':seqs')} {dialect.and_started(':before_us')}"
        ),
        delete_other_ids=f"DELETE FROM other_response_ids WHERE {rows}",
        delete_requests=f"DELETE FROM requests WHERE {rows}",
        receipts_of_nothing=(
            f"SELECT scope, key FROM receipts WHERE feedback_ids <> '[]' AND NOT {is_entry} AND NOT {is_request}"
        ),
    )


async def expire(before_us: int, writer: Writer, readers: Readers) -> Expired:
    """Delete what is from before a time, step by step, and return how much that was."""
    expired = Expired()
    while (step := await _do(writer, partial(_expire_requests, before_us=before_us))).requests:
        expired += step
    while (step := await _do(writer, partial(_expire_feedback, before_us=before_us))).feedback:
        expired += step
    await _do(writer, lambda connection: connection.execute(_DELETE_EXPORTS, (before_us,)))
    if expired:
        for receipts in steps(await readers.read(_receipts_of_nothing)):
            await _do(writer, partial(erase_receipts, receipts=receipts))
        for leftover in await readers.read(leftovers):
            await _do(writer, partial(sweep, leftover=leftover))
    return expired


async def _do(writer: Writer, work: Work[T]) -> T:
    return await writer.write(work, is_alone=True)


def _expire_requests(connection: Connection, before_us: int) -> Expired:
    rows = connection.execute(_OLD_REQUESTS, (before_us, STEP)).fetchall()
    if not rows:
        return Expired()
    statements = _statements(connection.dialect)
    seqs = orjson.dumps([seq for seq, _ in rows]).decode()
    break_seals(connection, KINDS, [started_at_us for _, started_at_us in rows])
    feedback_ids = _first_column(connection, statements.counted_for, seqs)
    erase_entries(connection, feedback_ids)
    connection.execute(statements.remember_seq, (max(seq for seq, _ in rows),))
    connection.execute(statements.delete_payloads, {"seqs": seqs, "before_us": before_us})
    connection.execute(statements.delete_other_ids, (seqs,))
    connection.execute(statements.delete_requests, (seqs,))
    return Expired(len(rows), len(feedback_ids))


def _expire_feedback(connection: Connection, before_us: int) -> Expired:
    feedback_ids = _first_column(connection, _OLD_FEEDBACK, before_us, STEP)
    erase_entries(connection, feedback_ids)
    return Expired(0, len(feedback_ids))


def _receipts_of_nothing(connection: Connection) -> Sequence[tuple[str, str]]:
    """Scope and key of the calls of which nothing is left that they made."""
    return connection.execute(_statements(connection.dialect).receipts_of_nothing).fetchall()


def _first_column(connection: Connection, sql: str, *values: str | int) -> list[str]:
    return [row[0] for row in connection.execute(sql, values)]
