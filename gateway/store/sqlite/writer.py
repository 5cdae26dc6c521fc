"""The one thread that writes: it takes every job that waits, runs them in one transaction and commits once.

A job is a function of the connection. It may refuse, with a GatewayError, only before its first write; then
its neighbours in the transaction are none the wiser. Whatever else goes wrong rolls all of them back, and
each is run again in a transaction of its own, so that a job fails for its own reasons only.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from gateway.errors import GatewayError, StoreUnavailable
from gateway.store.sqlite.checkpointer import LOG_PAGES, Checkpointer
from gateway.store.sqlite.connection import BUSY_SECONDS, locked_out, translated_errors
from gateway.store.sqlite.job import Job
from gateway.store.sqlite.turn import Turn

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

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
    """

    size_bytes: int = 0
    is_synced: bool = False


class Writer:
    """Runs jobs in the order in which they came. Made, called and closed on one event loop.

    Args:
        connection: the only one that writes in this process; the writer closes it.
        path: the file, for messages.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.largest_failure_bytes = 0
        """Size of the largest job that the database could not take; whoever sees a write succeed resets
        it."""
        self._connection = connection
        self._path = path
        self._inode = path.stat().st_ino
        self._loop = asyncio.get_running_loop()
        self._turn = Turn(path, BUSY_SECONDS)
        self._checkpointer = Checkpointer(path)
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        self._patience: asyncio.TimerHandle | None = None
        self._waiting: deque[Write] = deque()
        self._lazy: deque[Write] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._nudge: asyncio.TimerHandle | None = None
        self._queued_bytes = 0
        self._has_room = asyncio.Event()
        self._is_closed = False
        self._is_syncing = False
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    @property
    def queued_bytes(self) -> int:
        """About how much waits to be committed."""
        return self._queued_bytes

    async def write(self, work: Work[T], *, size_bytes: int = 0, is_synced: bool = False) -> T:
        """Run `work` and return its result once it is committed; waits while the queue is full.

        Args:
            size_bytes: about how much it writes.
            is_synced: whether the commit must be on the disk itself, not only in the kernel's hands.
        """
        await self._wait_for_room(size_bytes)
        job = self._new_job(work, size_bytes, is_synced)
        self._call_for(job)
        result: T = await job.future
        return result

    async def write_lazily(self, work: Work[T], *, size_bytes: int = 0) -> T:
        """Like `write`, but wakes nobody: rides along with the next batch, or waits 20 ms for one."""
        await self._wait_for_room(size_bytes)
        job = self._new_job(work, size_bytes, is_synced=False)
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
        while self._thread.is_alive() and self._turn.patience_left() > 0:
            await asyncio.to_thread(self._thread.join, CLOSING_LOOK_SECONDS)
        self._give_up_if_stuck()
        for timer in (self._nudge, self._patience):
            if timer is not None:
                timer.cancel()

    # on the event loop

    async def _wait_for_room(self, size_bytes: int) -> None:
        while self._queued_bytes and self._queued_bytes + size_bytes > MAX_QUEUED_BYTES:
            self._has_room.clear()
            await self._has_room.wait()
        if self._is_closed:
            raise StoreUnavailable("the store is closed.")

    def _new_job(self, work: Work[T], size_bytes: int, is_synced: bool) -> Write:
        self._queued_bytes += size_bytes
        return Write(work, self._loop.create_future(), size_bytes=size_bytes, is_synced=is_synced)

    def _call_for(self, job: Write) -> None:
        self._waiting.append(job)
        self._bell.put(None)
        if self._patience is None:
            self._patience = self._loop.call_later(BUSY_SECONDS, self._give_up_if_stuck)

    def _wake_for_lazy(self) -> None:
        self._nudge = None
        if self._lazy:
            self._call_for(Write(_nothing, self._loop.create_future()))

    def _give_up_if_stuck(self) -> None:
        """Fail all that waits if the thread has waited for its turn too long. When that comes after all, it finds
        only what has come since."""
        self._patience = None
        if (left := self._turn.patience_left()) > 0:
            if self._waiting:
                self._patience = self._loop.call_later(left, self._give_up_if_stuck)
            return
        while jobs := self._take():
            self._fail(jobs, locked_out(self._path))
            self._settle(jobs)

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
        self._checkpointer.close()
        self._connection.close()
        self._turn.close()

    def _wait_for_jobs(self) -> bool:
        """Wait for a job; tell whether there is one, or the writer is closed and none will come."""
        while not self._waiting:
            if self._is_closed:
                return bool(self._lazy)
            self._bell.get()
        return True

    def _take_turn(self) -> list[Write]:
        """Wait until no other process writes, then run what waits by then; return it, done or failed."""
        try:
            self._turn.take()
        except StoreUnavailable as error:
            jobs = self._take()
            self._fail(jobs, error)
            return jobs
        try:
            if jobs := self._take():
                self._commit(jobs)
            return jobs
        finally:
            self._turn.end()

    def _commit(self, jobs: list[Write]) -> Exception | None:
        """Run jobs in one transaction, or if that fails each in its own; return why none could be begun."""
        try:
            self._begin(is_synced=any(job.is_synced for job in jobs))
        except Exception as error:
            self._fail(jobs, error)
            return error
        try:
            self._run_and_commit(jobs)
        except Exception as error:
            self._roll_back()
            if len(jobs) == 1:
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

    def _begin(self, *, is_synced: bool) -> None:
        self._refuse_moved_file()
        with translated_errors(self._path):
            if is_synced != self._is_syncing:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if is_synced else 'NORMAL'}")
                self._is_syncing = is_synced
            self._connection.execute("BEGIN IMMEDIATE")

    def _refuse_moved_file(self) -> None:
        """Raise StoreUnavailable if the file that is open is not the one of its name any more: what is committed to
        it then would be found by nobody."""
        try:
            is_in_place = os.stat(self._path).st_ino == self._inode
        except OSError:
            is_in_place = False
        if not is_in_place:
            raise StoreUnavailable(f"the database {self._path} was removed or replaced while it was in use.")

    def _run_and_commit(self, jobs: list[Write]) -> None:
        with translated_errors(self._path):
            for job in jobs:
                try:
                    job.result = job.work(self._connection)
                except GatewayError as refusal:
                    job.error = refusal
            self._connection.execute("COMMIT")
        self._checkpointer.committed(sum(job.size_bytes for job in jobs))

    def _roll_back(self) -> None:
        # If even this fails, the next BEGIN does too and says so; the thread must live to tell.
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

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


def _nothing(_: sqlite3.Connection) -> None:
    """Work for a job whose only point is that the writer wakes."""
