"""An open file: the thread that writes to it, those that read, and whether it is still there."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.store.base import Decode, Health, as_sent
from gateway.store.file_lock import FileLock
from gateway.store.packing import BodyPacker
from gateway.store.sql import Query
from gateway.store.sqlite import heartbeat
from gateway.store.sqlite.lookups import Lookups
from gateway.store.sqlite.readers import Readers
from gateway.store.sqlite.writer import Writer

_LOOKUP_THREADS = 2
_QUERY_THREADS = 4


class OpenFile:
    """What the parts of a store have in common.

    Lookups by id, on which answers to callers wait, have threads of their own, so that an analyst's long
    query holds up none of them.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        occupancy: FileLock,
        path: Path,
        decode: Decode = as_sent,
        workers: tuple[int, ...] = (0,),
    ) -> None:
        self._path = path
        self._occupancy = occupancy
        self._workers = workers
        self._packer = BodyPacker()
        self._writer = Writer(connection, path)
        self._lookups = Lookups(path, decode, _LOOKUP_THREADS)
        self._queries = Readers(path, decode, _QUERY_THREADS)

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
        await self._queries.close()
        self._occupancy.close()


def count_of(connection: sqlite3.Connection, query: Query) -> int:
    """Return the one number that a statement finds."""
    number: int = connection.execute(query.sql, query.values).fetchone()[0]
    return number
