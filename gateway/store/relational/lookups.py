"""Lookups: short reads, on which answers wait. Those that are asked for at once go to a thread together, since to
hand one over and to begin a transaction takes longer than the lookup itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from gateway.errors import StoreUnavailable
from gateway.store.relational.connection import Connection
from gateway.store.relational.readers import Read, Readers

T = TypeVar("T")


class Lookups(Readers):
    """Readers for what takes no time to speak of, so that nothing needs to interrupt it."""

    async def read(
        self, work: Callable[[Connection], T], *, seconds: float | None = None, patience: float | None = None
    ) -> T:
        """Do what `Readers.read` does, but for the limits. Lookups that share a snapshot fail each for its own
        reasons."""
        self._refuse_if_closed()
        lookup = Read(work, self._loop.create_future())
        self._waiting.append(lookup)
        if len(self._waiting) == 1:
            self._loop.call_soon(self._send)
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

    def _send(self) -> None:
        """Give all that waits to a reader, unless none has time: then they go when one has, with those that come
        until then."""
        if self._waiting and (reader := self._free()) is not None:
            lookups = list(self._waiting)
            self._waiting.clear()
            reader.begin(lookups)
