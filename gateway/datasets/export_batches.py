"""Read a batch of requests with their feedback, and prepare what a file has of them."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections import deque
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple, Protocol

from gateway.datasets.export_format import ExportRow, PreparedRow, RowSetup
from gateway.datasets.export_query import ExportQuery
from gateway.datasets.versions import EntriesByRow, FrozenRows
from gateway.models.feedback import Feedback
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page
from gateway.models.request import Payload, RequestRecord
from gateway.query.requests import OLDEST_FIRST, batches, decode_payload
from gateway.store.base import Queries, Store

# Rows, and bytes of their bodies as sent, in memory at a time.
BATCH_ROWS = 250
BATCH_BYTES = 2 * 1024 * 1024
_FEWEST_ROWS = 20

_LINK_KEY_BYTES = 32

Pseudonym = Callable[[str], str]


async def read_pseudonyms(store: Store) -> Pseudonym:
    """Return the function that gives people of a store their pseudonyms; nobody without its key can undo it."""
    key = await store.link_key(secrets.token_bytes(_LINK_KEY_BYTES))

    # The same few people come again and again.
    @lru_cache(10_000)
    def pseudonym(name: str) -> str:
        message = b"person " + name.encode(errors="replace")
        return f"p-{hmac.digest(key, message, hashlib.sha256).hex()[:20]}"

    return pseudonym


class PreparedBatch(NamedTuple):
    """Rows up to a position, and the positions of those that were too many bytes for one batch."""

    rows: list[PreparedRow]
    last_seq: int
    rest: list[int]


class BatchPreparer(Protocol):
    async def prepare(self, seqs: Sequence[int]) -> PreparedBatch:
        """Read the rows at positions, in order, as far as they are stored, and prepare them."""


class HelperLost(Exception):
    """The process beside this one has ended; what it was asked for can be had here."""


class BatchReader(BatchPreparer):
    """Prepares batches in this process.

    Args:
        tenant: None: rows of all.
        frozen: the feedback of a dataset, in the place of that which is found now.
    """

    def __init__(
        self,
        store: Queries,
        query: ExportQuery,
        tenant: str | None,
        pseudonym: Pseudonym,
        frozen: FrozenRows | None = None,
    ) -> None:
        """Raises BadInput."""
        self._store, self._query, self._tenant, self._frozen = store, query, tenant, frozen
        setup = RowSetup(query.options, pseudonym, query.is_all_in_trace)
        self._preparer = query.file_format.preparer(setup)

    async def prepare(self, seqs: Sequence[int]) -> PreparedBatch:
        found = await self._store.find_requests(
            _at(seqs), OLDEST_FIRST, Page(len(seqs)), self._tenant, in_background=True
        )
        needs_bodies = self._query.options.needs_bodies
        records = next(batches(found, BATCH_BYTES if needs_bodies else None), [])
        rest = [record.seq for record in found[len(records) :]]
        own_seqs = [record.seq for record in records]
        payloads: dict[int, Payload] = {}
        if needs_bodies:
            payloads = await self._store.payloads(own_seqs, in_background=True)
        feedback = await self._read_feedback(own_seqs)
        # Other callers' streams share the event loop.
        rows = await asyncio.to_thread(self._prepare, records, payloads, feedback)
        return PreparedBatch(rows, records[-1].seq if rest else seqs[-1], rest)

    async def _read_feedback(self, seqs: Sequence[int]) -> EntriesByRow:
        if self._frozen is not None:
            return await self._frozen.feedback_of(seqs)
        return await self._store.feedback_of(seqs, in_background=True)

    def _prepare(
        self, records: Sequence[RequestRecord], payloads: dict[int, Payload], feedback: EntriesByRow
    ) -> list[PreparedRow]:
        return [
            self._prepare_row(record, payloads.get(record.seq), feedback.get(record.seq))
            for record in records
        ]

    def _prepare_row(
        self, record: RequestRecord, payload: Payload | None, entries: list[tuple[Feedback, bool]] | None
    ) -> PreparedRow:
        if entries is None:
            row = ExportRow(decode_payload(record, payload, (), is_reassembled=False))
        else:
            everything = tuple(entry for entry, _ in entries)
            counted = tuple(entry for entry, is_counted in entries if is_counted)
            row = ExportRow(decode_payload(record, payload, everything, is_reassembled=False), counted)
        if (reason := self._query.shortfall(row)) is not None:
            return PreparedRow(None, (reason,))
        return self._preparer.prepare(row)


def _at(seqs: Sequence[int]) -> Filter:
    if seqs[-1] - seqs[0] == len(seqs) - 1:
        # Most exports are of all rows, and a list of their positions takes as long to write as the rows to read.
        return AllOf((Comparison("seq", Op.GE, seqs[0]), Comparison("seq", Op.LE, seqs[-1])))
    return Comparison("seq", Op.IN, tuple(seqs))


class BatchQueue:
    """Has batches prepared ahead, by this process and perhaps a helper, and returns them in order."""

    def __init__(self, here: BatchPreparer) -> None:
        self._here = here
        self._idle: asyncio.Queue[BatchPreparer] = asyncio.Queue()
        self._idle.put_nowait(here)
        self._most_ahead = 1
        self._started: deque[asyncio.Task[PreparedBatch]] = deque()
        self._rest: list[int] = []
        # Of the next batch: as many as are prepared in one go.
        self.batch_rows = BATCH_ROWS

    def add_helper(self, helper: BatchPreparer, *, is_alone: bool) -> None:
        """`is_alone`: this process prepares nothing as long as the helper lives."""
        if is_alone:
            self._idle.get_nowait()
        self._idle.put_nowait(helper)
        # One of each process, and one that is being written.
        self._most_ahead = 2 if is_alone else 3

    def start(self, seqs: Sequence[int]) -> None:
        self._started.append(asyncio.create_task(self._prepare(seqs), name="export batch"))

    @property
    def is_empty(self) -> bool:
        return not self._started and not self._rest

    @property
    def is_full(self) -> bool:
        return len(self._started) >= self._most_ahead or bool(self._rest)

    async def next(self) -> PreparedBatch:
        """Return the batch that comes next."""
        if self._rest:
            # One at a time, since the bodies are long.
            batch = await self._here.prepare(self._rest)
        else:
            batch = await self._started.popleft()
        self._rest = batch.rest
        wanted = max(len(batch.rows), _FEWEST_ROWS) if batch.rest else 2 * self.batch_rows
        self.batch_rows = min(wanted, BATCH_ROWS)
        return batch

    async def _prepare(self, seqs: Sequence[int]) -> PreparedBatch:
        preparer = await self._idle.get()
        try:
            batch = await preparer.prepare(seqs)
        except HelperLost:
            self._idle.put_nowait(self._here)
            return await self._here.prepare(seqs)
        self._idle.put_nowait(preparer)
        return batch

    async def aclose(self) -> None:
        for task in self._started:
            task.cancel()
        await asyncio.gather(*self._started, return_exceptions=True)
        self._started.clear()
