"""Write the rows of one export job, page by page, with bounded memory."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from gateway.datasets.formats import JsonLines, Selection
from gateway.models.export import Export
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import Payload, RequestRecord
from gateway.query.requests import batches, decode_payload
from gateway.store.base import Store

T = TypeVar("T")

PAGE_ROWS = 200
# Bodies in memory at a time, as sent.
BATCH_BYTES = 4 * 1024 * 1024

# Longest wait for tokens and cost of the newest rows, which are known some ms after these are stored.
FACTS_SECONDS = 10.0

_POLL_SECONDS = 0.05
_OLDEST_FIRST = Sort("seq", descending=False)


@dataclass(slots=True)
class Progress:
    """Progress of an export; `store_call` is cancelled with it."""

    rows_total: int | None = None
    rows_done: int = 0
    is_stopped: bool = False
    store_call: asyncio.Future[Any] | None = None

    def stop(self) -> None:
        self.is_stopped = True
        if self.store_call is not None:
            self.store_call.cancel()

    async def run_call(self, store_call: Coroutine[Any, Any, T]) -> T:
        if self.is_stopped:
            store_call.close()
            raise Stopped
        task: asyncio.Task[T] = asyncio.create_task(store_call)
        self.store_call = task
        try:
            return await task
        except asyncio.CancelledError:
            if self.is_stopped:
                raise Stopped from None
            raise
        finally:
            task.cancel()
            self.store_call = None


class Stopped(Exception):
    """The export was stopped during a store call."""


async def write_rows(
    store: Store, file_format: JsonLines, export: Export, file: BinaryIO, progress: Progress
) -> None:
    """Write the rows logged before the start of an export, until it is stopped."""
    with suppress(Stopped):
        await _write_rows(store, file_format, export, file, progress)


async def _write_rows(
    store: Store, file_format: JsonLines, export: Export, file: BinaryIO, progress: Progress
) -> None:
    assert export.last_seq is not None, "the export was never started"
    selection = file_format.select(export.filters)
    there_at_start = Comparison("seq", Op.LE, export.last_seq)
    selection = Selection(AllOf((selection.where, there_at_start)), selection.page)
    await _wait_for_facts(store, there_at_start, progress)
    count = store.count_requests(selection.where, selection.page, export.tenant, in_background=True)
    progress.rows_total = await progress.run_call(count)
    needs_bodies = file_format.needs_bodies(export.columns)
    async for records in _pages(store, selection, export.tenant, progress):
        for batch in batches(records, BATCH_BYTES if needs_bodies else None):
            if progress.is_stopped:
                return
            seqs = [record.seq for record in batch]
            bodies = store.payloads(seqs, in_background=True) if needs_bodies else None
            payloads = await progress.run_call(bodies) if bodies else {}
            await asyncio.to_thread(_write_batch, file, file_format, export.columns, batch, payloads)
            progress.rows_done += len(batch)


async def _wait_for_facts(store: Store, where: Filter, progress: Progress) -> None:
    not_yet, one = AllOf((where, Comparison("interpreted_at_us", Op.EQ, None))), Page(1)
    give_up_at = asyncio.get_running_loop().time() + FACTS_SECONDS
    while await progress.run_call(store.find_requests(not_yet, _OLDEST_FIRST, one, None, in_background=True)):
        if progress.is_stopped or asyncio.get_running_loop().time() > give_up_at:
            return
        await asyncio.sleep(_POLL_SECONDS)


async def _pages(
    store: Store, selection: Selection, tenant: str | None, progress: Progress
) -> AsyncIterator[list[RequestRecord]]:
    last_seq, offset, left = 0, selection.page.offset, selection.page.limit
    while left > 0:
        rest = AllOf((selection.where, Comparison("seq", Op.GT, last_seq)))
        page = Page(min(left, PAGE_ROWS), offset)
        call = store.find_requests(rest, _OLDEST_FIRST, page, tenant, in_background=True)
        records = await progress.run_call(call)
        if not records:
            return
        yield records
        last_seq, offset, left = records[-1].seq, 0, left - len(records)


def _write_batch(
    file: BinaryIO,
    file_format: JsonLines,
    columns: Sequence[str],
    records: Sequence[RequestRecord],
    payloads: dict[int, Payload],
) -> None:
    for record in records:
        file.write(file_format.write(decode_payload(record, payloads.get(record.seq), ()), columns))
