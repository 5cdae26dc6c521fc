"""Reading: threads, each with a connection of its own. What takes too long or is wanted no more is interrupted."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Protocol, TypeVar

from gateway.errors import GatewayError, Overloaded, QuestionTimeout, StoreUnavailable
from gateway.store.relational.connection import Connection
from gateway.store.relational.job import Job

T = TypeVar("T")

_INTERRUPT_SECONDS = 0.02
"""After how long a job is interrupted again that went on: an interrupt between two statements ends none."""


class Snapshots(Protocol):
    """A database as it is read."""

    def connect(self) -> Connection:
        """Open a connection that reads. Raises StoreUnavailable."""

    def reading(self, connection: Connection, seconds: float | None) -> AbstractContextManager[None]:
        """Keep to one snapshot of the database inside. A connection that was lost is opened anew.

        Args:
            seconds: after which each statement shall end, should nobody interrupt it; None: never.
        """

    def interrupt(self, connection: Connection) -> None:
        """End the statement that is under way on a connection, from another thread."""

    def translated_errors(self) -> AbstractContextManager[None]:
        """Raise StoreUnavailable inside, with the reason, where the database cannot be used."""


@dataclass(slots=True, eq=False)
class Read(Job):
    """A job that reads.

    Args:
        seconds: how long it may take; None: as long as it does.
        reader: who does it; None while it waits for one.
        timer: ends the waiting, later the work.
        is_wanted: whether anybody waits for its result.
        is_over: whether its reader is done with it.
    """

    seconds: float | None = None
    reader: Reader | None = None
    timer: asyncio.TimerHandle | None = None
    is_wanted: bool = True
    is_over: bool = False


class Reader:
    """A thread and its connection, opened with it. It does one batch of jobs at a time, each in one snapshot."""

    def __init__(self, database: Snapshots, done: Callable[[Reader, Sequence[Read]], None]) -> None:
        self._database = database
        self._done = done
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._current: Read | None = None
        self._batches: SimpleQueue[Sequence[Read] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-reader", daemon=True)
        self._thread.start()

    def begin(self, batch: Sequence[Read]) -> None:
        """Do these jobs once those before them are done."""
        self._batches.put(batch)

    def interrupt(self, read: Read) -> None:
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
            self._do(batch)
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

    def _do(self, batch: Sequence[Read]) -> None:
        wanted = [read for read in batch if read.is_wanted]
        try:
            if wanted:
                self._read(wanted)
        except Exception as error:
            for read in wanted:
                read.error = read.error or error
        finally:
            for read in batch:
                read.is_over = True

    def _read(self, batch: Sequence[Read]) -> None:
        connection = self._connection = self._connection or self._database.connect()
        seconds = batch[0].seconds
        with self._database.translated_errors(), self._database.reading(connection, seconds):
            for read in batch:
                try:
                    with self._interruptible(read), self._database.translated_errors():
                        if read.is_wanted:
                            read.result = read.work(connection)
                except Exception as error:
                    read.error = error

    @contextmanager
    def _interruptible(self, read: Read) -> Iterator[None]:
        """The time in which the connection works for a job and nothing else, so that an interrupt ends no other."""
        with self._lock:
            self._current = read
        try:
            yield
        finally:
            with self._lock:
                self._current = None


class Readers:
    """Readers that share their work. Each read sees every commit that was acknowledged before it began.

    Made, called and closed on one event loop.

    Args:
        threads: how many there may be; each comes when none of the others has time.
    """

    def __init__(self, database: Snapshots, threads: int) -> None:
        self._database = database
        self._most = threads
        self._loop = asyncio.get_running_loop()
        self._readers: list[Reader] = []
        self._idle: list[Reader] = []
        self._waiting: deque[Read] = deque()
        self._under_way: set[Read] = set()
        self._is_closed = False

    async def open(self) -> None:
        """Have all readers there, as far as the database lets them in, so that none comes later."""
        opening = []
        while (reader := self._free()) is not None:
            opening.append(Read(_look, self._loop.create_future()))
            reader.begin(opening[-1:])
        await asyncio.gather(*(read.future for read in opening), return_exceptions=True)

    async def read(
        self, work: Callable[[Connection], T], *, seconds: float | None = None, patience: float | None = None
    ) -> T:
        """Run `work` on a connection in a thread, in one snapshot of the database, and return its result. It is
        interrupted when it takes too long, and when whoever waits for it is cancelled.

        Args:
            seconds: how long it may take; None: as long as it does.
            patience: how long it may wait for a reader, in seconds; None: as long as it takes.

        Raises:
            QuestionTimeout: it took longer.
            Overloaded: no reader had time for it.
        """
        self._refuse_if_closed()
        read = Read(work, self._loop.create_future(), seconds=seconds)
        self._waiting.append(read)
        self._send()
        if read.reader is None and patience is not None:
            read.timer = self._loop.call_later(patience, _fail, read, _full())
        try:
            result: T = await read.future
            return result
        finally:
            self._leave(read)

    async def close(self) -> None:
        """Interrupt what is under way, refuse what waits, and let go of the connections."""
        self._is_closed = True
        for read in (*self._waiting, *self._under_way):
            _fail(read, StoreUnavailable("the store is closed."))
            self._leave(read)
        await self._stop()

    async def _stop(self) -> None:
        readers, self._readers, self._idle = self._readers, [], []
        await asyncio.gather(*(asyncio.to_thread(reader.stop) for reader in readers))

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("the store is closed.")

    def _free(self) -> Reader | None:
        """A reader that has time, a new one if need be."""
        if self._idle:
            return self._idle.pop()
        if len(self._readers) == self._most:
            return None
        self._readers.append(Reader(self._database, self._tell))
        return self._readers[-1]

    def _send(self) -> None:
        """Give what waits to readers that have time."""
        while self._waiting and (reader := self._free()) is not None:
            read = self._waiting.popleft()
            self._under_way.add(read)
            read.reader = reader
            _stop_timer(read)
            if read.seconds is not None:
                read.timer = self._loop.call_later(read.seconds, _fail, read, _timeout(read.seconds))
            reader.begin([read])

    def _leave(self, read: Read) -> None:
        """Do no more for a job than is done, now that nobody waits for it."""
        _stop_timer(read)
        if read.reader is None:
            with suppress(ValueError):
                self._waiting.remove(read)
        elif read.is_wanted and not read.is_over:
            read.is_wanted = False
            # Not in the loop's own threads: those may all be busy, and this one may have to go over a network.
            threading.Thread(target=read.reader.interrupt, args=(read,), daemon=True).start()

    def _tell(self, reader: Reader, batch: Sequence[Read]) -> None:
        """On a reader's thread: it is done with these jobs."""
        with suppress(RuntimeError):  # the loop is closed, so nobody is left to wait
            self._loop.call_soon_threadsafe(self._return, reader, batch)

    def _return(self, reader: Reader, batch: Sequence[Read]) -> None:
        self._idle.append(reader)
        self._under_way.difference_update(batch)
        for read in batch:
            read.settle()
        if not self._is_closed:
            self._send()


def _look(connection: Connection) -> None:
    """Open what SQLite opens when something is read for the first time."""
    connection.execute("SELECT last_seq FROM expired").fetchone()


def _stop_timer(read: Read) -> None:
    if read.timer is not None:
        read.timer.cancel()
        read.timer = None


def _fail(read: Read, error: GatewayError) -> None:
    if not read.future.done():
        read.future.set_exception(error)


def _full() -> Overloaded:
    return Overloaded("as many questions are under way as are answered at once.", hint="Send it again soon.")


def _timeout(seconds: float) -> QuestionTimeout:
    return QuestionTimeout(
        f"the answer takes longer than the {seconds:g} seconds that a question may take.",
        hint="Ask for less time, for fewer conditions on the text of bodies, or for fewer requests at a time.",
    )
