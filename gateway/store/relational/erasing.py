"""Erasing what there is of a person, so that nothing of it is left in the file.

Of a request the figures are kept, without anything that says who made it or what was said in it; entries of
feedback go as a whole. This takes as many short jobs as are needed, so that others write in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar

import orjson

from gateway.domain.erasure import Belongings
from gateway.domain.exchange import PayloadPolicy
from gateway.store.dialect import Dialect
from gateway.store.relational.connection import Connection
from gateway.store.relational.edit_pairs import edits_of, pair
from gateway.store.relational.readers import Readers
from gateway.store.relational.rollup_table import KINDS, VERDICTS, break_seals
from gateway.store.relational.sweeping import leftovers, sweep
from gateway.store.relational.writer import Work, Writer
from gateway.store.tables import TAG_COLUMNS
from gateway.store.text import list_to_json, storable, storable_or_none

T = TypeVar("T")

STEP = 200
"""How many rows one job takes."""

_REQUESTS_OF = """
SELECT seq, request_id FROM requests
WHERE "user" = :person AND (CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant) ORDER BY seq
"""
_IDS_OF_THEIRS_ALONE = f"""
SELECT mine.request_id FROM ({_REQUESTS_OF}) AS mine GROUP BY mine.request_id
HAVING count(*) = (SELECT count(*) FROM requests AS every WHERE every.request_id = mine.request_id)
"""
_GIVEN_BY = """
SELECT feedback_id FROM feedback WHERE author = :person AND (CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant)
UNION
SELECT feedback_id FROM feedback_versions AS earlier JOIN feedback USING (feedback_id)
WHERE earlier.author = :person AND (CAST(:tenant AS TEXT) IS NULL OR feedback.tenant = :tenant)
"""
_ON_REQUESTS_OF = (
    f"SELECT feedback_id FROM feedback WHERE request_seq IN (SELECT seq FROM ({_REQUESTS_OF}) AS mine)"
)
_IS_STORED = "SELECT 1 FROM feedback WHERE feedback_id = ?"
_DELETE_RECEIPT = "DELETE FROM receipts WHERE scope = ? AND key = ?"


@dataclass(frozen=True, slots=True)
class _Statements:
    receipts: str
    started: str
    on_rows: str
    anonymise: str
    delete_payloads: str
    delete_other_ids: str
    counted_at: str
    delete_entries: tuple[str, ...]


@cache
def _statements(dialect: Dialect) -> _Statements:
    rows = f"seq {dialect.among_numbers('?')}"
    entries = f"feedback_id {dialect.among_texts('?')}"
    return _Statements(
        receipts=(
            "SELECT scope, key FROM receipts"
            f" WHERE {dialect.has_element('feedback_ids', dialect.among_texts('?'))}"
        ),
        started=f"SELECT started_at_us FROM requests WHERE {rows}",
        on_rows=f"SELECT feedback_id FROM feedback WHERE request_{rows}",
        anonymise=f"""
UPDATE requests SET
    request_id = 'erased-' || seq, trace_id = 'erased-' || seq, span_id = NULL, parent_span_id = NULL,
    span_name = NULL, path = '', error = NULL, {", ".join(f'"{column}" = NULL' for column in TAG_COLUMNS)},
    metadata = '{{}}', payloads = '{PayloadPolicy.OFF}', response_id = NULL, note = NULL,
    interpreted_at_us = coalesce(interpreted_at_us, ?)
WHERE {rows}
""",
        delete_payloads=f"DELETE FROM payloads WHERE {rows}",
        delete_other_ids=f"DELETE FROM other_response_ids WHERE {rows}",
        counted_at=(
            f"SELECT request_started_at_us FROM feedback WHERE {entries} AND request_started_at_us IS NOT NULL"
        ),
        delete_entries=(
            f"DELETE FROM feedback_versions WHERE {entries}",
            f"DELETE FROM feedback WHERE {entries}",
        ),
    )


def belongings_of(connection: Connection, user: str, tenant: str | None) -> Belongings:
    """Return what there is of a user: requests, feedback on them, and feedback by them."""
    named = {"person": storable(user), "tenant": storable_or_none(tenant)}
    seqs = tuple(seq for seq, _ in connection.execute(_REQUESTS_OF, named))
    feedback_ids = _texts(connection, f"{_GIVEN_BY} UNION {_ON_REQUESTS_OF}", named)
    request_ids = _texts(connection, _IDS_OF_THEIRS_ALONE, named)
    return Belongings(seqs, feedback_ids, _receipts_of(connection, (*feedback_ids, *request_ids)))


def given_by(connection: Connection, author: str, tenant: str | None) -> Belongings:
    """Return what there is of an author: the entries of which they wrote any version."""
    named = {"person": storable(author), "tenant": storable_or_none(tenant)}
    feedback_ids = _texts(connection, _GIVEN_BY, named)
    return Belongings((), feedback_ids, _receipts_of(connection, feedback_ids))


async def erase(belongings: Belongings, at_us: int, writer: Writer, readers: Readers) -> None:
    """Erase what was found, step by step. What leads to other things goes after them, so that all is found again
    should this break off."""
    for receipts in steps(belongings.receipts):
        await _write(writer, partial(erase_receipts, receipts=receipts))
    for feedback_ids in steps(belongings.feedback_ids):
        await _write(writer, partial(erase_entries, feedback_ids=feedback_ids))
    for seqs in steps(belongings.request_seqs):
        await _write(writer, partial(_erase_requests, seqs=seqs, at_us=at_us))
    for leftover in await readers.read(leftovers):
        await _write(writer, partial(sweep, leftover=leftover))


async def _write(writer: Writer, work: Work[None]) -> None:
    await writer.write(work, is_synced=True, is_alone=True)


def _erase_requests(connection: Connection, seqs: Sequence[int], at_us: int) -> None:
    statements = _statements(connection.dialect)
    rows = orjson.dumps(seqs).decode()
    break_seals(connection, KINDS, [row[0] for row in connection.execute(statements.started, (rows,))])
    # A vote may have come since it was looked for them.
    erase_entries(connection, [row[0] for row in connection.execute(statements.on_rows, (rows,))])
    connection.execute(statements.anonymise, (at_us, rows))
    connection.execute(statements.delete_payloads, (rows,))
    connection.execute(statements.delete_other_ids, (rows,))


def erase_receipts(connection: Connection, receipts: Sequence[tuple[str, str]]) -> None:
    """Delete receipts by scope and key, in the caller's transaction."""
    connection.executemany(_DELETE_RECEIPT, receipts)


def erase_entries(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Delete entries with their history, take back the sums that they are in, and from edits the text of originals
    among them, in the caller's transaction."""
    statements = _statements(connection.dialect)
    ids = list_to_json(feedback_ids)
    break_seals(
        connection, (VERDICTS,), [row[0] for row in connection.execute(statements.counted_at, (ids,))]
    )
    edits = edits_of(connection, feedback_ids)
    for statement in statements.delete_entries:
        connection.execute(statement, (ids,))
    pair(connection, edits)


def receipts_naming(connection: Connection, feedback_id: str) -> list[tuple[str, str]]:
    """Return scope and key of the calls that made or changed an entry."""
    # Cheaper than to parse them all, and the same for an id in quotes.
    names = f"{connection.dialect.position_of}feedback_ids, ?) > 0"
    return connection.execute(
        f"SELECT scope, key FROM receipts WHERE {names}", (list_to_json([feedback_id])[1:-1],)
    ).fetchall()


def remove_entry(connection: Connection, feedback_id: str, receipts: Sequence[tuple[str, str]]) -> bool:
    """Delete an entry with all that is kept of it, in the caller's transaction; tell whether it was there."""
    if connection.execute(_IS_STORED, (storable(feedback_id),)).fetchone() is None:
        return False
    erase_receipts(connection, receipts)
    erase_entries(connection, [feedback_id])
    return True


def _texts(connection: Connection, sql: str, values: Mapping[str, str | None]) -> tuple[str, ...]:
    return tuple(row[0] for row in connection.execute(sql, values))


def _receipts_of(connection: Connection, ids: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Scope and key of the calls that made something of these ids: entries, or requests that were only told of."""
    if not ids:
        return ()
    return tuple(connection.execute(_statements(connection.dialect).receipts, (list_to_json(ids),)))


def steps(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut what is to be done into pieces for one job each."""
    for start in range(0, len(things), STEP):
        yield things[start : start + STEP]
