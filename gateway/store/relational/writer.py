"""The one thread that writes: it takes every job that waits, runs them in one transaction and commits once.

A job is a function of the connection. It may refuse, with a GatewayError, only before its first write; then
its neighbours in the transaction are none the wiser. Whatever else goes wrong rolls all of them back, and
each is run again in a transaction of its own, so that a job fails for its own reasons only.
"""

from __future__ import annotations

import asyncio
import math
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from queue import SimpleQueue
from typing import Any, TypeVar

from gateway.errors import GatewayError, StoreUnavailable
from gateway.store.relational.connection import Connection
from gateway.store.relational.job import Job

T = TypeVar("T")
Item = TypeVar("Item")
Work = Callable[[Connection], T]
WorkOnAll = Callable[[Connection, Sequence[Item]], Sequence[GatewayError | None]]
"""Work on several things as one; returns for each why it is refused, or None."""

MAX_BATCH_JOBS = 1000
MAX_BATCH_BYTES = 8 * 1024 * 1024
MAX_QUEUED_BYTES = 256 * 1024 * 1024
LAZY_SECONDS = 0.020
CLOSING_LOOK_SECONDS = 0.5


@dataclass(slots=True, eq=False, kw_only=True)
class Write(Job):
    """A job that changes something.

    Args:
        size_bytes: about how much it writes.
        is_synced: whether the commit must be on the disk itself, not only in the kernel's hands.
        is_alone: whether nobody else may write, on whatever machine, from before it looks until it is committed.
        on_all: does the work instead, for this item and those of other such jobs that wait with it.
    """

    size_bytes: int = 0
    is_synced: bool = False
    is_alone: bool = False
    on_all: WorkOnAll[Any] | None = None
    item: Any = None


class Writer(ABC):
    """Runs jobs in the order in which they came. Made, called and closed on one event loop.

    Args:
        name: what the thread is called.
    """

    def __init__(self, name: str) -> None:
        self.largest_failure_bytes = 0
        """Size of the largest job that the database could not take; whoever sees a write succeed resets
        it."""
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Write] = deque()
        self._lazy: deque[Write] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._nudge: asyncio.TimerHandle | None = None
        self._queued_bytes = 0
        self._has_room = asyncio.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def queued_bytes(self) -> int:
        """About how much waits to be committed."""
        return self._queued_bytes

    async def write(
        self, work: Work[T], *, size_bytes: int = 0, is_synced: bool = False, is_alone: bool = False
    ) -> T:
        """Run `work` and return its result once it is committed; waits while the queue is full.

        Args:
            size_bytes: about how much it writes.
            is_synced: whether the commit must be on the disk itself, not only in the kernel's hands.
            is_alone: whether nobody else may write from before it looks at what is there until it is committed.
        """
        await self._wait_for_room(size_bytes)
        job = self._new_job(work, size_bytes, is_synced=is_synced, is_alone=is_alone)
        self._call_for(job)
        result: T = await job.future
        return result

    async def write_together(
        self,
        on_all: WorkOnAll[Item],
        item: Item,
        *,
        size_bytes: int = 0,
        is_synced: bool = False,
        is_alone: bool = False,
    ) -> None:
        """Do what `write` does for one of many things that cost less together. Raises what it is refused with.

        Args:
            on_all: a function of a module; those that are given with the same one are worked on as one.
        """
        await self._wait_for_room(size_bytes)
        job = self._new_job(_nothing, size_bytes, is_synced=is_synced, is_alone=is_alone)
        job.on_all, job.item = on_all, item
        self._call_for(job)
        await job.future

    async def write_lazily(self, work: Work[T], *, size_bytes: int = 0) -> T:
        """Like `write`, but wakes nobody: rides along with the next batch, or waits 20 ms for one."""
        await self._wait_for_room(size_bytes)
        job = self._new_job(work, size_bytes, is_synced=False, is_alone=False)
        self._lazy.append(job)
        if self._nudge is None:
            self._nudge = self._loop.call_later(LAZY_SECONDS, self._wake_for_lazy)
        result: T = await job.future
        return result

    async def close(self) -> None:
        """Run what is queued, then close the connection; or give up if another process does not let it."""
        if not self._is_closed:
            self._is_closed = True
            self._bell.put(None)
        while self._thread.is_alive() and self._patience_left() > 0:
            await asyncio.to_thread(self._thread.join, CLOSING_LOOK_SECONDS)
        if self._nudge is not None:
            self._nudge.cancel()

    # what each database does in its own way

    @abstractmethod
    def _take_turn(self) -> list[Write]:
        """Take what waits and commit it, when it is this writer's turn; return it, done or failed."""

    @abstractmethod
    def _begin(self, jobs: list[Write]) -> None:
        """Begin the transaction of these jobs."""

    @abstractmethod
    def _run_and_commit(self, jobs: list[Write]) -> None:
        """Run jobs in the transaction that was begun, and commit it."""

    @abstractmethod
    def _roll_back(self) -> None:
        """Undo what was not committed. Never raises: if even this fails, the next transaction cannot be begun
        and says so, and the thread must live to tell."""

    @abstractmethod
    def _let_go(self) -> None:
        """Close what the thread had open."""

    def _may_run_again(self, error: Exception) -> bool:
        """Tell whether it is certain that nothing was committed of jobs that failed together."""
        return True

    def _patience_left(self) -> float:
        """Return for how many seconds the thread may still be waited for."""
        return math.inf

    # on the event loop

    async def _wait_for_room(self, size_bytes: int) -> None:
        while self._queued_bytes and self._queued_bytes + size_bytes > MAX_QUEUED_BYTES:
            self._has_room.clear()
            await self._has_room.wait()
        if self._is_closed:
            raise StoreUnavailable("the store is closed.")

    def _new_job(self, work: Work[T], size_bytes: int, *, is_synced: bool, is_alone: bool) -> Write:
        self._queued_bytes += size_bytes
        future = self._loop.create_future()
        return Write(work, future, size_bytes=size_bytes, is_synced=is_synced, is_alone=is_alone)

    def _call_for(self, job: Write) -> None:
        self._waiting.append(job)
        self._bell.put(None)

    def _wake_for_lazy(self) -> None:
        self._nudge = None
        if self._lazy:
            self._call_for(Write(_nothing, self._loop.create_future()))

    def _settle(self, jobs: list[Write]) -> None:
        for job in jobs:
            self._queued_bytes -= job.size_bytes
            job.settle()
        self._has_room.set()

    # on the writer's thread

    def _run(self) -> None:
        while self._wait_for_jobs():
            jobs = self._take_turn()
            try:
                self._loop.call_soon_threadsafe(self._settle, jobs)
            except RuntimeError:
                break  # the loop is closed, so nobody is left to wait for anything
        self._let_go()

    def _wait_for_jobs(self) -> bool:
        """Wait for a job; tell whether there is one, or the writer is closed and none will come."""
        while not self._waiting:
            if self._is_closed:
                return bool(self._lazy)
            self._bell.get()
        return True

    def _commit(self, jobs: list[Write]) -> Exception | None:
        """Run jobs in one transaction, or if that fails each in its own; return why none could be begun."""
        try:
            self._begin(jobs)
        except Exception as error:
            self._fail(jobs, error)
            return error
        try:
            self._run_and_commit(jobs)
        except Exception as error:
            self._roll_back()
            if len(jobs) == 1 or not self._may_run_again(error):
                self._fail(jobs, error)
            else:
                self._commit_alone(jobs)
        return None

    def _commit_alone(self, jobs: list[Write]) -> None:
        for position, job in enumerate(jobs):
            job.result = job.error = None
            if (error := self._commit([job])) is not None:
                self._fail(jobs[position + 1 :], error)
                return

    def _work_through(self, jobs: list[Write], connection: Connection) -> None:
        for on_all, group in groupby(jobs, lambda job: job.on_all):
            if on_all is None:
                for job in group:
                    _work(job, connection)
            else:
                together = list(group)
                refusals = on_all(connection, [job.item for job in together])
                for job, refusal in zip(together, refusals, strict=True):
                    job.error = refusal

    # on either: whoever takes a job has it to himself

    def _take(self) -> list[Write]:
        """Take all jobs that wait, up to a batch."""
        jobs: list[Write] = []
        size = 0
        with suppress(IndexError):
            while len(jobs) < MAX_BATCH_JOBS and size < MAX_BATCH_BYTES:
                jobs.append(self._waiting.popleft())
                size += jobs[-1].size_bytes
        with suppress(IndexError):
            while True:
                jobs.append(self._lazy.popleft())
        return jobs

    def _fail(self, jobs: list[Write], error: Exception) -> None:
        for job in jobs:
            job.error = error
            if isinstance(error, StoreUnavailable):
                self.largest_failure_bytes = max(self.largest_failure_bytes, job.size_bytes)


def _work(job: Write, connection: Connection) -> None:
    try:
        job.result = job.work(connection)
    except GatewayError as refusal:
        job.error = refusal


def _nothing(_: Connection) -> None:
    """Work for a job whose only point is that the writer wakes."""
