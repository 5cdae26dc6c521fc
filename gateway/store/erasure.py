"""Erasure of a person's data, and deletion of what is past its retention, in short steps."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from gateway.models.clock import now_us
from gateway.models.columns import PERSONAL, Column
from gateway.models.exchange import PayloadPolicy
from gateway.models.request import REQUEST_COLUMNS, ErasureScope, ExpiredCounts
from gateway.store import rollups
from gateway.store.cached_answers import EXPIRE_ANSWERS, drop_answers_of
from gateway.store.database import Database
from gateway.store.dialect import AsyncConnection, Connection, Dialect
from gateway.store.filters import Query
from gateway.store.joins import find_affected_edits, pair_edits
from gateway.store.rows import clean_text, clean_text_or_none, list_to_json, numbers_to_json
from gateway.store.schema import REVIEWS_REQUEST
from gateway.store.webhooks import EXPIRE_DELIVERIES, add_deletions, drop_deliveries, drop_request_deliveries

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
_IS_KEPT = "EXISTS (SELECT 1 FROM rule_matches AS keeping WHERE request_seq = {} AND keep_until_us > :at_us)"
_OLDEST = f"""
SELECT seq, started_at_us FROM requests
WHERE started_at_us >= :from_us AND started_at_us < :before_us AND NOT {_IS_KEPT.format("requests.seq")}
ORDER BY started_at_us LIMIT {STEP}
"""
_MATCHED = f"""
SELECT requests.seq, requests.started_at_us, due.request_seq
FROM rule_matches AS due LEFT JOIN requests ON requests.seq = due.request_seq
WHERE due.delete_at_us <= :at_us AND NOT {_IS_KEPT.format("due.request_seq")} LIMIT {STEP}
"""
# Later than any request.
_NEVER_US = 2**62
_OLD_FEEDBACK = "SELECT feedback_id FROM feedback WHERE created_at_us < ? AND request_seq IS NULL LIMIT ?"
_EXPIRE_BY_AGE = (
    "DELETE FROM exports WHERE created_at_us < ?",
    "DELETE FROM alert_events WHERE at_us < ?",
    "DELETE FROM alert_states WHERE checked_at_us < ?",
    EXPIRE_DELIVERIES,
    EXPIRE_ANSWERS,
)


@dataclass(frozen=True, slots=True)
class _Statements:
    receipts: str
    orphan_receipts: str
    started: str
    counted_entries: str
    counted_times: str
    anonymise: str
    remember_seq: str
    delete_payloads: str
    delete_old_payloads: str
    delete_other_ids: str
    delete_reviews: str
    delete_matches: tuple[str, ...]
    delete_requests: str
    delete_entries: tuple[str, ...]
    note_change: str


def _cleared(column: Column) -> str:
    empty = "NULL" if column.is_optional else _EMPTY_VALUES.get(column.name, "'erased-' || seq")
    return f'"{column.name}" = {empty}'


@cache
def _statements(dialect: Dialect) -> _Statements:
    rows, some_rows = f"seq {dialect.in_numbers('?')}", f"seq {dialect.in_numbers(':seqs')}"
    entries = f"feedback_id {dialect.in_texts('?')}"
    names_one = dialect.json_has_element("feedback_ids", dialect.in_texts("?"))
    names_entry = dialect.json_has_element("feedback_ids", "IN (SELECT feedback_id FROM feedback)")
    names_request = dialect.json_has_element("feedback_ids", "IN (SELECT request_id FROM requests)")
    cleared = ", ".join(_cleared(column) for column in REQUEST_COLUMNS if column.uses & PERSONAL)
    return _Statements(
        receipts=f"SELECT scope, key FROM receipts WHERE {names_one}",
        orphan_receipts=(
            "SELECT scope, key FROM receipts"
            f" WHERE feedback_ids <> '[]' AND NOT {names_entry} AND NOT {names_request}"
        ),
        started=f"SELECT started_at_us FROM requests WHERE {rows}",
        counted_entries=f"SELECT feedback_id FROM feedback WHERE request_{rows}",
        counted_times=(
            f"SELECT request_started_at_us FROM feedback WHERE {entries} AND request_started_at_us IS NOT NULL"
        ),
        anonymise=(
            f"UPDATE requests SET {cleared}, payloads = '{PayloadPolicy.OFF}',"
            f" interpreted_at_us = coalesce(interpreted_at_us, ?) WHERE {rows}"
        ),
        remember_seq=f"UPDATE expired SET last_seq = {dialect.greatest}(last_seq, ?)",
        delete_payloads=f"DELETE FROM payloads WHERE {rows}",
        delete_old_payloads=(
            f"DELETE FROM payloads WHERE {some_rows} {dialect.and_started_before(':before_us')}"
        ),
        delete_other_ids=f"DELETE FROM other_response_ids WHERE {rows}",
        delete_reviews=(
            f"DELETE FROM reviews WHERE seq IN (SELECT reviews.seq FROM requests {dialect.ordered_join} reviews"
            f" ON {REVIEWS_REQUEST} WHERE requests.{rows})"
        ),
        delete_matches=(
            f"DELETE FROM rule_matches WHERE request_{rows}",
            f"DELETE FROM dataset_additions WHERE request_{rows}",
        ),
        delete_requests=f"DELETE FROM requests WHERE {rows}",
        delete_entries=(
            f"DELETE FROM feedback_versions WHERE {entries}",
            f"DELETE FROM feedback WHERE {entries}",
        ),
        note_change=(
            f"UPDATE feedback_changes SET last_seq = {dialect.greatest}(last_seq, coalesce("
            f"(SELECT max(change_seq) FROM feedback WHERE {entries}), 0))"
        ),
    )


async def _find_user_scope(connection: AsyncConnection, user: str, tenant: str | None) -> ErasureScope:
    values = {"person": clean_text(user), "tenant": clean_text_or_none(tenant)}
    await connection.begin_snapshot()
    seqs = await connection.fetch_all(_REQUESTS_OF_USER, values)
    feedback_ids = await _texts(connection, f"{_FEEDBACK_BY_AUTHOR} UNION {_FEEDBACK_ON_REQUESTS}", values)
    request_ids = await _texts(connection, _REQUEST_IDS_OF_USER_ONLY, values)
    receipts = await _find_receipts(connection, (*feedback_ids, *request_ids))
    return ErasureScope(tuple(seq for seq, _ in seqs), feedback_ids, receipts)


async def _find_author_scope(connection: AsyncConnection, author: str, tenant: str | None) -> ErasureScope:
    values = {"person": clean_text(author), "tenant": clean_text_or_none(tenant)}
    await connection.begin_snapshot()
    feedback_ids = await _texts(connection, _FEEDBACK_BY_AUTHOR, values)
    return ErasureScope((), feedback_ids, await _find_receipts(connection, feedback_ids))


def _erase_requests(connection: Connection, seqs: Sequence[int], at_us: int) -> None:
    statements = _statements(connection.dialect)
    rows = numbers_to_json(seqs)
    started = _first_column(connection, statements.started, rows)
    rollups.invalidate_rollups(connection, rollups.ROLLUP_KINDS, started)
    # Feedback may have come since the scope was read.
    erase_entries(connection, _first_column(connection, statements.counted_entries, rows), at_us)
    drop_request_deliveries(connection, seqs)
    drop_answers_of(connection, seqs)
    _delete_matches(connection, rows)
    # By the ids that the next statement clears.
    connection.execute(statements.delete_reviews, (rows,))
    connection.execute(statements.anonymise, (at_us, rows))
    connection.execute(statements.delete_payloads, (rows,))
    connection.execute(statements.delete_other_ids, (rows,))


def _expire_requests(
    connection: Connection, from_us: int, before_us: int, at_us: int
) -> tuple[ExpiredCounts, int]:
    """Delete the oldest rows between two times; return also the start of the last one."""
    values = {"from_us": from_us, "before_us": before_us, "at_us": at_us}
    rows = connection.execute(_OLDEST, values).fetchall()
    return _delete_requests(connection, rows, before_us), rows[-1][1] if rows else before_us


def _expire_matched(connection: Connection, at_us: int) -> ExpiredCounts:
    # Also matches of requests that are gone already.
    rows = connection.execute(_MATCHED, {"at_us": at_us}).fetchall()
    _delete_matches(connection, numbers_to_json([row[2] for row in rows]))
    stored = [(seq, started_at_us) for seq, started_at_us, _ in rows if seq is not None]
    return _delete_requests(connection, list(dict.fromkeys(stored)), _NEVER_US)


def _delete_matches(connection: Connection, seqs: str) -> None:
    for statement in _statements(connection.dialect).delete_matches:
        connection.execute(statement, (seqs,))


def _delete_requests(
    connection: Connection, rows: Sequence[tuple[int, int]], before_us: int
) -> ExpiredCounts:
    """Delete rows, given as `seq` and start; all of them started before a time."""
    if not rows:
        return ExpiredCounts()
    statements = _statements(connection.dialect)
    seqs = numbers_to_json([seq for seq, _ in rows])
    rollups.invalidate_rollups(connection, rollups.ROLLUP_KINDS, [started_at_us for _, started_at_us in rows])
    feedback_ids = _first_column(connection, statements.counted_entries, seqs)
    delete_entries(connection, feedback_ids)
    connection.execute(statements.remember_seq, (max(seq for seq, _ in rows),))
    connection.execute(statements.delete_old_payloads, {"seqs": seqs, "before_us": before_us})
    connection.execute(statements.delete_other_ids, (seqs,))
    connection.execute(statements.delete_reviews, (seqs,))
    _delete_matches(connection, seqs)
    drop_request_deliveries(connection, [seq for seq, _ in rows])
    drop_answers_of(connection, [seq for seq, _ in rows])
    connection.execute(statements.delete_requests, (seqs,))
    return ExpiredCounts(len(rows), len(feedback_ids))


def _expire_feedback(connection: Connection, before_us: int) -> ExpiredCounts:
    feedback_ids = _first_column(connection, _OLD_FEEDBACK, before_us, STEP)
    delete_entries(connection, feedback_ids)
    return ExpiredCounts(0, len(feedback_ids))


def delete_receipts(connection: Connection, receipts: Sequence[tuple[str, str]]) -> None:
    """Delete receipts by scope and key."""
    connection.executemany(_DELETE_RECEIPT, receipts)


def erase_entries(connection: Connection, feedback_ids: Sequence[str], at_us: int) -> None:
    """Delete entries as `delete_entries` does, and notify webhooks of it."""
    add_deletions(connection, feedback_ids, at_us)
    delete_entries(connection, feedback_ids)


def delete_entries(connection: Connection, feedback_ids: Sequence[str]) -> None:
    """Delete entries with all versions, also from messages to webhooks, invalidate rollups, and pair the edits
    again that had their texts."""
    drop_deliveries(connection, feedback_ids)
    statements = _statements(connection.dialect)
    ids = list_to_json(feedback_ids)
    counted_times = _first_column(connection, statements.counted_times, ids)
    rollups.invalidate_rollups(connection, rollups.FEEDBACK_KINDS, counted_times)
    edits = find_affected_edits(connection, feedback_ids)
    connection.execute(statements.note_change, (ids,))
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
    erase_entries(connection, [feedback_id], now_us())
    return True


async def _texts(connection: AsyncConnection, sql: str, values: Mapping[str, str | None]) -> tuple[str, ...]:
    return tuple(row[0] for row in await connection.fetch_all(sql, values))


async def _find_receipts(connection: AsyncConnection, ids: Sequence[str]) -> tuple[tuple[str, str], ...]:
    if not ids:
        return ()
    receipts = _statements(connection.dialect).receipts
    return tuple(await connection.fetch_all(receipts, (list_to_json(ids),)))


def _steps(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), STEP):
        yield things[start : start + STEP]


def _first_column(connection: Connection, sql: str, *values: str | int) -> list[Any]:
    return [row[0] for row in connection.execute(sql, values)]


def _execute(connection: Connection, sql: str, values: Sequence[int]) -> None:
    connection.execute(sql, values)


class SqlErasure(Database):
    """Erasure and retention."""

    async def find_user_scope(self, user: str, tenant: str | None) -> ErasureScope:
        return await self._primary.read(lambda connection: _find_user_scope(connection, user, tenant))

    async def find_author_scope(self, author: str, tenant: str | None) -> ErasureScope:
        return await self._primary.read(lambda connection: _find_author_scope(connection, author, tenant))

    async def erase(self, scope: ErasureScope, at_us: int) -> None:
        # What leads to other data is erased after that, so that everything is found again if this breaks off.
        for receipts in _steps(scope.receipts):
            await self._write_exclusively(delete_receipts, receipts)
        for feedback_ids in _steps(scope.feedback_ids):
            await self._write_exclusively(erase_entries, feedback_ids, at_us)
        for seqs in _steps(scope.request_seqs):
            await self._write_exclusively(_erase_requests, seqs, at_us)
        await self._delete_orphan_rollups()
        await self._purge_deleted()

    async def expire(self, before_us: int) -> ExpiredCounts:
        expired, from_us, at_us = ExpiredCounts(), -_NEVER_US, now_us()
        while from_us < before_us:
            # Not from the start each time, since kept rows may be many.
            step, from_us = await self._write_exclusively(_expire_requests, from_us, before_us, at_us)
            expired += step
        while (step := await self._write_exclusively(_expire_feedback, before_us)).feedback:
            expired += step
        for statement in _EXPIRE_BY_AGE:
            await self._write_exclusively(_execute, statement, (before_us,))
        await self._clean_up_after(expired)
        return expired

    async def expire_matched(self, at_us: int) -> ExpiredCounts:
        expired = ExpiredCounts()
        while (step := await self._write_exclusively(_expire_matched, at_us)).requests:
            expired += step
        await self._clean_up_after(expired)
        return expired

    async def _clean_up_after(self, expired: ExpiredCounts) -> None:
        if expired:
            orphans = _statements(self._dialect).orphan_receipts
            found = await self._primary.read(lambda connection: connection.fetch_all(orphans))
            for receipts in _steps(found):
                await self._write_exclusively(delete_receipts, receipts)
            await self._delete_orphan_rollups()
            await self._purge_deleted()

    async def _delete_orphan_rollups(self) -> None:
        for orphan in await self._primary.read(rollups.find_orphan_rollups):
            await self._write_exclusively(rollups.delete_orphan_rollup, orphan)

    @abstractmethod
    async def create_partitions(self, at_us: int) -> None: ...

    @abstractmethod
    async def compact(self) -> None: ...

    @abstractmethod
    async def _purge_deleted(self) -> None:
        """Purge older states of the database that still have what was deleted."""
