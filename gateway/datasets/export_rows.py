"""Turn requests with their feedback into the bytes of one file, batch by batch."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.datasets.export_batches import (
    BatchQueue,
    BatchReader,
    PreparedBatch,
    Pseudonym,
    read_pseudonyms,
)
from gateway.datasets.export_format import ExportCounts, FormatRun, PreparedRow
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.row_process import HELPED_ROWS, Helping, RowProcess
from gateway.datasets.row_writer import Progress, wait_for_facts
from gateway.datasets.versions import DatasetService, FrozenRows, Judged
from gateway.errors import NotFound, Overloaded, TooLarge
from gateway.models.filters import NO_FILTER, AllOf, Comparison, Filter, Op, Page
from gateway.query.requests import NEWEST_FIRST
from gateway.store.base import Queries, Store

# Positions that one query looks for; a filter without an index costs a scan each time.
SEQS_AT_ONCE = 100_000
# The last bytes of a file may be all of it.
CHUNK_BYTES = 256 * 1024

# Of one worker: each holds a batch in memory and a thread while it is written.
MAX_STREAMS = 4


async def newest_seq(store: Queries) -> int:
    newest = await store.find_requests(NO_FILTER, NEWEST_FIRST, Page(1), None)
    return newest[0].seq if newest else 0


async def find_frozen(store: Store, query: ExportQuery, tenant: str | None) -> FrozenRows | None:
    """Return the rows of the dataset that is asked for; None for those of a filter. Raises BadInput, NotFound."""
    if query.dataset is None:
        return None
    judged = Judged.ANY
    if query.file_format.is_training:
        judged = Judged.GIVEN if query.is_all_in_trace else Judged.COUNTED
        if query.options.takes_unjudged:
            judged = Judged.ANY if query.is_all_in_trace else Judged.COUNTED_OR_NONE
    return await DatasetService(store).rows(query.dataset, tenant, judged)


class ExportFile:
    """The bytes of one file; `position` is the last row that is in those that were yielded.

    Args:
        tenant: None: rows of all.
        last_seq: later rows are left out; None: none are, as far as they are there.
        after: the last row of a file that goes on.
        counts: of that file until there.
        first_seqs: those that come first, where they were found already.
        frozen: the requests and feedback of a dataset, in the place of those that are found now.
        helping: how another process helps where there are many rows; None: none does.
    """

    def __init__(
        self,
        store: Queries,
        query: ExportQuery,
        tenant: str | None,
        pseudonym: Pseudonym,
        folder: Path,
        *,
        last_seq: int | None,
        after: int = 0,
        counts: ExportCounts | None = None,
        progress: Progress | None = None,
        first_seqs: Sequence[int] = (),
        frozen: FrozenRows | None = None,
        helping: Helping | None = None,
    ) -> None:
        self._store = store
        self._helping = helping
        self._helper: RowProcess | None = None
        self._frozen = frozen
        self._query = query
        self._tenant = tenant
        self._first_seqs = first_seqs
        self.last_seq = last_seq
        self.position = after
        self.counts = counts or ExportCounts()
        self.progress = progress or Progress()
        # How far rows are being prepared; they are written later.
        self._read_position = after
        self._queue = BatchQueue(BatchReader(store, query, tenant, pseudonym, frozen))
        run = FormatRun(query.options, folder, query.given, self.counts, is_resumed=after > 0)
        self._resources = run.resources
        self._writer = query.file_format.open(run)

    async def aclose(self) -> None:
        """Stop what is being read, and close temporary files."""
        await self._queue.aclose()
        await self._end_help()
        self._resources.close()

    async def _end_help(self) -> None:
        if self._helper is not None:
            helper, self._helper = self._helper, None
            await helper.aclose()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the whole file. Raises NotFound for training data without any row."""
        async for data in self.rows():
            yield data
        # The end of some formats takes the memory that the helper had.
        await self._end_help()
        ending = iter(self._writer.finish())
        while data := await asyncio.to_thread(_next_chunk, ending):
            # Before anything is sent, since some formats end with bytes even without a row.
            self._refuse_empty()
            yield data
        self._refuse_empty()

    def _refuse_empty(self) -> None:
        if self._query.file_format.is_training and not self.counts.written:
            raise NotFound(_describe_empty(self.progress.rows_done, self.counts), hint="Widen the filters.")

    async def rows(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the rows after `position`, batch by batch, perhaps empty ones."""
        async for seqs in self._seqs():
            await self._find_help(len(seqs))
            start = 0
            while start < len(seqs):
                self._queue.start(seqs[start : start + self._queue.batch_rows])
                start += self._queue.batch_rows
                while self._queue.is_full:
                    yield await self._next()
        while not self._queue.is_empty:
            yield await self._next()
        self.position = max(self.position, self._read_position)

    async def _next(self) -> bytes:
        batch: PreparedBatch = await self.progress.run_call(self._queue.next())
        data = await asyncio.to_thread(self._write, batch.rows)
        self.position = batch.last_seq
        self.progress.rows_done += len(batch.rows)
        return data

    async def _seqs(self) -> AsyncIterator[Sequence[int]]:
        """Yield positions of rows, many at a time, until there are no more."""
        left = None if self._query.limit is None else self._query.limit - self.progress.rows_done
        while left is None or left > 0:
            most = SEQS_AT_ONCE if left is None else min(left, SEQS_AT_ONCE)
            seqs = await self._find_seqs(most)
            if seqs:
                self._read_position = seqs[-1]
                yield seqs
            if len(seqs) < most:
                self._read_position = max(self._read_position, self.last_seq or 0)
                return
            left = None if left is None else left - len(seqs)

    async def _find_seqs(self, most: int) -> Sequence[int]:
        if self._first_seqs:
            first, self._first_seqs = self._first_seqs, ()
            return first
        if self._frozen is not None:
            return await self.progress.run_call(self._frozen.seqs_after(self._read_position, most))
        where: Filter = self._query.where
        if self.last_seq is not None:
            where = AllOf((where, Comparison("seq", Op.LE, self.last_seq)))
        found = self._store.request_seqs(where, self._read_position, most, self._tenant, in_background=True)
        return await self.progress.run_call(found)

    async def _find_help(self, number: int) -> None:
        """Start the helper once there are enough rows."""
        if self._helping is None or number < HELPED_ROWS:
            return
        helping, self._helping = self._helping, None
        self._helper = await RowProcess.start(helping, self._query, self._tenant, self._frozen)
        if self._helper is not None:
            self._queue.add_helper(self._helper, is_alone=helping.is_alone)

    def _write(self, rows: Sequence[PreparedRow]) -> bytes:
        written = bytearray()
        for item, left_out in rows:
            for reason in left_out:
                self.counts.leave_out(reason)
            if item is not None:
                for data in self._writer.add(item):
                    written += data
        return bytes(written)


class ExportReader:
    """Opens exports that are read while they are made."""

    def __init__(self, store: Store, helping: Helping | None = None) -> None:
        self._store = store
        self._helping = helping
        self._number = 0

    @asynccontextmanager
    async def open(
        self, query: ExportQuery, tenant: str | None, *, most_rows: int | None = None
    ) -> AsyncIterator[ExportFile]:
        """Return a new file of what is logged now. Raises TooLarge, Overloaded.

        Args:
            most_rows: more are refused; None: any number, and the number of exports at a time has no bound.
        """
        if most_rows is not None and self._number >= MAX_STREAMS:
            raise Overloaded(
                f"{MAX_STREAMS} exports are being read.", hint="Send it again soon, or make a job."
            )
        self._number += 1
        try:
            last_seq = await newest_seq(self._store)
            await wait_for_facts(self._store, Comparison("seq", Op.LE, last_seq), Progress())
            frozen = await find_frozen(self._store, query, tenant)
            seqs = [] if most_rows is None else await self._find_at_most(query, tenant, frozen, most_rows)
            pseudonym = await read_pseudonyms(self._store)
            with TemporaryDirectory(prefix="gateway-export-") as folder:
                file = ExportFile(
                    self._store,
                    query,
                    tenant,
                    pseudonym,
                    Path(folder),
                    last_seq=last_seq,
                    first_seqs=[seq for seq in seqs if seq <= last_seq],
                    frozen=frozen,
                    helping=self._helping,
                )
                async with aclosing(file):
                    yield file
        finally:
            self._number -= 1

    async def _find_at_most(
        self, query: ExportQuery, tenant: str | None, frozen: FrozenRows | None, most_rows: int
    ) -> list[int]:
        most = most_rows + 1 if query.limit is None else min(query.limit, most_rows + 1)
        if frozen is None:
            seqs = await self._store.request_seqs(query.where, 0, most, tenant)
        else:
            seqs = await frozen.seqs_after(0, most)
        if len(seqs) > most_rows:
            raise TooLarge(
                f"more than {most_rows:,} requests match, which is too many for one response.",
                hint="POST the same filters to /api/v1/exports, which writes a file in the background, or give a "
                "limit.",
            )
        return seqs


def _next_chunk(ending: Iterator[bytes]) -> bytes:
    chunk = bytearray()
    for data in ending:
        chunk += data
        if len(chunk) >= CHUNK_BYTES:
            break
    return bytes(chunk)


def _describe_empty(rows: int, counts: ExportCounts) -> str:
    reasons = ", ".join(f"{reason}: {number:,}" for reason, number in counts.left_out.items())
    matched = f"{rows:,} judged requests match the filters"
    return (
        f"there is nothing to train on: {matched}{f', and all are left out ({reasons})' if reasons else ''}."
    )
