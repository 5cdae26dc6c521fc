"""Write the rows of one export job, page by page, with bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

from gateway.datasets.formats import Exporter, Selection
from gateway.models.export import Export
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import Payload, RequestRecord
from gateway.query.requests import decode_payload
from gateway.store.base import Store

T = TypeVar("T")

PAGE_ROWS = 200
"""Most rows read at a time."""
GROUP_BYTES = 4 * 1024 * 1024
"""How much of bodies is read at a time, by their size on the wire. A longer one is read alone."""

FACTS_SECONDS = 10.0
"""How long the newest rows may take to be interpreted before they are written as they are."""

_POLL_SECONDS = 0.05
_OLDEST_FIRST = Sort("seq", descending=False)


@dataclass(slots=True)
class Progress:
    """How far the writing has come, and whether it should go on: the one thing that it shares with others."""

    rows_total: int | None = None
    rows_done: int = 0
    is_stopped: bool = False
    store_call: asyncio.Future[Any] | None = None
    """To the store, which is ended with the writing."""

    def stop(self) -> None:
        """Have the writing end soon."""
        self.is_stopped = True
        if self.store_call is not None:
            self.store_call.cancel()

    async def run_call(self, store_call: Coroutine[Any, Any, T]) -> T:
        """Return the answer to a question. Raises Stopped if the writing was stopped meanwhile."""
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
    """The writing was stopped while the store was asked."""


async def write_rows(
    store: Store, exporter: Exporter, export: Export, file: BinaryIO, progress: Progress
) -> None:
    """Write the rows that an export means, the oldest first, or those before it is stopped.

    No row is written that was logged after the export was started, and none twice.

    Raises:
        GatewayError: the filters mean nothing (any more), or the store cannot be read.
        OSError: the file cannot be written.
    """
    with suppress(Stopped):
        await _write_rows(store, exporter, export, file, progress)


async def _write_rows(
    store: Store, exporter: Exporter, export: Export, file: BinaryIO, progress: Progress
) -> None:
    assert export.last_seq is not None, "the export was never started"
    selection = exporter.select(export.filters)
    there_at_start = Comparison("seq", Op.LE, export.last_seq)
    selection = Selection(AllOf((selection.where, there_at_start)), selection.page)
    await _wait_for_facts(store, there_at_start, progress)
    progress.rows_total = await progress.run_call(
        store.count_requests(selection.where, selection.page, export.tenant, in_background=True)
    )
    needs_bodies = exporter.needs_bodies(export.columns)
    async for records in _pages(store, selection, export.tenant, progress):
        for group in _batches(records, GROUP_BYTES if needs_bodies else None):
            if progress.is_stopped:
                return
            seqs = [record.seq for record in group]
            payloads = await progress.run_call(store.payloads(seqs)) if needs_bodies else {}
            await asyncio.to_thread(_write_batch, file, exporter, export.columns, group, payloads)
            progress.rows_done += len(group)


async def _wait_for_facts(store: Store, where: Filter, progress: Progress) -> None:
    """Give the interpreter time to catch up: tokens and cost of a row are known some ms after it is stored."""
    not_yet = AllOf((where, Comparison("interpreted_at_us", Op.EQ, None)))
    give_up_at = asyncio.get_running_loop().time() + FACTS_SECONDS
    while await progress.run_call(
        store.find_requests(not_yet, _OLDEST_FIRST, Page(1), None, in_background=True)
    ):
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
        records = await progress.run_call(
            store.find_requests(rest, _OLDEST_FIRST, page, tenant, in_background=True)
        )
        if not records:
            return
        yield records
        last_seq, offset, left = records[-1].seq, 0, left - len(records)


def _batches(records: Sequence[RequestRecord], limit_bytes: int | None) -> Iterator[list[RequestRecord]]:
    """Split a page so that the bodies of a group stay below a limit; None keeps it whole."""
    group: list[RequestRecord] = []
    size = 0
    for record in records:
        row_bytes = record.request_size + record.response_size
        if group and limit_bytes is not None and size + row_bytes > limit_bytes:
            yield group
            group, size = [], 0
        group.append(record)
        size += row_bytes
    yield group


def _write_batch(
    file: BinaryIO,
    exporter: Exporter,
    columns: Sequence[str],
    records: Sequence[RequestRecord],
    payloads: dict[int, Payload],
) -> None:
    for record in records:
        file.write(exporter.write(decode_payload(record, payloads.get(record.seq), ()), columns))
