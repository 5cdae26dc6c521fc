"""Reading: a few threads, each with a connection of its own, so that reads wait for nobody."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from gateway.errors import StoreUnavailable
from gateway.store.relational.connection import Connection

T = TypeVar("T")


class Snapshots(Protocol):
    """A database as it is read."""

    def connect(self) -> Connection:
        """Open a connection that reads. Raises StoreUnavailable."""

    def reading(self, connection: Connection) -> AbstractContextManager[None]:
        """Keep to one snapshot of the database inside. A connection that was lost is opened anew."""

    def translated_errors(self) -> AbstractContextManager[None]:
        """Raise StoreUnavailable inside, with the reason, where the database cannot be used."""


class Readers:
    """A pool of reading connections. Each read sees every commit that was acknowledged before it began."""

    def __init__(self, database: Snapshots, threads: int) -> None:
        self._database = database
        self._idle: deque[Connection] = deque()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="store-reader")
        self._is_closed = False

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a connection in a thread, in one snapshot of the database, and return its result."""
        self._refuse_if_closed()
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._run, work)

    async def close(self) -> None:
        """Let the reads under way finish, then close the connections."""
        self._is_closed = True
        await asyncio.to_thread(self._threads.shutdown)
        while self._idle:
            self._idle.pop().close()

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise StoreUnavailable("the store is closed.")

    def _run(self, work: Callable[[Connection], T]) -> T:
        connection = self._idle.pop() if self._idle else self._database.connect()
        try:
            with self._database.translated_errors(), self._database.reading(connection):
                return work(connection)
        finally:
            self._idle.append(connection)
