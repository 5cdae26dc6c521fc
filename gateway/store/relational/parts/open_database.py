"""An open database: the thread that writes to it, those that read, and whether it still takes what is written."""

from __future__ import annotations

import asyncio
from functools import partial

from gateway.errors import StoreUnavailable
from gateway.store.base import Health
from gateway.store.dialect import Dialect
from gateway.store.filters import Query
from gateway.store.packing import Packer
from gateway.store.relational import heartbeat
from gateway.store.relational.connection import Connection
from gateway.store.relational.lookups import Lookups
from gateway.store.relational.questions import Questions
from gateway.store.relational.readers import Readers, Snapshots
from gateway.store.relational.writer import Writer

_LOOKUP_THREADS = 2
_EXACT_THREADS = 1


class OpenDatabase:
    """What the parts of a store have in common.

    Lookups by id, on which answers to callers wait, have threads of their own, so that an analyst's long
    query holds up none of them. `_questions` may be about a moment ago; what decides about a write asks `_exact`,
    and takes as long as it does.

    Args:
        question_seconds: how long a question may take; None: as long as it does.
        copy: a copy of the database for queries, which may lag behind; None: they ask the database itself.
        workers: what is stored is stored under the first number; what is uninterpreted under any is to be
            interpreted here.
    """

    def __init__(
        self,
        writer: Writer,
        database: Snapshots,
        packer: Packer,
        dialect: Dialect,
        workers: tuple[int, ...],
        question_seconds: float | None = None,
        copy: Snapshots | None = None,
    ) -> None:
        self._dialect = dialect
        self._workers = workers
        self._packer = packer
        self._writer = writer
        self._lookups = Lookups(database, _LOOKUP_THREADS)
        self._questions = Questions(copy or database, question_seconds)
        self._exact = self._questions.slow if copy is None else Readers(database, _EXACT_THREADS)

    async def open_all(self) -> None:
        """Open all connections now, as far as the database lets them in, so that none is opened later."""
        await asyncio.gather(self._lookups.open(), self._questions.open(), self._exact.open())

    async def check(self) -> Health:
        """Commit a heartbeat as large as the largest write that failed since one succeeded, so that a disk
        with room for a small row but not for a real one does not pass for healthy."""
        size = min(self._writer.largest_failure_bytes, heartbeat.MAX_PADDING_BYTES)
        try:
            await self._writer.write(partial(heartbeat.beat, padding_bytes=size))
        except StoreUnavailable as error:
            return Health(is_writable=False, reason=str(error))
        self._writer.largest_failure_bytes = 0
        return Health(is_writable=True)

    async def close(self) -> None:
        await self._writer.close()
        await self._lookups.close()
        await self._questions.close()
        await self._exact.close()


def count_of(connection: Connection, query: Query) -> int:
    """Return the one number that a statement finds."""
    number: int = connection.execute(query.sql, query.values).fetchone()[0]
    return number
