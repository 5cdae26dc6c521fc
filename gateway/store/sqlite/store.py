"""SqliteStore: each promise of the seam as a job for the writer or a question to a reader."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from gateway.domain.aggregate import Cell, Latencies, Question, UsageSums, VerdictSums
from gateway.domain.exchange import Exchange
from gateway.domain.export import Export
from gateway.domain.feedback import Feedback, Receipt, Target
from gateway.domain.filter import All, Filter, Is, Op, Page, Sort
from gateway.domain.request import Facts, Payload, RequestRecord
from gateway.domain.subject import Subject
from gateway.errors import StoreUnavailable
from gateway.store.base import Decode, Health, StoredKey, as_sent
from gateway.store.packing import BodyPacker
from gateway.store.rows import export_from_row, feedback_from_row, record_from_row
from gateway.store.sql import Query, count, mentions, select
from gateway.store.sqlite import (
    answers,
    export_table,
    feedback_log,
    heartbeat,
    key_table,
    request_log,
    rollup_table,
    tagging,
)
from gateway.store.sqlite.connection import connect_writer
from gateway.store.sqlite.joining import find_subjects
from gateway.store.sqlite.readers import Readers
from gateway.store.sqlite.rollup_table import Span
from gateway.store.sqlite.schema import bring_up_to_date
from gateway.store.sqlite.writer import Writer
from gateway.store.tables import EXPORTS, FEEDBACK, REQUESTS
from gateway.store.text import MAX_INTEGER

T = TypeVar("T")

_NOT_DELETED = Is("deleted_at_us", Op.EQ, None)
_LOOKUP_THREADS = 2
_QUERY_THREADS = 4


async def open_sqlite(path: Path, decode: Decode, workers: tuple[int, ...]) -> SqliteStore:
    """Open the store in this file, creating or upgrading its tables as needed.

    Args:
        decode: undoes the content-encoding of bodies where their text is searched.
        workers: numbers of the worker whose store this is, and of those whose work it carries on.

    Raises:
        StoreUnavailable: the file cannot be written, is no database of ours, or is of a newer version.
    """
    return SqliteStore(await asyncio.to_thread(_open, path), path, decode, workers)


def _open(path: Path) -> sqlite3.Connection:
    connection = connect_writer(path)
    try:
        bring_up_to_date(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


class SqliteStore:
    """The store in one file. Keeps every promise of `gateway.store.base.Store`.

    Lookups by id, on which answers to callers wait, have threads of their own, so that an analyst's long
    query holds up none of them.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        decode: Decode = as_sent,
        workers: tuple[int, ...] = (0,),
    ) -> None:
        self._path = path
        self._workers = workers
        self._inode = path.stat().st_ino
        self._packer = BodyPacker()
        self._writer = Writer(connection, path)
        self._lookups = Readers(path, decode, _LOOKUP_THREADS)
        self._queries = Readers(path, decode, _QUERY_THREADS)

    # the log of requests

    async def append(self, exchanges: Sequence[Exchange]) -> list[int]:
        if not exchanges:
            return []
        size = sum(map(request_log.size_bytes, exchanges))
        return await self._writer.write(
            lambda connection: request_log.append(connection, self._packer, exchanges, self._workers[0]),
            size_bytes=size,
        )

    async def insert(self, exchanges: Sequence[Exchange], receipt: Receipt | None = None) -> list[int]:
        def insert(connection: sqlite3.Connection) -> list[int]:
            feedback_log.put_feedback(connection, (), receipt)
            return request_log.append(connection, self._packer, exchanges, self._workers[0])

        size = sum(map(request_log.size_bytes, exchanges))
        return await self._writer.write(insert, size_bytes=size, is_synced=True)

    async def annotate(self, facts: Sequence[tuple[int, Facts]], at_us: int) -> None:
        if not facts:
            return
        size = request_log.ROW_BYTES * len(facts)
        await self._writer.write_lazily(
            lambda connection: request_log.annotate(connection, facts, at_us), size_bytes=size
        )

    async def uninterpreted(self, limit: int) -> list[tuple[int, Exchange]]:
        return await self._lookups.read(
            lambda connection: request_log.uninterpreted(connection, self._workers, limit)
        )

    async def missing(self, exchanges: Sequence[Exchange]) -> list[int]:
        return await self._lookups.read(lambda connection: request_log.missing(connection, exchanges))

    async def append_missing(self, past: Sequence[tuple[Exchange, Facts | None]], at_us: int) -> int:
        if not past:
            return 0
        size = sum(request_log.size_bytes(exchange) for exchange, _ in past)
        return await self._writer.write(
            lambda connection: request_log.append_missing(
                connection, self._packer, past, self._workers[0], at_us
            ),
            size_bytes=size,
        )

    async def find_requests(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[RequestRecord]:
        query = select(REQUESTS, where, sort, page, tenant)
        return await self._queries.read(partial(_records, query=query))

    async def payload(self, seq: int) -> Payload | None:
        return await self._lookups.read(lambda connection: request_log.payload(connection, seq))

    async def count_requests(self, where: Filter, page: Page, tenant: str | None) -> int:
        return await self._queries.read(partial(_count, query=count(REQUESTS, where, page, tenant)))

    async def payloads(self, seqs: Sequence[int]) -> dict[int, Payload]:
        def read(connection: sqlite3.Connection) -> dict[int, Payload]:
            kept = {seq: request_log.payload(connection, seq) for seq in seqs}
            return {seq: payload for seq, payload in kept.items() if payload is not None}

        return await self._queries.read(read)

    async def set_property(self, any_id: str, key: str, value: str, tenant: str | None) -> int:
        return await self._writer.write(
            lambda connection: tagging.set_property(connection, any_id, key, value, tenant),
            size_bytes=request_log.ROW_BYTES + len(value),
            is_synced=True,
        )

    # figures

    async def usage(self, question: Question) -> dict[Cell, UsageSums]:
        return await self._answer(answers.usage, question)

    async def latencies(self, question: Question) -> dict[Cell, Latencies]:
        return await self._answer(answers.latencies, question)

    async def verdicts(self, question: Question) -> dict[Cell, VerdictSums]:
        answers.refuse_unanswerable_of_verdicts(question)
        return await self._queries.read(lambda connection: answers.verdicts(connection, question))

    async def count_groups(self, question: Question) -> dict[Cell, int]:
        return await self._answer(answers.count_groups, question)

    async def _answer(self, answer: Callable[[sqlite3.Connection, Question], T], question: Question) -> T:
        answers.refuse_unanswerable(question)
        return await self._queries.read(lambda connection: answer(connection, question))

    async def roll_up(self, at_us: int) -> int:
        kept = 0
        for due in await self._queries.read(lambda connection: rollup_table.due_spans(connection, at_us)):
            span = await self._writer.write(partial(_draw, due=due, at_us=at_us))
            rollup = await self._queries.read(partial(rollup_table.sum_up, span=span))
            if rollup is not None:
                kept += await self._writer.write(partial(rollup_table.keep, rollup=rollup))
        return kept

    # feedback

    async def put_feedback(self, entries: Sequence[Feedback], receipt: Receipt | None = None) -> None:
        await self._writer.write(
            lambda connection: feedback_log.put_feedback(connection, entries, receipt),
            size_bytes=feedback_log.size_bytes(entries),
            is_synced=True,
        )

    async def find_feedback(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[Feedback]:
        if not mentions(where, "deleted_at_us"):
            where = All((where, _NOT_DELETED))
        query = select(FEEDBACK, where, sort, page, tenant)
        return await self._queries.read(partial(_entries, query=query))

    async def latest_verdicts(self, request_ids: Sequence[str], tenant: str | None) -> list[Feedback]:
        return await self._queries.read(
            lambda connection: feedback_log.latest_verdicts(connection, request_ids, tenant)
        )

    async def feedback_by_ids(self, feedback_ids: Sequence[str]) -> list[Feedback]:
        return await self._lookups.read(
            lambda connection: feedback_log.feedback_by_ids(connection, feedback_ids)
        )

    async def history(self, feedback_id: str) -> list[Feedback]:
        return await self._lookups.read(lambda connection: feedback_log.history(connection, feedback_id))

    async def receipt(self, scope: str, key: str) -> Receipt | None:
        return await self._lookups.read(lambda connection: feedback_log.receipt_of(connection, scope, key))

    async def resolve(
        self,
        ids: Sequence[str],
        tenant: str | None,
        target: Target = Target.TRACE,
        trace_id: str | None = None,
    ) -> dict[str, list[Subject]]:
        def resolve(connection: sqlite3.Connection) -> dict[str, list[Subject]]:
            named = {name: find_subjects(connection, name, tenant, target, trace_id) for name in ids}
            return {name: subjects for name, subjects in named.items() if subjects}

        return await self._lookups.read(resolve)

    # exports

    async def put_export(self, export: Export) -> None:
        await self._writer.write(
            lambda connection: export_table.put_export(connection, export), is_synced=True
        )

    async def find_exports(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[Export]:
        query = select(EXPORTS, where, sort, page, tenant)
        return await self._lookups.read(
            lambda connection: [export_from_row(row) for row in connection.execute(query.sql, query.values)]
        )

    async def count_exports(self, where: Filter, tenant: str | None) -> int:
        query = count(EXPORTS, where, Page(MAX_INTEGER), tenant)
        return await self._lookups.read(partial(_count, query=query))

    async def link_key(self, fresh: bytes) -> bytes:
        return await self._writer.write(
            lambda connection: export_table.link_key(connection, fresh), is_synced=True
        )

    # keys

    async def keys(self) -> list[StoredKey]:
        return await self._lookups.read(key_table.all_keys)

    async def add_key(self, key: StoredKey) -> None:
        await self._writer.write(lambda connection: key_table.add_key(connection, key), is_synced=True)

    async def revoke_key(self, name: str, at_us: int) -> bool:
        return await self._writer.write(
            lambda connection: key_table.revoke_key(connection, name, at_us), is_synced=True
        )

    # life

    async def check(self) -> Health:
        """Commit a heartbeat as large as the largest write that failed since one succeeded, so that a disk
        with room for a small row but not for a real one does not pass for healthy."""
        size = min(self._writer.largest_failure_bytes, heartbeat.MAX_PADDING_BYTES)
        try:
            self._refuse_moved_file()
            await self._writer.write(partial(heartbeat.beat, padding_bytes=size))
        except StoreUnavailable as error:
            return Health(is_writable=False, reason=str(error))
        self._writer.largest_failure_bytes = 0
        return Health(is_writable=True)

    async def close(self) -> None:
        await self._writer.close()
        await self._lookups.close()
        await self._queries.close()

    def _refuse_moved_file(self) -> None:
        try:
            is_in_place = self._path.stat().st_ino == self._inode
        except OSError:
            is_in_place = False
        if not is_in_place:
            raise StoreUnavailable(f"the database {self._path} was removed or replaced while it was in use.")


def _draw(connection: sqlite3.Connection, due: tuple[str, int, int], at_us: int) -> Span:
    return rollup_table.draw_ticket(connection, *due, at_us)


def _count(connection: sqlite3.Connection, query: Query) -> int:
    number: int = connection.execute(query.sql, query.values).fetchone()[0]
    return number


def _records(connection: sqlite3.Connection, query: Query) -> list[RequestRecord]:
    return [record_from_row(row) for row in connection.execute(query.sql, query.values)]


def _entries(connection: sqlite3.Connection, query: Query) -> list[Feedback]:
    return [feedback_from_row(row) for row in connection.execute(query.sql, query.values)]
