"""Reading: a few threads, each with a connection of its own, so that reads wait for nobody."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from gateway.errors import StoreUnavailable
from gateway.store.base import Decode
from gateway.store.sqlite.connection import connect_reader, translated_errors

T = TypeVar("T")


class Readers:
    """A pool of reading connections. Each read sees every commit that was acknowledged before it began."""

    def __init__(self, path: Path, decode: Decode, threads: int) -> None:
        self._path = path
        self._decode = decode
        self._idle: deque[sqlite3.Connection] = deque()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="sqlite-reader")
        self._is_closed = False

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
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

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        connection = self._idle.pop() if self._idle else connect_reader(self._path, self._decode)
        try:
            with translated_errors(self._path):
                connection.execute("BEGIN")
                try:
                    return work(connection)
                finally:
                    connection.execute("COMMIT")
        finally:
            self._idle.append(connection)
