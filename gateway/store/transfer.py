"""Transfer of all data from one store into another, each record once."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cache
from operator import itemgetter
from typing import Any

import orjson

from gateway.errors import Conflict
from gateway.models.datasets import DatasetChunk, DatasetVersion
from gateway.models.export import ExportStatus
from gateway.models.feedback import Feedback, Receipt
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.request import StoredRequest, StoreTotals
from gateway.store.base import Store
from gateway.store.body_codecs import Packer
from gateway.store.database import Database
from gateway.store.dialect import AsyncConnection, Connection, Dialect
from gateway.store.feedback import histories_query
from gateway.store.filters import Query
from gateway.store.imports import find_missing
from gateway.store.requests import (
    connect_requests,
    exchange_size_bytes,
    insert_requests,
    insert_response_ids,
)
from gateway.store.rows import (
    FEEDBACK_ROWS,
    MAX_INTEGER,
    RECEIPT_ROWS,
    REQUEST_ROWS,
    exchange_from_row,
    list_to_json,
    numbers_to_json,
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
# Tables with rows about a request, by `request_seq`, each row of a setting of the same id in another table.
_MARKS = {
    "rule_matches": (
        "rule_id", "request_seq", "rule_version", "rule", "is_review", "matched_at_us", "delete_at_us",
        "keep_until_us",
    ),
    "dataset_additions": ("dataset_id", "request_seq", "added_at_us"),
}  # fmt: skip
_MARKED_SEQS = "SELECT DISTINCT request_seq FROM {} WHERE request_seq > ? ORDER BY request_seq LIMIT ?"
# Requests of a chunk of a dataset's version.
_CHUNK_REQUESTS = 1_000

# Identifies a request in any store.
RequestKey = tuple[str, int, str | None]
Mark = tuple[Any, ...]


def _find_keys(dialect: Dialect, seqs: Sequence[int]) -> Query:
    is_among = f"seq {dialect.in_numbers('?')}"
    sql = f"SELECT seq, request_id, started_at_us, tenant FROM requests WHERE {is_among}"
    return Query(sql, (numbers_to_json(seqs),))


def _find_by_keys(dialect: Dialect, keys: Sequence[RequestKey]) -> Query:
    started = f"{dialect.without_index('started_at_us')} {dialect.in_numbers('?')}"
    return Query(
        "SELECT seq, request_id, started_at_us, tenant FROM requests"
        f" WHERE request_id {dialect.in_texts('?')} AND {started}",
        (list_to_json([key[0] for key in keys]), numbers_to_json([key[1] for key in keys])),
    )


async def _marks_after(connection: AsyncConnection, table: str, seq: int, limit: int) -> list[Mark]:
    await connection.begin_snapshot()
    seqs = [row[0] for row in await connection.fetch_all(_MARKED_SEQS.format(table), (seq, limit))]
    is_among = f"request_seq {connection.dialect.in_numbers('?')}"
    sql = f"SELECT {', '.join(_MARKS[table])} FROM {table} WHERE {is_among} ORDER BY request_seq"
    return await connection.fetch_all(sql, (numbers_to_json(seqs),))


def _put_marks(connection: Connection, table: str, marks: Sequence[Mark]) -> None:
    columns = _MARKS[table]
    values = f"({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    connection.executemany(f"INSERT INTO {table} {values} ON CONFLICT DO NOTHING", marks)


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


def put_requests(connection: Connection, packer: Packer, requests: Sequence[StoredRequest]) -> list[int]:
    """Store the missing rows under the next `seq`s, and return their positions."""
    positions = find_missing(connection, [stored.exchange for stored in requests])
    new = [requests[position] for position in positions]
    seqs = connection.dialect.allocate_seqs(connection, len(new))
    numbered = [(seq, stored.exchange) for seq, stored in zip(seqs, new, strict=True)]
    rows = [
        (*record_to_row(seq, stored.record), stored.exchange.payloads.value)
        for seq, stored in zip(seqs, new, strict=True)
    ]
    insert_requests(connection, packer, (*REQUESTS.columns, "payloads"), rows, numbered)
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
            lambda connection: put_requests(connection, self._packer, requests),
            size_bytes=size,
            is_exclusive=True,
        )

    async def histories_after(self, after_seq: int, limit: int) -> list[tuple[int, list[Feedback]]]:
        return await self._primary.read(lambda connection: _histories_after(connection, after_seq, limit))

    async def receipts_after(self, after: tuple[str, str], limit: int) -> list[Receipt]:
        values = (*after, limit)
        rows = await self._primary.read(lambda connection: connection.fetch_all(_RECEIPTS, values))
        return [RECEIPT_ROWS.from_row(row) for row in rows]

    async def request_keys(self, seqs: Sequence[int]) -> dict[int, RequestKey]:
        query = _find_keys(self._dialect, seqs)
        return {seq: tuple(key) for seq, *key in await self._primary.fetch_all(query.sql, query.values)}

    async def seqs_by_key(self, keys: Sequence[RequestKey]) -> dict[RequestKey, int]:
        query = _find_by_keys(self._dialect, keys)
        return {tuple(key): seq for seq, *key in await self._primary.fetch_all(query.sql, query.values)}

    async def marks_after(self, table: str, seq: int, limit: int) -> list[Mark]:
        return await self._primary.read(lambda connection: _marks_after(connection, table, seq, limit))

    async def put_marks(self, table: str, marks: Sequence[Mark]) -> None:
        await self._write_exclusively(_put_marks, table, marks)


# Entries, reviews, receipts or audit entries copied at a time.
PAGE_ROWS = 500
_ALL_ROWS = Page(MAX_INTEGER)

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
        await self._move_datasets()
        await self._move_webhooks_and_rules()
        await self._move_audit()
        await self._move_alerts()
        await self._move_exports()
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

    async def _move_datasets(self) -> None:
        for dataset in await self._source.find_datasets(NO_FILTER, Sort(descending=False), _ALL_ROWS, None):
            # Under another id the target has one of this name, or this one from an earlier move.
            with contextlib.suppress(Conflict):
                await self._target.add_dataset(dataset)
            for version in reversed(await self._source.dataset_versions(dataset.dataset_id)):
                # Its number is taken by an earlier move, or the dataset was not moved.
                with contextlib.suppress(Conflict):
                    await self._target.add_dataset_version(version, await self._chunks_there(version))
        datasets = await self._target.find_datasets(NO_FILTER, Sort(), _ALL_ROWS, None)
        await self._move_marks("dataset_additions", {each.dataset_id for each in datasets})

    async def _chunks_there(self, version: DatasetVersion) -> list[DatasetChunk]:
        """Return the requests of a version by their positions in the target; those that are gone are left out."""
        found: list[tuple[int, object]] = []
        after = 0
        while read := await self._source.dataset_chunks(version.version_id, after, 1):
            after = read[0].last_seq
            feedback = dict(orjson.loads(read[0].requests))
            seqs = await self._seqs_there(list(feedback))
            found += [(seqs[seq], orjson.Fragment(orjson.dumps(feedback[seq]))) for seq in seqs]
        found.sort(key=itemgetter(0))
        chunks = [found[start : start + _CHUNK_REQUESTS] for start in range(0, len(found), _CHUNK_REQUESTS)]
        return [DatasetChunk(chunk[-1][0], orjson.dumps(chunk).decode()) for chunk in chunks]

    async def _seqs_there(self, seqs: Sequence[int]) -> dict[int, int]:
        """Return the positions in the target of requests by those in the source."""
        keys = await self._source.request_keys(seqs)
        there = await self._target.seqs_by_key(list(keys.values()))
        return {seq: there[key] for seq, key in keys.items() if key in there}

    async def _move_marks(self, table: str, setting_ids: Set[str]) -> None:
        seq = 0
        while marks := await self._source.marks_after(table, seq, PAGE_ROWS):
            seqs = await self._seqs_there([mark[1] for mark in marks])
            moved = [
                (setting_id, seqs[seq_here], *others)
                for setting_id, seq_here, *others in marks
                if setting_id in setting_ids and seq_here in seqs
            ]
            await self._target.put_marks(table, moved)
            seq = marks[-1][1]

    async def _move_exports(self) -> None:
        # As drafts, since the files stay where they are.
        for export in await self._source.find_exports(NO_FILTER, Sort(descending=False), _ALL_ROWS, None):
            draft = replace(
                export, version=1, status=ExportStatus.DRAFT, last_seq=None, rows_total=None, rows_done=0,
                file=None, error=None, owner=None, lease_until_us=None, checkpoint={},
            )  # fmt: skip
            with contextlib.suppress(Conflict):
                await self._target.put_export(draft)

    async def _move_webhooks_and_rules(self) -> None:
        # They begin with what happens in the target; deliveries stay where they are.
        for webhook in await self._source.webhooks(None):
            with contextlib.suppress(Conflict):
                await self._target.put_webhook(replace(webhook, owner=None, lease_until_us=None))
        for rule in await self._source.rules(None):
            with contextlib.suppress(Conflict):
                await self._target.put_rule(replace(rule, backfill_position=None))
        await self._move_marks("rule_matches", {rule.rule_id for rule in await self._target.rules(None)})

    async def _move_audit(self) -> None:
        oldest_first = Sort("at_us", descending=False, then=Sort("audit_id", descending=False))
        offset = 0
        while page := await self._source.find_audit(NO_FILTER, oldest_first, Page(PAGE_ROWS, offset), None):
            await asyncio.gather(*map(self._target.begin_audit, page))
            offset += len(page)

    async def _move_alerts(self) -> None:
        rules = await self._source.find_alerts(NO_FILTER, Sort(descending=False), _ALL_ROWS, None)
        for rule in rules:
            # Under another id the target has a rule of this name, or this one: then it keeps its own.
            with contextlib.suppress(Conflict):
                await self._target.put_alert(replace(rule, version=1))
        kept = {rule.alert_id for rule in rules} | set(await self._source.alert_checks())
        await self._target.copy_alert_history(await self._source.alert_states(sorted(kept)), [])
        seq = 0
        while events := await self._source.alert_events_after(seq, PAGE_ROWS):
            await self._target.copy_alert_history([], events)
            seq = events[-1].seq

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
