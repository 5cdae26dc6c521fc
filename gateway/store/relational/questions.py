"""Questions: reads that callers ask for, however long they would take. Quick ones do not wait for slow ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from gateway.errors import QuestionTimeout
from gateway.store.relational.connection import Connection
from gateway.store.relational.readers import Readers, Snapshots

T = TypeVar("T")

PATIENCE_SECONDS = 5.0
"""How long a question waits for a reader before its caller is told to come again."""

QUICK_SECONDS = 1.0
"""How long a question may keep a reader that is there for quick ones; then it begins anew with another."""

_QUICK_THREADS = 2
_SLOW_THREADS = 3


class Questions:
    """Reads within a limit of time.

    Args:
        seconds: the limit; None: there is none, and whoever asks waits for a reader as long as it takes.
    """

    def __init__(self, database: Snapshots, seconds: float | None) -> None:
        self._seconds = seconds
        self._patience = None if seconds is None else PATIENCE_SECONDS
        self._quick = Readers(database, _QUICK_THREADS)
        self.slow = Readers(database, _SLOW_THREADS)
        """For what takes long; also of those who work in the background, without limits."""

    async def open(self) -> None:
        """Have all readers there, as far as the database lets them in, so that none comes later."""
        await asyncio.gather(self._quick.open(), self.slow.open())

    async def ask(self, work: Callable[[Connection], T], *, is_costly: bool = False) -> T:
        """Run `work` as `Readers.read` does; it may be begun twice.

        Args:
            is_costly: whether it is likely to take long.

        Raises:
            QuestionTimeout: it took longer than the limit.
            Overloaded: no reader had time for it.
        """
        if not is_costly and self._seconds is not None and self._seconds > QUICK_SECONDS:
            try:
                return await self._quick.read(work, seconds=QUICK_SECONDS, patience=self._patience)
            except QuestionTimeout:
                pass
        elif not is_costly:
            return await self._quick.read(work, seconds=self._seconds, patience=self._patience)
        return await self.slow.read(work, seconds=self._seconds, patience=self._patience)

    async def close(self) -> None:
        """Interrupt what is under way, refuse what waits, and let go of the connections."""
        await asyncio.gather(self._quick.close(), self.slow.close())
