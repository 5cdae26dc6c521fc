"""Lookups: short reads, on which answers wait. Those that are asked for at once go to a thread together, since to
hand one over and to begin a transaction takes longer than the lookup itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from gateway.errors import StoreUnavailable
from gateway.store.relational.connection import Connection
from gateway.store.relational.job import Job
from gateway.store.relational.readers import Readers, Snapshots

T = TypeVar("T")


class Lookups(Readers):
    """Readers for what takes no time to speak of. Made, called and closed on one event loop."""

    def __init__(self, database: Snapshots, threads: int) -> None:
        super().__init__(database, threads)
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Job] = []
        self._idle_threads = threads

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Do what `Readers.read` does. Lookups that share a snapshot fail each for its own reasons."""
        self._refuse_if_closed()
        lookup = Job(work, self._loop.create_future())
        self._waiting.append(lookup)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._send)
        result: T = await lookup.future
        return result

    async def close(self) -> None:
        """Let the lookups under way finish, refuse those that wait, then close the connections."""
        waiting, self._waiting = self._waiting, []
        for lookup in waiting:
            lookup.error = StoreUnavailable("the store is closed.")
            lookup.settle()
        await super().close()

    def _send(self) -> None:
        """Give all that waits to a thread, unless none has time: then they go when one has, with those that come
        until then."""
        if self._waiting and self._idle_threads:
            lookups, self._waiting = self._waiting, []
            self._idle_threads -= 1
            self._threads.submit(self._look_up, lookups)

    def _look_up(self, lookups: list[Job]) -> None:
        try:
            self._run(lambda connection: self._work_through(lookups, connection))
        except Exception as error:
            for lookup in lookups:
                lookup.error = lookup.error or error
        with suppress(RuntimeError):  # the loop is closed, so nobody is left to wait
            self._loop.call_soon_threadsafe(self._return, lookups)

    def _work_through(self, lookups: list[Job], connection: Connection) -> None:
        for lookup in lookups:
            try:
                with self._database.translated_errors():
                    lookup.result = lookup.work(connection)
            except Exception as error:
                lookup.error = error

    def _return(self, lookups: list[Job]) -> None:
        self._idle_threads += 1
        for lookup in lookups:
            lookup.settle()
        self._send()
