"""FormatExporter: export jobs in any of our formats, which go on after a kill where the format allows it."""

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from gateway.datasets.export_batches import read_pseudonyms
from gateway.datasets.export_format import ExportCounts
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.export_rows import ExportFile, find_frozen
from gateway.datasets.row_process import Helping
from gateway.datasets.row_writer import Progress, Selection, Stopped, wait_for_facts
from gateway.models.export import Export
from gateway.models.filters import AllOf, Comparison, Op, Page
from gateway.store.base import Store

# Name of the jobs in the store.
NATIVE = "native"

# Between two checkpoints; a job that was killed does so much anew.
CHECKPOINT_SECONDS = 1.0

_ALL_ROWS = 2**62


def job_query(filters: Mapping[str, object]) -> ExportQuery:
    """Return what a job exports. Raises BadInput."""
    return ExportQuery.read({name: str(text) for name, text in filters.items()})


def job_counts(export: Export) -> ExportCounts:
    """Return what a job has written and left out until its last checkpoint."""
    written, left_out = export.checkpoint.get("written", 0), export.checkpoint.get("left_out", {})
    assert isinstance(written, int)
    assert isinstance(left_out, dict)
    return ExportCounts(written, dict(left_out))


class FormatExporter:
    """Writes the files of the native API's jobs; `helping`: how another process helps with long ones."""

    def __init__(self, helping: Helping | None = None) -> None:
        self._helping = helping

    def select(self, filters: Mapping[str, object]) -> Selection:
        query = job_query(filters)
        return Selection(query.where, Page(query.limit or _ALL_ROWS))

    def suffix_of(self, export: Export) -> str:
        query = job_query(export.filters)
        return query.file_format.suffix_of(query.options)

    def is_resumable(self, export: Export) -> bool:
        return job_query(export.filters).file_format.is_resumable

    async def write_file(self, store: Store, export: Export, file: BinaryIO, progress: Progress) -> None:
        """Write the rows logged before the start of a job, until it is stopped."""
        with suppress(Stopped):
            await self._write_rows(store, export, file, progress)

    async def _write_rows(self, store: Store, export: Export, file: BinaryIO, progress: Progress) -> None:
        selection = self.select(export.filters)
        there_at_start = Comparison("seq", Op.LE, export.last_seq)
        await wait_for_facts(store, there_at_start, progress)
        query = job_query(export.filters)
        frozen = await find_frozen(store, query, export.tenant)
        if progress.rows_total is None and frozen is not None:
            progress.rows_total = await progress.run_call(frozen.count())
        if progress.rows_total is None:
            where = AllOf((selection.where, there_at_start))
            count = store.count_requests(where, selection.page, export.tenant, in_background=True)
            progress.rows_total = await progress.run_call(count)
        pseudonym = await read_pseudonyms(store)
        with TemporaryDirectory(prefix="gateway-export-") as folder:
            made = ExportFile(
                store,
                query,
                export.tenant,
                pseudonym,
                Path(folder),
                last_seq=export.last_seq,
                after=int(str(export.checkpoint.get("seq", 0))),
                counts=job_counts(export),
                progress=progress,
                frozen=frozen,
                helping=self._helping,
            )
            async with aclosing(made):
                await self._write_chunks(made, query, file, progress)

    async def _write_chunks(
        self, made: ExportFile, query: ExportQuery, file: BinaryIO, progress: Progress
    ) -> None:
        saved_at = time.monotonic()
        async for data in made.chunks():
            await asyncio.to_thread(file.write, data)
            if progress.is_stopped:
                return
            if query.file_format.is_resumable and time.monotonic() - saved_at >= CHECKPOINT_SECONDS:
                size_bytes = await asyncio.to_thread(_sync, file)
                progress.checkpoint = {
                    "part": progress.part,
                    "bytes": size_bytes,
                    "seq": made.position,
                    "rows": progress.rows_done,
                    **_counts(made.counts),
                }
                saved_at = time.monotonic()
        progress.checkpoint = {**progress.checkpoint, **_counts(made.counts)}


def _counts(counts: ExportCounts) -> Mapping[str, object]:
    return {"written": counts.written, "left_out": dict(counts.left_out)}


def _sync(file: BinaryIO) -> int:
    file.flush()
    os.fsync(file.fileno())
    return file.tell()
