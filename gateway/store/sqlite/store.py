"""SqliteStore: each promise of the seam as a job for the writer or a question to a reader."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.store.base import Decode, as_sent
from gateway.store.file_lock import FileLock
from gateway.store.occupancy import occupy
from gateway.store.packing import BodyPacker
from gateway.store.relational.parts.audit import AuditLog
from gateway.store.relational.parts.erasure import Erasure
from gateway.store.relational.parts.exports import Exports
from gateway.store.relational.parts.feedback import FeedbackEntries
from gateway.store.relational.parts.figures import Figures
from gateway.store.relational.parts.keys import Keys
from gateway.store.relational.parts.requests import Requests
from gateway.store.relational.parts.transfer import Transfer
from gateway.store.sqlite import remains
from gateway.store.sqlite.connection import SqliteConnection, connect_writer
from gateway.store.sqlite.dialect import SQLITE
from gateway.store.sqlite.schema import bring_up_to_date
from gateway.store.sqlite.snapshots import SqliteSnapshots
from gateway.store.sqlite.writer import SqliteWriter


async def open_sqlite(
    path: Path, decode: Decode, workers: tuple[int, ...], question_seconds: float | None = None
) -> SqliteStore:
    """Open the store in this file, creating or upgrading its tables as needed.

    Args:
        decode: undoes the content-encoding of bodies where their text is searched.
        workers: numbers of the worker whose store this is, and of those whose work it carries on.
        question_seconds: how long a question may take; None: as long as it does.

    Raises:
        StoreUnavailable: the file cannot be written, is no database of ours, is of a newer version, or is being
            replaced.
    """
    occupancy = occupy(path)
    try:
        connection = await asyncio.to_thread(_open, path)
    except BaseException:
        occupancy.close()
        raise
    return SqliteStore(connection, occupancy, path, decode, workers, question_seconds)


def _open(path: Path) -> SqliteConnection:
    connection = connect_writer(path)
    try:
        bring_up_to_date(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


class SqliteStore(Requests, Figures, FeedbackEntries, Erasure, Exports, Keys, AuditLog, Transfer):
    """The store in one file. Keeps every promise of `gateway.store.base.Store`."""

    def __init__(
        self,
        connection: SqliteConnection,
        occupancy: FileLock,
        path: Path,
        decode: Decode = as_sent,
        workers: tuple[int, ...] = (0,),
        question_seconds: float | None = None,
    ) -> None:
        self._file_writer = SqliteWriter(connection, path)
        snapshots = SqliteSnapshots(path, decode)
        super().__init__(self._file_writer, snapshots, BodyPacker(), SQLITE, workers, question_seconds)
        self._path = path
        self._occupancy = occupancy

    async def open_all(self) -> None:
        await super().open_all()
        await asyncio.to_thread(self._file_writer.open)

    async def close(self) -> None:
        await super().close()
        self._occupancy.close()

    async def make_room(self, at_us: int) -> None:
        """Do nothing: a file has no parts."""

    async def compact(self) -> None:
        await asyncio.to_thread(remains.rewrite, self._path)

    async def _remove_remains(self) -> None:
        # What is deleted is overwritten, since `secure_delete` is on, but the log has it still.
        await asyncio.to_thread(remains.empty_journal, self._path)
