"""Transfer of everything from one store into another, each record once."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from gateway.errors import Conflict
from gateway.models.exchange import PayloadPolicy
from gateway.models.feedback import Feedback, Receipt
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.request import StoredRequest, StoreTotals
from gateway.store import feedback
from gateway.store.base import Store
from gateway.store.database import Database
from gateway.store.dialect import Connection, Dialect
from gateway.store.joins import join_waiting_feedback, reassign_requests
from gateway.store.requests import exchange_size_bytes, find_missing, insert_response_ids
from gateway.store.rollups import REQUEST_KINDS, invalidate_rollups
from gateway.store.rows import (
    RECEIPT_ROWS,
    REQUEST_ROWS,
    Packer,
    exchange_from_row,
    payload_to_row,
    record_to_row,
)
from gateway.store.schema import (
    PAYLOAD_COLUMNS,
    REQUEST_INSERT_COLUMNS,
    REQUESTS,
    payload_columns,
    quote_columns,
)

_CHUNK_ROWS = 500
_CHUNK_BYTES = 8 * 1024 * 1024
"""How much is read at a time, as it went over the wire."""

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
_OTHER_RESPONSE_IDS = (
    "SELECT response_id, seq FROM other_response_ids WHERE seq > ? AND seq <= ? ORDER BY response_id"
)
_ENTRIES = "SELECT seq, feedback_id FROM feedback WHERE seq > ? ORDER BY seq LIMIT ?"
_RECEIPTS = (
    f"SELECT {quote_columns(RECEIPT_ROWS.columns)} FROM receipts WHERE (scope, key) > (?, ?) ORDER BY"
    f" scope, key LIMIT ?"
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


def store_totals(connection: Connection) -> StoreTotals:
    """Count and sum up everything."""
    return StoreTotals(*connection.execute(_TOTALS).fetchone())


def requests_after(connection: Connection, seq: int) -> list[StoredRequest]:
    """Return the rows that follow a `seq`."""
    size, last = 0, seq
    for following, size_bytes in connection.execute(_REQUEST_SIZES, (seq, _CHUNK_ROWS)).fetchall():
        last = following
        size += size_bytes
        if size > _CHUNK_BYTES:
            break
    others: dict[int, list[str]] = defaultdict(list)
    for response_id, seq_of_row in connection.execute(_OTHER_RESPONSE_IDS, (seq, last)):
        others[seq_of_row].append(response_id)
    return [
        _stored_request(row, others)
        for row in connection.execute(_select_stored_requests(connection.dialect), (seq, last))
    ]


def put_requests(
    connection: Connection, packer: Packer, requests: Sequence[StoredRequest], worker: int
) -> list[int]:
    """Store the rows that are not there yet, under the next `seq`s, and return their positions."""
    positions = find_missing(connection, [stored.exchange for stored in requests])
    new = [requests[position] for position in positions]
    numbered = list(zip(connection.dialect.allocate_seqs(connection, len(new)), new, strict=True))
    connection.insert(
        "requests",
        (*REQUESTS.columns, "payloads", "worker"),
        [
            (*record_to_row(seq, stored.record), stored.exchange.payloads.value, worker)
            for seq, stored in numbered
        ],
    )
    connection.insert(
        "payloads",
        payload_columns(packer.columns, packer.copied_columns),
        [
            payload_to_row(seq, stored.exchange, packer)
            for seq, stored in numbered
            if stored.exchange.payloads is not PayloadPolicy.OFF
        ],
    )
    insert_response_ids(connection, [(seq, stored.other_response_ids) for seq, stored in numbered])
    records = [stored.record for stored in new]
    invalidate_rollups(connection, REQUEST_KINDS, [record.started_at_us for record in records])
    join_waiting_feedback(
        connection,
        {
            name: stored.record.ended_at_us
            for stored in new
            for name in (
                stored.record.trace_id,
                stored.record.request_id,
                stored.record.response_id,
                stored.record.session,
                *stored.other_response_ids,
            )
            if name is not None
        },
    )
    reassign_requests(connection, [seq for seq, _ in numbered])
    return positions


def histories_after(connection: Connection, after_seq: int, limit: int) -> list[tuple[int, list[Feedback]]]:
    """Return entries with all their versions, from the one after a place on."""
    found = connection.execute(_ENTRIES, (after_seq, limit)).fetchall()
    return [(seq, feedback.feedback_history(connection, feedback_id)) for seq, feedback_id in found]


def receipts_after(connection: Connection, after: tuple[str, str], limit: int) -> list[Receipt]:
    """Return the receipts that follow one."""
    return [RECEIPT_ROWS.from_row(row) for row in connection.execute(_RECEIPTS, (*after, limit))]


def _stored_request(row: Sequence[Any], others: Mapping[int, Sequence[str]]) -> StoredRequest:
    columns = len(REQUESTS.columns)
    record = REQUEST_ROWS.from_row(row[:columns])
    return StoredRequest(record, exchange_from_row(row[columns:])[1], tuple(others.get(record.seq, ())))


class SqlTransfer(Database):
    """Keeps what the protocol of the same name promises."""

    async def store_totals(self) -> StoreTotals:
        return await self._primary.read(store_totals)

    async def requests_after(self, seq: int) -> list[StoredRequest]:
        return await self._primary.read(lambda connection: requests_after(connection, seq))

    async def put_requests(self, requests: Sequence[StoredRequest]) -> list[int]:
        size = sum(exchange_size_bytes(stored.exchange) for stored in requests)
        return await self._writer.write(
            lambda connection: put_requests(connection, self._packer, requests, self._workers[0]),
            size_bytes=size,
            is_exclusive=True,
        )

    async def histories_after(self, after_seq: int, limit: int) -> list[tuple[int, list[Feedback]]]:
        return await self._primary.read(lambda connection: histories_after(connection, after_seq, limit))

    async def receipts_after(self, after: tuple[str, str], limit: int) -> list[Receipt]:
        return await self._primary.read(lambda connection: receipts_after(connection, after, limit))


PAGE_ROWS = 500
"""How many entries, receipts or lines of the audit log are moved at a time."""

ReportProgress = Callable[["MigrationProgress"], None]
"""Told how far it has come, after each step."""


@dataclass(slots=True)
class MigrationProgress:
    """What was met in the source, and what of it was new to the target.

    Args:
        refused_keys: names of keys of the source whose name belongs to another live key of the target.
    """

    source_totals: StoreTotals = field(default_factory=StoreTotals)
    added: StoreTotals = field(default_factory=StoreTotals)
    keys: int = 0
    refused_keys: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class MigrationCheck:
    """Figures in which the stores are not what they should be after everything was moved.

    Args:
        missed: those of the source that differ from what was met there: somebody wrote to it meanwhile.
        wrong: those of the target that did not grow by what was added.
    """

    missed: list[str]
    wrong: list[str]


class StoreMigration:
    """Brings what is in one store into another.

    Args:
        tell: told how far it has come.
    """

    def __init__(self, source: Store, target: Store, report: ReportProgress) -> None:
        self._source = source
        self._target = target
        self._report = report
        self.progress = MigrationProgress()

    async def run(self) -> MigrationCheck:
        """Move everything, then compare counts and sums. Requests come first, so that what is said of them finds
        them.

        Raises:
            StoreUnavailable: one of them cannot be used; what has arrived is there.
        """
        before = await self._target.store_totals()
        await self._move_requests()
        await self._move_feedback()
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
            self._count(
                _totals_of_requests(requests),
                _totals_of_requests([requests[position] for position in positions]),
            )
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
        await self._target.spend(
            [usage for usage in spendings if (usage.key_name, usage.unit, usage.window) not in known]
        )

    async def _move_audit(self) -> None:
        oldest_first = Sort("at_us", descending=False, then=Sort("audit_id", descending=False))
        offset = 0
        while entries := await self._source.find_audit(
            NO_FILTER, oldest_first, Page(PAGE_ROWS, offset), None
        ):
            await asyncio.gather(*map(self._target.begin_audit, entries))
            offset += len(entries)

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
    """What versions add to those that are stored already."""
    latest = {entry.feedback_id: entry for entry in versions}
    return StoreTotals(
        feedback=len(latest.keys() - stored.keys()),
        versions=len(versions),
        weight=sum(
            entry.weight - (stored[name].weight if name in stored else 0) for name, entry in latest.items()
        ),
    )
