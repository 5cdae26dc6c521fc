"""JsonLines: columns of requests as an API of another vendor names them, written as JSON Lines."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

import orjson

from gateway.datasets.row_writer import Progress, Selection, Stopped, read_pages, wait_for_facts
from gateway.models.export import Export
from gateway.models.feedback import Feedback
from gateway.models.filters import AllOf, Comparison, Op
from gateway.models.request import Payload, RequestRecord
from gateway.query.requests import LoggedRequest, batches, decode_payload
from gateway.store.base import Store

# Bodies in memory at a time, as sent.
BATCH_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Column:
    """A member of the exported objects, read as JSON or `orjson.Fragment` without line breaks."""

    read: Callable[[LoggedRequest], object]
    needs_bodies: bool = False
    needs_feedback: bool = False


@dataclass(frozen=True, slots=True)
class JsonLines:
    """A job is done anew after a kill, since it may have been started by an older version."""

    select: Callable[[Mapping[str, object]], Selection]
    columns: Mapping[str, Column]

    def suffix_of(self, export: Export) -> str:
        return "jsonl"

    def is_resumable(self, export: Export) -> bool:
        return False

    def needs_bodies(self, columns: Sequence[str]) -> bool:
        return any(self.columns[name].needs_bodies for name in columns)

    async def write_file(self, store: Store, export: Export, file: BinaryIO, progress: Progress) -> None:
        """Write the rows logged before the start of an export, until it is stopped."""
        with suppress(Stopped):
            await self._write_rows(store, export, file, progress)

    async def _write_rows(self, store: Store, export: Export, file: BinaryIO, progress: Progress) -> None:
        assert export.last_seq is not None, "the export was never started"
        selection = self.select(export.filters)
        there_at_start = Comparison("seq", Op.LE, export.last_seq)
        selection = Selection(AllOf((selection.where, there_at_start)), selection.page)
        await wait_for_facts(store, there_at_start, progress)
        count = store.count_requests(selection.where, selection.page, export.tenant, in_background=True)
        progress.rows_total = await progress.run_call(count)
        needs_bodies = self.needs_bodies(export.columns)
        needs_feedback = any(self.columns[name].needs_feedback for name in export.columns)
        async for records in read_pages(store, selection, export.tenant, progress):
            for batch in batches(records, BATCH_BYTES if needs_bodies else None):
                if progress.is_stopped:
                    return
                seqs = [record.seq for record in batch]
                bodies = store.payloads(seqs, in_background=True) if needs_bodies else None
                payloads = await progress.run_call(bodies) if bodies else {}
                entries = store.feedback_of(seqs, in_background=True) if needs_feedback else None
                feedback = await progress.run_call(entries) if entries else {}
                await asyncio.to_thread(self._write_batch, file, export.columns, batch, payloads, feedback)
                progress.rows_done += len(batch)

    def _write_batch(
        self,
        file: BinaryIO,
        columns: Sequence[str],
        records: Sequence[RequestRecord],
        payloads: Mapping[int, Payload],
        feedback: Mapping[int, Sequence[tuple[Feedback, bool]]],
    ) -> None:
        for record in records:
            entries = tuple(entry for entry, _ in feedback.get(record.seq, ()))
            file.write(self.write(decode_payload(record, payloads.get(record.seq), entries), columns))

    def write(self, logged: LoggedRequest, columns: Sequence[str]) -> bytes:
        row = {name: self.columns[name].read(logged) for name in columns}
        return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
