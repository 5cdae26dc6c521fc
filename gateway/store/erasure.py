"""Erasure of a person's data, and deletion of what is past its retention, in short steps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import NamedTuple, TypeVar

import orjson

from gateway.models.columns import PERSONAL, Column
from gateway.models.exchange import PayloadPolicy
from gateway.models.request import REQUEST_COLUMNS, ErasureScope, ExpiredCounts
from gateway.store.database import Database, Work, Writer
from gateway.store.dialect import AsyncConnection, Connection, Dialect
from gateway.store.filters import Query
from gateway.store.joins import find_affected_edits, pair_edits
from gateway.store.read_pool import ReadPool
from gateway.store.rollups import (
    FEEDBACK_KIND,
    ROLLUP_KINDS,
    delete_orphan_rollup,
    find_orphan_rollups,
    invalidate_rollups,
)
from gateway.store.rows import clean_text, clean_text_or_none, list_to_json

T = TypeVar("T")

# Rows that one transaction erases or deletes, so that others are not held up.
STEP = 200

_REQUESTS_OF_USER = """
SELECT seq, request_id FROM requests
WHERE "user" = :person AND (CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant) ORDER BY seq
"""
_REQUEST_IDS_OF_USER_ONLY = f"""
SELECT mine.request_id FROM ({_REQUESTS_OF_USER}) AS mine GROUP BY mine.request_id
HAVING count(*) = (SELECT count(*) FROM requests AS every WHERE every.request_id = mine.request_id)
"""
_FEEDBACK_BY_AUTHOR = """
SELECT feedback_id FROM feedback WHERE author = :person AND (CAST(:tenant AS TEXT) IS NULL OR tenant = :tenant)
UNION
SELECT feedback_id FROM feedback_versions AS earlier JOIN feedback USING (feedback_id)
WHERE earlier.author = :person AND (CAST(:tenant AS TEXT) IS NULL OR feedback.tenant = :tenant)
"""
_FEEDBACK_ON_REQUESTS = (
    f"SELECT feedback_id FROM feedback WHERE request_seq IN (SELECT seq FROM ({_REQUESTS_OF_USER}) AS mine)"
)
# Of personal columns that need a value; ids become another one for each row.
_EMPTY_VALUES = {"path": "''", "metadata": "'{}'"}
_IS_STORED = "SELECT 1 FROM feedback WHERE feedback_id = ?"
_DELETE_RECEIPT = "DELETE FROM receipts WHERE scope = ? AND key = ?"


@dataclass(frozen=True, slots=True)
class _ErasureStatements:
    receipts: str
    started: str
    on_rows: str
    anonymise: str
    delete_payloads: str
    delete_other_ids: str
    counted_times: str
    delete_entries: tuple[str, ...]


def _cleared(column: Column) -> str:
    empty = "NULL" if column.is_optional else _EMPTY_VALUES.get(column.name, "'erased-' || seq")
    return f'"{column.name}" = {empty}'


@cache
def _erasure_statements(dialect: Dialect) -> _ErasureStatements:
    rows = f"seq {dialect.in_numbers('?')}"
    entries = f"feedback_id {dialect.in_texts('?')}"
    return _ErasureStatements(
        receipts=(
            "SELECT scope, key FROM receipts"
            f" WHERE {dialect.json_has_element('feedback_ids', dialect.in_texts('?'))}"
        ),
        started=f"SELECT started_at_us FROM requests WHERE {rows}",
        on_rows=f"SELECT feedback_id FROM feedback WHERE request_{rows}",
        anonymise=f"""
UPDATE requests SET
    {", ".join(_cleared(column) for column in REQUEST_COLUMNS if column.uses & PERSONAL)},
    payloads = '{PayloadPolicy.OFF}', interpreted_at_us = coalesce(interpreted_at_us, ?)
WHERE {rows}
""",
        delete_payloads=f"DELETE FROM payloads WHERE {rows}",
        delete_other_ids=f"DELETE FROM other_response_ids WHERE {rows}",
        counted_times=(
            f"SELECT request_started_at_us FROM feedback WHERE {entries} AND request_started_at_us IS NOT NULL"
        ),
        delete_entries=(
            f"DELETE FROM feedback_versions WHERE {entries}",
            f"DELETE FROM feedback WHERE {entries}",
        ),
    )


async def _find_user_scope(connection: AsyncConnection, user: str, tenant: str | None) -> ErasureScope:
    parameters = {"person": clean_text(user), "tenant": clean_text_or_none(tenant)}
    await connection.begin_snapshot()
    seqs = await connection.fetch_all(_REQUESTS_OF_USER, parameters)
    feedback_ids = await _fetch_texts(
        connection, f"{_FEEDBACK_BY_AUTHOR} UNION {_FEEDBACK_ON_REQUESTS}", parameters
    )
    request_ids = await _fetch_texts(connection, _REQUEST_IDS_OF_USER_ONLY, parameters)
    receipts = await _find_receipts(connection, (*feedback_ids, *request_ids))
    return ErasureScope(tuple(seq for seq, _ in seqs), feedback_ids, receipts)


async def _find_author_scope(connection: AsyncConnection, author: str, tenant: str | None) -> ErasureScope:
    parameters = {"person": clean_text(author), "tenant": clean_text_or_none(tenant)}
    await connection.begin_snapshot()
    feedback_ids = await _fetch_texts(connection, _FEEDBACK_BY_AUTHOR, parameters)
    return ErasureScope((), feedback_ids, await _find_receipts(connection, feedback_ids))


async def erase_scope(scope: ErasureScope, at_us: int, writer: Writer, primary: ReadPool) -> None:
    """Erase data step by step."""
    # What leads to other data is erased after that, so that everything is found again if this breaks off.
    for receipts in split_steps(scope.receipts):
        await _write_exclusively(writer, partial(delete_receipts, receipts=receipts))
    for feedback_ids in split_steps(scope.feedback_ids):
        await _write_exclusively(writer, partial(delete_entries, feedback_ids=feedback_ids))
    for seqs in split_steps(scope.request_seqs):
        await _write_exclusively(writer, partial(_erase_requests, seqs=seqs, at_us=at_us))
    for orphan in await primary.read(find_orphan_rollups):
        await _write_exclusively(writer, partial(delete_orphan_rollup, orphan=orphan))


async def _write_exclusively(writer: Writer, work: Work[None]) -> None:
    await writer.write(work, is_synced=True, is_exclusive=True)


def _erase_requests(connection: Connection, seqs: Sequence[int], at_us: int) -> None:
    statements = _erasure_statements(connection.dialect)
    rows = orjson.dumps(seqs).decode()
    invalidate_rollups(
        connection, ROLLUP_KINDS, [row[0] for row in connection.execute(statements.started, (rows,))]
    )
    # Feedback may have come since the scope was read.
    delete_entries(connection, [row[0] for row in connection.execute(statements.on_rows, (rows,))])
    connection.execute(statements.anonymise, (at_us, rows))
    connection.execute(statements.delete_payloads, (rows,))
    connection.execute(statements.delete_other_ids, (rows,))


def delete_receipts(connection: Connection, receipts: Sequence[tuple[str, str]]) -> None:
    """Delete receipts by scope and key."""
    connection.executemany(_DELETE_RECEIPT, receipts)


def delete_entries(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Delete entries with all versions, invalidate rollups, and pair the edits again that had their texts."""
    statements = _erasure_statements(connection.dialect)
    ids = list_to_json(feedback_ids)
    invalidate_rollups(
        connection, (FEEDBACK_KIND,), [row[0] for row in connection.execute(statements.counted_times, (ids,))]
    )
    edits = find_affected_edits(connection, feedback_ids)
    for statement in statements.delete_entries:
        connection.execute(statement, (ids,))
    pair_edits(connection, edits)


def receipts_naming_query(feedback_id: str, dialect: Dialect) -> Query:
    """Select scope and key of the receipts that name an entry."""
    # Cheaper than to parse them all, and the same for an id in quotes.
    names = f"{dialect.position_call}feedback_ids, ?) > 0"
    return Query(f"SELECT scope, key FROM receipts WHERE {names}", (list_to_json([feedback_id])[1:-1],))


def delete_entry(connection: Connection, feedback_id: str, receipts: Sequence[tuple[str, str]]) -> bool:
    """Delete an entry and receipts; tell whether it was there."""
    if connection.execute(_IS_STORED, (clean_text(feedback_id),)).fetchone() is None:
        return False
    delete_receipts(connection, receipts)
    delete_entries(connection, [feedback_id])
    return True


async def _fetch_texts(
    connection: AsyncConnection, sql: str, values: Mapping[str, str | None]
) -> tuple[str, ...]:
    return tuple(row[0] for row in await connection.fetch_all(sql, values))


async def _find_receipts(connection: AsyncConnection, ids: Sequence[str]) -> tuple[tuple[str, str], ...]:
    if not ids:
        return ()
    receipts = _erasure_statements(connection.dialect).receipts
    return tuple(await connection.fetch_all(receipts, (list_to_json(ids),)))


def split_steps(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), STEP):
        yield things[start : start + STEP]


_OLD_REQUESTS = (
    "SELECT seq, started_at_us FROM requests WHERE started_at_us < ? ORDER BY started_at_us LIMIT ?"
)
_OLD_FEEDBACK = "SELECT feedback_id FROM feedback WHERE created_at_us < ? AND request_seq IS NULL LIMIT ?"
_DELETE_EXPORTS = "DELETE FROM exports WHERE created_at_us < ?"


class _RetentionStatements(NamedTuple):
    counted_requests: str
    remember_seq: str
    delete_payloads: str
    delete_other_ids: str
    delete_requests: str
    receipts_of_nothing: str


@cache
def _retention_statements(dialect: Dialect) -> _RetentionStatements:
    rows = f"seq {dialect.in_numbers('?')}"
    is_entry = dialect.json_has_element("feedback_ids", "IN (SELECT feedback_id FROM feedback)")
    is_request = dialect.json_has_element("feedback_ids", "IN (SELECT request_id FROM requests)")
    return _RetentionStatements(
        counted_requests=f"SELECT feedback_id FROM feedback WHERE request_{rows}",
        remember_seq=f"UPDATE expired SET last_seq = {dialect.greatest}(last_seq, ?)",
        delete_payloads=(
            f"DELETE FROM payloads WHERE seq {dialect.in_numbers(':seqs')}"
            f" {dialect.and_started_before(':before_us')}"
        ),
        delete_other_ids=f"DELETE FROM other_response_ids WHERE {rows}",
        delete_requests=f"DELETE FROM requests WHERE {rows}",
        receipts_of_nothing=(
            f"SELECT scope, key FROM receipts WHERE feedback_ids <> '[]' AND NOT {is_entry} AND NOT {is_request}"
        ),
    )


async def delete_expired(before_us: int, writer: Writer, primary: ReadPool) -> ExpiredCounts:
    """Delete expired data step by step, and return how much it was."""
    expired = ExpiredCounts()
    while (step := await _write_expiry(writer, partial(_expire_requests, before_us=before_us))).requests:
        expired += step
    while (step := await _write_expiry(writer, partial(_expire_feedback, before_us=before_us))).feedback:
        expired += step
    await _write_expiry(writer, lambda connection: connection.execute(_DELETE_EXPORTS, (before_us,)))
    if expired:
        for receipts in split_steps(await primary.read(_find_orphan_receipts)):
            await _write_expiry(writer, partial(delete_receipts, receipts=receipts))
        for orphan in await primary.read(find_orphan_rollups):
            await _write_expiry(writer, partial(delete_orphan_rollup, orphan=orphan))
    return expired


async def _write_expiry(writer: Writer, work: Work[T]) -> T:
    return await writer.write(work, is_exclusive=True)


def _expire_requests(connection: Connection, before_us: int) -> ExpiredCounts:
    rows = connection.execute(_OLD_REQUESTS, (before_us, STEP)).fetchall()
    if not rows:
        return ExpiredCounts()
    statements = _retention_statements(connection.dialect)
    seqs = orjson.dumps([seq for seq, _ in rows]).decode()
    invalidate_rollups(connection, ROLLUP_KINDS, [started_at_us for _, started_at_us in rows])
    feedback_ids = _first_column(connection, statements.counted_requests, seqs)
    delete_entries(connection, feedback_ids)
    connection.execute(statements.remember_seq, (max(seq for seq, _ in rows),))
    connection.execute(statements.delete_payloads, {"seqs": seqs, "before_us": before_us})
    connection.execute(statements.delete_other_ids, (seqs,))
    connection.execute(statements.delete_requests, (seqs,))
    return ExpiredCounts(len(rows), len(feedback_ids))


def _expire_feedback(connection: Connection, before_us: int) -> ExpiredCounts:
    feedback_ids = _first_column(connection, _OLD_FEEDBACK, before_us, STEP)
    delete_entries(connection, feedback_ids)
    return ExpiredCounts(0, len(feedback_ids))


async def _find_orphan_receipts(connection: AsyncConnection) -> list[tuple[str, str]]:
    return await connection.fetch_all(_retention_statements(connection.dialect).receipts_of_nothing)


def _first_column(connection: Connection, sql: str, *values: str | int) -> list[str]:
    return [row[0] for row in connection.execute(sql, values)]


class SqlErasure(Database):
    """Erasure and retention."""

    async def find_user_scope(self, user: str, tenant: str | None) -> ErasureScope:
        return await self._primary.read(lambda connection: _find_user_scope(connection, user, tenant))

    async def find_author_scope(self, author: str, tenant: str | None) -> ErasureScope:
        return await self._primary.read(lambda connection: _find_author_scope(connection, author, tenant))

    async def erase(self, scope: ErasureScope, at_us: int) -> None:
        await erase_scope(scope, at_us, self._writer, self._primary)
        await self._purge_deleted()

    async def expire(self, before_us: int) -> ExpiredCounts:
        expired = await delete_expired(before_us, self._writer, self._primary)
        if expired:
            await self._purge_deleted()
        return expired

    @abstractmethod
    async def create_partitions(self, at_us: int) -> None: ...

    @abstractmethod
    async def compact(self) -> None: ...

    @abstractmethod
    async def _purge_deleted(self) -> None:
        """Purge older states of the database that still have what was deleted."""
