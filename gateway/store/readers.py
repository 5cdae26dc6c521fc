"""Reader threads: pools for short lookups and for queries with a time limit."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Protocol, TypeVar

from gateway.errors import GatewayError, Overloaded, QueryTimeout, StoreUnavailable
from gateway.store.dialect import Connection


@dataclass(slots=True, eq=False)
class Job:
    """Work that waits for its turn on a thread, and what came of it there."""

    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def settle(self) -> None:
        """Tell whoever waits, if anybody still does. On the event loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


T = TypeVar("T")

_INTERRUPT_SECONDS = 0.02
"""After how long a job is interrupted again that went on: an interrupt between two statements ends none."""


class SnapshotSource(Protocol):
    """A database as it is read."""

    def connect(self) -> Connection:
        """Open a connection that reads. Raises StoreUnavailable."""

    def snapshot(self, connection: Connection, seconds: float | None) -> AbstractContextManager[None]:
        """Keep to one snapshot of the database inside. A connection that was lost is opened anew.

        Args:
            seconds: after which each statement shall end, should nobody interrupt it; None: never.
        """

    def interrupt(self, connection: Connection) -> None:
        """End the statement that is under way on a connection, from another thread."""

    def translated_errors(self) -> AbstractContextManager[None]:
        """Raise StoreUnavailable inside, with the reason, where the database cannot be used."""


@dataclass(slots=True, eq=False)
class ReadJob(Job):
    """A job that reads.

    Args:
        seconds: how long it may take; None: as long as it does.
        reader: who does it; None while it waits for one.
        timer: ends the waiting, later the work.
        is_wanted: whether anybody waits for its result.
        is_over: whether its reader is done with it.
    """

    seconds: float | None = None
    reader: ReaderThread | None = None
    timer: asyncio.TimerHandle | None = None
    is_wanted: bool = True
    is_over: bool = False


class ReaderThread:
    """A thread and its connection, opened with it. It does one batch of jobs at a time, each in one snapshot."""

    def __init__(
        self, database: SnapshotSource, done: Callable[[ReaderThread, Sequence[ReadJob]], None]
    ) -> None:
        self._database = database
        self._done = done
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._current: ReadJob | None = None
        self._batches: SimpleQueue[Sequence[ReadJob] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-reader", daemon=True)
        self._thread.start()

    def begin(self, batch: Sequence[ReadJob]) -> None:
        """Do these jobs once those before them are done."""
        self._batches.put(batch)

    def interrupt(self, read: ReadJob) -> None:
        """Return when a job that nobody wants any more is over, which it is soon. Blocks."""
        while not read.is_over:
            with self._lock:
                if self._current is read and self._connection is not None:
                    self._database.interrupt(self._connection)
            time.sleep(_INTERRUPT_SECONDS)

    def stop(self) -> None:
        """End the thread and close its connection once all that was begun is done. Blocks."""
        self._batches.put(None)
        self._thread.join()

    def _run(self) -> None:
        self._connect()
        while (batch := self._batches.get()) is not None:
            self._run_batch(batch)
            if not all(read.is_wanted for read in batch):
                self._connect()
            self._done(self, batch)
        if self._connection is not None:
            self._connection.close()

    def _connect(self) -> None:
        """Open the connection, anew after an interrupt: it may still hold in what was open beside the statement."""
        with suppress(Exception):  # told to those who ask, when it is tried again
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            self._connection = self._database.connect()

    def _run_batch(self, batch: Sequence[ReadJob]) -> None:
        wanted = [read for read in batch if read.is_wanted]
        try:
            if wanted:
                self._run_in_snapshot(wanted)
        except Exception as error:
            for read in wanted:
                read.error = read.error or error
        finally:
            for read in batch:
                read.is_over = True

    def _run_in_snapshot(self, batch: Sequence[ReadJob]) -> None:
        connection = self._connection = self._connection or self._database.connect()
        seconds = batch[0].seconds
        with self._database.translated_errors(), self._database.snapshot(connection, seconds):
            for read in batch:
                try:
                    with self._interruptible(read), self._database.translated_errors():
                        if read.is_wanted:
                            read.result = read.work(connection)
                except Exception as error:
                    read.error = error

    @contextmanager
    def _interruptible(self, read: ReadJob) -> Iterator[None]:
        """The time in which the connection works for a job and nothing else, so that an interrupt ends no other."""
        with self._lock:
            self._current = read
        try:
            yield
        finally:
            with self._lock:
                self._current = None


class ReaderPool:
    """Readers that share their work. Each read sees every commit that was acknowledged before it began.

    Made, called and closed on one event loop.

    Args:
        threads: how many there may be; each comes when none of the others has time.
    """

    def __init__(self, database: SnapshotSource, threads: int) -> None:
        self._database = database
        self._max_readers = threads
        self._loop = asyncio.get_running_loop()
        self._readers: list[ReaderThread] = []
        self._idle: list[ReaderThread] = []
        self._waiting: deque[ReadJob] = deque()
        self._under_way: set[ReadJob] = set()
        self._is_closed = False

    async def open(self) -> None:
        """Have all readers there, as far as the database lets them in, so that none comes later."""
        opening = []
        while (reader := self._take_idle_reader()) is not None:
            opening.append(ReadJob(_warm_up, self._loop.create_future()))
            reader.begin(opening[-1:])
        await asyncio.gather(*(read.future for read in opening), return_exceptions=True)

    async def read(
        self, work: Callable[[Connection], T], *, seconds: float | None = None, max_wait: float | None = None
    ) -> T:
        """Run `work` on a connection in a thread, in one snapshot of the database, and return its result. It is
        interrupted when it takes too long, and when whoever waits for it is cancelled.

        Args:
            seconds: how long it may take; None: as long as it does.
            patience: how long it may wait for a reader, in seconds; None: as long as it takes.

        Raises:
            QueryTimeout: it took longer.
            Overloaded: no reader had time for it.
        """
        self._refuse_if_closed()
        read = ReadJob(work, self._loop.create_future(), seconds=seconds)
        self._waiting.append(read)
        self._dispatch()
        if read.reader is None and max_wait is not None:
            read.timer = self._loop.call_later(max_wait, _fail_read, read, _no_reader_free())
        try:
            result: T = await read.future
            return result
        finally:
            self._abandon(read)

    async def close(self) -> None:
        """Interrupt what is under way, refuse what waits, and let go of the connections."""
        self._is_closed = True
        for read in (*self._waiting, *self._under_way):
            _fail_read(read, StoreUnavailable("the store is closed."))
            self._abandon(read)
        await self._stop()

    async def _stop(self) -> None:
        readers, self._readers, self._idle = self._readers, [], []
        await asyncio.gather(*(asyncio.to_thread(reader.stop) for reader in readers))

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("the store is closed.")

    def _take_idle_reader(self) -> ReaderThread | None:
        """A reader that has time, a new one if need be."""
        if self._idle:
            return self._idle.pop()
        if len(self._readers) == self._max_readers:
            return None
        self._readers.append(ReaderThread(self._database, self._report_done))
        return self._readers[-1]

    def _dispatch(self) -> None:
        """Give what waits to readers that have time."""
        while self._waiting and (reader := self._take_idle_reader()) is not None:
            read = self._waiting.popleft()
            self._under_way.add(read)
            read.reader = reader
            _stop_timer(read)
            if read.seconds is not None:
                read.timer = self._loop.call_later(
                    read.seconds, _fail_read, read, _time_exceeded(read.seconds)
                )
            reader.begin([read])

    def _abandon(self, read: ReadJob) -> None:
        """Do no more for a job than is done, now that nobody waits for it."""
        _stop_timer(read)
        if read.reader is None:
            with suppress(ValueError):
                self._waiting.remove(read)
        elif read.is_wanted and not read.is_over:
            read.is_wanted = False
            # Not in the loop's own threads: those may all be busy, and this one may have to go over a network.
            threading.Thread(target=read.reader.interrupt, args=(read,), daemon=True).start()

    def _report_done(self, reader: ReaderThread, batch: Sequence[ReadJob]) -> None:
        """On a reader's thread: it is done with these jobs."""
        with suppress(RuntimeError):  # the loop is closed, so nobody is left to wait
            self._loop.call_soon_threadsafe(self._return, reader, batch)

    def _return(self, reader: ReaderThread, batch: Sequence[ReadJob]) -> None:
        self._idle.append(reader)
        self._under_way.difference_update(batch)
        for read in batch:
            read.settle()
        if not self._is_closed:
            self._dispatch()


def _warm_up(connection: Connection) -> None:
    """Open what SQLite opens when something is read for the first time."""
    connection.execute("SELECT last_seq FROM expired").fetchone()


def _stop_timer(read: ReadJob) -> None:
    if read.timer is not None:
        read.timer.cancel()
        read.timer = None


def _fail_read(read: ReadJob, error: GatewayError) -> None:
    if not read.future.done():
        read.future.set_exception(error)


def _no_reader_free() -> Overloaded:
    return Overloaded("as many questions are under way as are answered at once.", hint="Send it again soon.")


def _time_exceeded(seconds: float) -> QueryTimeout:
    return QueryTimeout(
        f"the answer takes longer than the {seconds:g} seconds that a question may take.",
        hint="Ask for less time, for fewer conditions on the text of bodies, or for fewer requests at a time.",
    )


class LookupPool(ReaderPool):
    """Readers for what takes no time to speak of, so that nothing needs to interrupt it."""

    async def read(
        self, work: Callable[[Connection], T], *, seconds: float | None = None, max_wait: float | None = None
    ) -> T:
        """Do what `Readers.read` does, but for the limits. Lookups that share a snapshot fail each for its own
        reasons."""
        self._refuse_if_closed()
        lookup = ReadJob(work, self._loop.create_future())
        self._waiting.append(lookup)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._dispatch)
        result: T = await lookup.future
        return result

    async def close(self) -> None:
        """Let the lookups under way finish, refuse those that wait, then close the connections."""
        self._is_closed = True
        for lookup in self._waiting:
            lookup.error = StoreUnavailable("the store is closed.")
            lookup.settle()
        self._waiting.clear()
        await self._stop()

    def _dispatch(self) -> None:
        """Give all that waits to a reader, unless none has time: then they go when one has, with those that come
        until then."""
        if self._waiting and (reader := self._take_idle_reader()) is not None:
            lookups = list(self._waiting)
            self._waiting.clear()
            reader.begin(lookups)


PATIENCE_SECONDS = 5.0
"""How long a question waits for a reader before its caller is told to come again."""

QUICK_SECONDS = 1.0
"""How long a question may keep a reader that is there for quick ones; then it begins anew with another."""

_QUICK_THREADS = 2
_SLOW_THREADS = 3


class QueryPools:
    """Reads within a limit of time.

    Args:
        seconds: the limit; None: there is none, and whoever asks waits for a reader as long as it takes.
    """

    def __init__(self, database: SnapshotSource, seconds: float | None) -> None:
        self._seconds = seconds
        self._max_wait = None if seconds is None else PATIENCE_SECONDS
        self._quick = ReaderPool(database, _QUICK_THREADS)
        self.slow = ReaderPool(database, _SLOW_THREADS)
        """For what takes long; also of those who work in the background, without limits."""

    async def open(self) -> None:
        """Have all readers there, as far as the database lets them in, so that none comes later."""
        await asyncio.gather(self._quick.open(), self.slow.open())

    async def ask(self, work: Callable[[Connection], T], *, is_costly: bool = False) -> T:
        """Run `work` as `Readers.read` does; it may be begun twice.

        Args:
            is_costly: whether it is likely to take long.

        Raises:
            QueryTimeout: it took longer than the limit.
            Overloaded: no reader had time for it.
        """
        if not is_costly and self._seconds is not None and self._seconds > QUICK_SECONDS:
            try:
                return await self._quick.read(work, seconds=QUICK_SECONDS, max_wait=self._max_wait)
            except QueryTimeout:
                pass
        elif not is_costly:
            return await self._quick.read(work, seconds=self._seconds, max_wait=self._max_wait)
        return await self.slow.read(work, seconds=self._seconds, max_wait=self._max_wait)

    async def close(self) -> None:
        """Interrupt what is under way, refuse what waits, and let go of the connections."""
        await asyncio.gather(self._quick.close(), self.slow.close())
