"""Transfer of all data from one store into another, each record once."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from gateway.errors import Conflict
from gateway.models.feedback import Feedback, Receipt
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.request import StoredRequest, StoreTotals
from gateway.store.base import Store
from gateway.store.database import Database
from gateway.store.dialect import AsyncConnection, Connection, Dialect
from gateway.store.feedback import histories_query
from gateway.store.requests import (
    connect_requests,
    exchange_size_bytes,
    find_missing,
    insert_requests,
    insert_response_ids,
)
from gateway.store.rows import (
    FEEDBACK_ROWS,
    RECEIPT_ROWS,
    REQUEST_ROWS,
    Packer,
    exchange_from_row,
    record_to_row,
)
from gateway.store.schema import PAYLOAD_COLUMNS, REQUEST_INSERT_COLUMNS, REQUESTS, quote_columns

_CHUNK_ROWS = 500
# Size of the bodies read at a time.
_CHUNK_BYTES = 8 * 1024 * 1024

_TOTALS = """
SELECT
    count(*), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0), coalesce(sum(cost_nanousd), 0),
    coalesce(sum(request_size + response_size), 0),
    (SELECT count(*) FROM feedback),
    (SELECT count(*) FROM feedback) + (SELECT count(*) FROM feedback_versions),
    (SELECT coalesce(sum(weight), 0.0) FROM feedback)
FROM requests
"""
_REQUEST_SIZES = "SELECT seq, request_size + response_size FROM requests WHERE seq > ? ORDER BY seq LIMIT ?"
_OTHER_IDS = "SELECT response_id, seq FROM other_response_ids WHERE seq > ? AND seq <= ? ORDER BY response_id"
_ENTRIES = "SELECT seq, feedback_id FROM feedback WHERE seq > ? ORDER BY seq LIMIT ?"
_RECEIPTS = (
    f"SELECT {quote_columns(RECEIPT_ROWS.columns)} FROM receipts WHERE (scope, key) > (?, ?)"
    " ORDER BY scope, key LIMIT ?"
)


@cache
def _select_stored_requests(dialect: Dialect) -> str:
    columns = [f'r."{column}"' for column in (*REQUESTS.columns, *REQUEST_INSERT_COLUMNS)]
    columns += [dialect.payload_column(column) for column in PAYLOAD_COLUMNS[1:]]
    return (
        f"SELECT {', '.join(columns)} FROM requests AS r"
        f" LEFT JOIN payloads AS p ON {dialect.is_payload_of('p', 'r')}"
        " WHERE r.seq > ? AND r.seq <= ? ORDER BY r.seq"
    )


async def _requests_after(connection: AsyncConnection, seq: int) -> list[StoredRequest]:
    await connection.begin_snapshot()
    size, last = 0, seq
    for following, size_bytes in await connection.fetch_all(_REQUEST_SIZES, (seq, _CHUNK_ROWS)):
        last = following
        size += size_bytes
        if size > _CHUNK_BYTES:
            break
    others: dict[int, list[str]] = defaultdict(list)
    for response_id, seq_of_row in await connection.fetch_all(_OTHER_IDS, (seq, last)):
        others[seq_of_row].append(response_id)
    rows = await connection.fetch_all(_select_stored_requests(connection.dialect), (seq, last))
    return [_stored_request(row, others) for row in rows]


def put_requests(
    connection: Connection, packer: Packer, requests: Sequence[StoredRequest], worker: int
) -> list[int]:
    """Store the missing rows under the next `seq`s, and return their positions."""
    positions = find_missing(connection, [stored.exchange for stored in requests])
    new = [requests[position] for position in positions]
    seqs = connection.dialect.allocate_seqs(connection, len(new))
    numbered = [(seq, stored.exchange) for seq, stored in zip(seqs, new, strict=True)]
    rows = [
        (*record_to_row(seq, stored.record), stored.exchange.payloads.value, worker)
        for seq, stored in zip(seqs, new, strict=True)
    ]
    insert_requests(connection, packer, (*REQUESTS.columns, "payloads", "worker"), rows, numbered)
    others = [stored.other_response_ids for stored in new]
    insert_response_ids(connection, zip(seqs, others, strict=True))
    connect_requests(connection, numbered, _joinable_ids(new))
    return positions


def _joinable_ids(requests: Sequence[StoredRequest]) -> dict[str, int]:
    ids: dict[str, int] = {}
    for stored in requests:
        record = stored.record
        names = (record.trace_id, record.request_id, record.response_id, record.session)
        ids |= {name: record.ended_at_us for name in (*names, *stored.other_response_ids) if name is not None}
    return ids


async def _histories_after(
    connection: AsyncConnection, after_seq: int, limit: int
) -> list[tuple[int, list[Feedback]]]:
    await connection.begin_snapshot()
    entries = await connection.fetch_all(_ENTRIES, (after_seq, limit))
    histories: dict[str, list[Feedback]] = {feedback_id: [] for _, feedback_id in entries}
    for row in await connection.fetch_all(*histories_query(list(histories), connection.dialect)):
        entry = FEEDBACK_ROWS.from_row(row)
        histories[entry.feedback_id].append(entry)
    return [(seq, histories[feedback_id]) for seq, feedback_id in entries]


def _stored_request(row: Sequence[Any], others: Mapping[int, Sequence[str]]) -> StoredRequest:
    columns = len(REQUESTS.columns)
    record = REQUEST_ROWS.from_row(row[:columns])
    return StoredRequest(record, exchange_from_row(row[columns:])[1], tuple(others.get(record.seq, ())))


class SqlTransfer(Database):
    """Reading everything in order, and storing what is missing."""

    async def store_totals(self) -> StoreTotals:
        [row] = await self._primary.read(lambda connection: connection.fetch_all(_TOTALS))
        return StoreTotals(*row)

    async def requests_after(self, seq: int) -> list[StoredRequest]:
        return await self._primary.read(lambda connection: _requests_after(connection, seq))

    async def put_requests(self, requests: Sequence[StoredRequest]) -> list[int]:
        size = sum(exchange_size_bytes(stored.exchange) for stored in requests)
        return await self._writer.write(
            lambda connection: put_requests(connection, self._packer, requests, self._worker_slots[0]),
            size_bytes=size,
            is_exclusive=True,
        )

    async def histories_after(self, after_seq: int, limit: int) -> list[tuple[int, list[Feedback]]]:
        return await self._primary.read(lambda connection: _histories_after(connection, after_seq, limit))

    async def receipts_after(self, after: tuple[str, str], limit: int) -> list[Receipt]:
        values = (*after, limit)
        rows = await self._primary.read(lambda connection: connection.fetch_all(_RECEIPTS, values))
        return [RECEIPT_ROWS.from_row(row) for row in rows]


# Entries, reviews, receipts or audit entries copied at a time.
PAGE_ROWS = 500

ReportProgress = Callable[["MigrationProgress"], None]


@dataclass(slots=True)
class MigrationProgress:
    """Totals of the source, of what was new to the target, and keys whose names are taken there."""

    source_totals: StoreTotals = field(default_factory=StoreTotals)
    added: StoreTotals = field(default_factory=StoreTotals)
    keys: int = 0
    refused_keys: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MigrationCheck:
    """Totals of the source that changed meanwhile, and of the target that did not grow by what was added."""

    missed: list[str]
    wrong: list[str]


class StoreMigration:
    """Copies everything in one store into another, and reports progress after each step."""

    def __init__(self, source: Store, target: Store, report: ReportProgress) -> None:
        self._source = source
        self._target = target
        self._report = report
        self.progress = MigrationProgress()

    async def run(self) -> MigrationCheck:
        """Copy everything, then compare totals. Raises StoreUnavailable; what was copied stays."""
        before = await self._target.store_totals()
        # Requests come first, so that feedback finds them.
        await self._move_requests()
        await self._move_feedback()
        await self._move_reviews()
        await self._move_receipts()
        await self._move_keys()
        await self._move_spendings()
        await self._move_audit()
        source_totals_now, after = await self._source.store_totals(), await self._target.store_totals()
        return MigrationCheck(
            source_totals_now.differs_from(self.progress.source_totals),
            after.differs_from(before + self.progress.added),
        )

    async def _move_requests(self) -> None:
        seq = -1
        while requests := await self._source.requests_after(seq):
            positions = await self._target.put_requests(requests)
            added = [requests[position] for position in positions]
            self._count(_totals_of_requests(requests), _totals_of_requests(added))
            seq = requests[-1].record.seq

    async def _move_feedback(self) -> None:
        after_seq = 0
        while found := await self._source.histories_after(after_seq, PAGE_ROWS):
            entries = [entry for _, history in found for entry in history]
            ids = list(dict.fromkeys(entry.feedback_id for entry in entries))
            stored = {entry.feedback_id: entry for entry in await self._target.feedback_by_ids(ids)}
            missing = [
                entry
                for entry in entries
                if entry.feedback_id not in stored or entry.version > stored[entry.feedback_id].version
            ]
            await self._target.put_feedback(missing)
            self._count(_totals_of_feedback(entries, {}), _totals_of_feedback(missing, stored))
            after_seq = found[-1][0]

    async def _move_reviews(self) -> None:
        seq = 0
        while reviews := await self._source.reviews_after(seq, PAGE_ROWS):
            await self._target.put_reviews(reviews)
            seq = reviews[-1].seq

    async def _move_receipts(self) -> None:
        after = ("", "")
        while receipts := await self._source.receipts_after(after, PAGE_ROWS):
            await asyncio.gather(*map(self._move_receipt, receipts))
            after = (receipts[-1].scope, receipts[-1].key)

    async def _move_receipt(self, receipt: Receipt) -> None:
        try:
            await self._target.put_feedback([], receipt)
        except Conflict:
            return  # it is there, or that key was used for something else since

    async def _move_keys(self) -> None:
        known = {key.sha256 for key in await self._target.keys()}
        for key in await self._source.keys():
            if key.sha256 in known:
                continue
            try:
                await self._target.add_key(key)
                self.progress.keys += 1
            except Conflict:
                self.progress.refused_keys.append(key.name)

    async def _move_spendings(self) -> None:
        known = {(usage.key_name, usage.unit, usage.window) for usage in await self._target.spendings()}
        spendings = await self._source.spendings()
        new = [usage for usage in spendings if (usage.key_name, usage.unit, usage.window) not in known]
        await self._target.spend(new)

    async def _move_audit(self) -> None:
        oldest_first = Sort("at_us", descending=False, then=Sort("audit_id", descending=False))
        offset = 0
        while page := await self._source.find_audit(NO_FILTER, oldest_first, Page(PAGE_ROWS, offset), None):
            await asyncio.gather(*map(self._target.begin_audit, page))
            offset += len(page)

    def _count(self, source_totals: StoreTotals, added: StoreTotals) -> None:
        self.progress.source_totals += source_totals
        self.progress.added += added
        self._report(self.progress)


def _totals_of_requests(requests: Sequence[StoredRequest]) -> StoreTotals:
    records = [stored.record for stored in requests]
    return StoreTotals(
        requests=len(records),
        prompt_tokens=sum(record.prompt_tokens or 0 for record in records),
        completion_tokens=sum(record.completion_tokens or 0 for record in records),
        cost_nanousd=sum(record.cost_nanousd or 0 for record in records),
        body_bytes=sum(record.request_size + record.response_size for record in records),
    )


def _totals_of_feedback(versions: Sequence[Feedback], stored: Mapping[str, Feedback]) -> StoreTotals:
    latest = {entry.feedback_id: entry for entry in versions}
    return StoreTotals(
        feedback=len(latest.keys() - stored.keys()),
        versions=len(versions),
        weight=sum(
            entry.weight - (stored[name].weight if name in stored else 0) for name, entry in latest.items()
        ),
    )
