"""An open database: one writer thread with group commit, read pools, and a health check."""

import asyncio
import math
import os
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from queue import SimpleQueue
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from gateway.errors import GatewayError, StoreUnavailable
from gateway.store.base import Health
from gateway.store.body_codecs import Packer
from gateway.store.dialect import Connection, Dialect
from gateway.store.read_pool import ReadConnection, ReadPool, settle

T = TypeVar("T")
P = ParamSpec("P")
Item = TypeVar("Item")
Work = Callable[[Connection], T]
# Runs several items as one; returns an error or None for each.
BatchWork = Callable[[Connection, Sequence[Item]], Sequence[GatewayError | None]]

MAX_BATCH_JOBS = 1000
MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_QUEUED_BYTES = 256 * 1024 * 1024
DEFERRED_SECONDS = 0.020
CLOSE_POLL_SECONDS = 0.5


@dataclass(slots=True, eq=False)
class WriteJob:
    """A queued write.

    Args:
        is_synced: whether the commit must be on the disk, not only in the kernel.
        is_exclusive: whether nobody else, on any machine, may write from before its first read until its commit.
        batch_work: runs instead of `work`, on the items of all adjacent jobs with the same function.
    """

    work: Work[Any]
    future: asyncio.Future[Any]
    size_bytes: int = 0
    is_synced: bool = False
    is_exclusive: bool = False
    batch_work: BatchWork[Any] | None = None
    item: Any = None
    result: Any = None
    error: Exception | None = None


class Writer(ABC):
    """Runs jobs in order on a thread. Made, called and closed on one event loop."""

    def __init__(self, name: str) -> None:
        # Size of the largest job that the database could not take; a check that sees a write succeed resets it.
        self.largest_failure_bytes = 0
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[WriteJob] = deque()
        self._deferred: deque[WriteJob] = deque()
        self._wake_signal: SimpleQueue[None] = SimpleQueue()
        self._deferred_timer: asyncio.TimerHandle | None = None
        self._queued_bytes = 0
        self._has_room = asyncio.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def queued_bytes(self) -> int:
        return self._queued_bytes

    async def write(
        self, work: Work[T], *, size_bytes: int = 0, is_synced: bool = False, is_exclusive: bool = False
    ) -> T:
        """Run `work` and return its result once it is committed; wait while the queue is full."""
        job = WriteJob(work, self._loop.create_future(), size_bytes, is_synced, is_exclusive)
        return cast(T, await self._submit(job, self._enqueue))

    async def write_shared(
        self,
        batch_work: BatchWork[Item],
        item: Item,
        *,
        size_bytes: int = 0,
        is_synced: bool = False,
        is_exclusive: bool = False,
    ) -> None:
        """Write an item together with adjacent ones that have the same `batch_work`."""
        future = self._loop.create_future()
        job = WriteJob(_no_work, future, size_bytes, is_synced, is_exclusive, batch_work, item)
        await self._submit(job, self._enqueue)

    async def write_deferred(self, work: Work[T], *, size_bytes: int = 0) -> T:
        """Like `write`, but commit with the next batch, at the latest after 20 ms."""
        job = WriteJob(work, self._loop.create_future(), size_bytes)
        return cast(T, await self._submit(job, self._defer))

    async def close(self) -> None:
        """Run queued jobs, then close; give up if another process holds the lock."""
        if not self._is_closed:
            self._is_closed = True
            self._wake_signal.put(None)
        while self._thread.is_alive() and self._wait_left() > 0:
            await asyncio.to_thread(self._thread.join, CLOSE_POLL_SECONDS)
        if self._deferred_timer is not None:
            self._deferred_timer.cancel()

    @abstractmethod
    def _commit_batch(self) -> list[WriteJob]:
        """Commit what waits, when it is this writer's turn; return the jobs."""

    @abstractmethod
    def _begin(self, jobs: list[WriteJob]) -> None: ...

    @abstractmethod
    def _run_and_commit(self, jobs: list[WriteJob]) -> None: ...

    @abstractmethod
    def _roll_back(self) -> None:
        """Undo what was not committed. Never raises: the next BEGIN reports the problem."""

    @abstractmethod
    def _close_resources(self) -> None: ...

    def _can_retry(self, error: Exception) -> bool:
        """Tell whether it is certain that nothing of a failed batch was committed."""
        return True

    def _wait_left(self) -> float:
        """Return for how many seconds to wait for the thread."""
        return math.inf

    # on the event loop

    async def _submit(self, job: WriteJob, enqueue: Callable[[WriteJob], None]) -> Any:
        while self._queued_bytes and self._queued_bytes + job.size_bytes > MAX_QUEUED_BYTES:
            self._has_room.clear()
            await self._has_room.wait()
        if self._is_closed:
            raise StoreUnavailable("the store is closed.")
        self._queued_bytes += job.size_bytes
        enqueue(job)
        return await job.future

    def _enqueue(self, job: WriteJob) -> None:
        self._waiting.append(job)
        self._wake_signal.put(None)

    def _defer(self, job: WriteJob) -> None:
        self._deferred.append(job)
        if self._deferred_timer is None:
            self._deferred_timer = self._loop.call_later(DEFERRED_SECONDS, self._wake_for_deferred)

    def _wake_for_deferred(self) -> None:
        self._deferred_timer = None
        if self._deferred:
            self._enqueue(WriteJob(_no_work, self._loop.create_future()))

    def _settle(self, jobs: list[WriteJob]) -> None:
        for job in jobs:
            self._queued_bytes -= job.size_bytes
            settle(job.future, job.result if job.error is None else job.error)
        self._has_room.set()

    # on the writer's thread

    def _run(self) -> None:
        while self._wait_for_jobs():
            jobs = self._commit_batch()
            try:
                self._loop.call_soon_threadsafe(self._settle, jobs)
            except RuntimeError:
                break  # the loop is closed, so nobody waits
        self._close_resources()

    def _wait_for_jobs(self) -> bool:
        while not self._waiting:
            if self._is_closed:
                return bool(self._deferred)
            self._wake_signal.get()
        return True

    def _commit(self, jobs: list[WriteJob]) -> Exception | None:
        try:
            self._begin(jobs)
        except Exception as error:
            self._fail(jobs, error)
            return error
        try:
            self._run_and_commit(jobs)
        except Exception as error:
            self._roll_back()
            if len(jobs) == 1 or not self._can_retry(error):
                self._fail(jobs, error)
            else:
                self._commit_each(jobs)
        return None

    def _commit_each(self, jobs: list[WriteJob]) -> None:
        for position, job in enumerate(jobs):
            job.result = job.error = None
            if (error := self._commit([job])) is not None:
                self._fail(jobs[position + 1 :], error)
                return

    def _run_jobs(self, jobs: list[WriteJob], connection: Connection) -> None:
        for batch_work, group in groupby(jobs, lambda job: job.batch_work):
            if batch_work is None:
                for job in group:
                    _run_job(job, connection)
            else:
                batch = list(group)
                refusals = batch_work(connection, [job.item for job in batch])
                for job, refusal in zip(batch, refusals, strict=True):
                    job.error = refusal

    # on both: a job that was taken belongs to one thread

    def _take_batch(self) -> list[WriteJob]:
        jobs: list[WriteJob] = []
        size = 0
        with suppress(IndexError):
            while len(jobs) < MAX_BATCH_JOBS and size < MAX_BATCH_BYTES:
                jobs.append(self._waiting.popleft())
                size += jobs[-1].size_bytes
        with suppress(IndexError):
            while True:
                jobs.append(self._deferred.popleft())
        return jobs

    def _fail(self, jobs: list[WriteJob], error: Exception) -> None:
        for job in jobs:
            job.error = error
            if isinstance(error, StoreUnavailable):
                self.largest_failure_bytes = max(self.largest_failure_bytes, job.size_bytes)


def _run_job(job: WriteJob, connection: Connection) -> None:
    try:
        job.result = job.work(connection)
    except GatewayError as refusal:
        job.error = refusal


def _no_work(_: Connection) -> None: ...


MAX_PADDING_BYTES = 8 * 1024 * 1024

_HEARTBEAT = "UPDATE heartbeat SET beats = beats + 1, padding = ?"


class Database:
    """One writer, and read pools for the database and its replica."""

    def __init__(
        self,
        writer: Writer,
        new_connection: Callable[[], ReadConnection],
        packer: Packer,
        dialect: Dialect,
        query_seconds: float | None = None,
        new_replica_connection: Callable[[], ReadConnection] | None = None,
    ) -> None:
        self._dialect = dialect
        self._packer = packer
        self._writer = writer
        self._primary = self._replica = ReadPool(new_connection, query_seconds)
        if new_replica_connection is not None:
            self._replica = ReadPool(new_replica_connection, query_seconds)

    async def _write_exclusively(
        self, work: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work` while nobody else writes, and sync it to the disk."""
        return await self._writer.write(
            lambda connection: work(connection, *args, **kwargs), is_synced=True, is_exclusive=True
        )

    async def open_all(self) -> None:
        await asyncio.gather(*(pool.open() for pool in {self._primary, self._replica}))

    async def check(self) -> Health:
        # As large as the largest write that failed since one succeeded: a disk with room for a small row but not
        # for a real one is not healthy.
        padding = os.urandom(min(self._writer.largest_failure_bytes, MAX_PADDING_BYTES))
        try:
            await self._writer.write(lambda connection: connection.execute(_HEARTBEAT, (padding,)))
        except StoreUnavailable as error:
            return Health(is_writable=False, reason=str(error))
        self._writer.largest_failure_bytes = 0
        return Health(is_writable=True)

    async def close(self) -> None:
        await self._writer.close()
        await self._primary.close()
        await self._replica.close()
