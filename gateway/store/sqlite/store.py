"""SqliteStore: each promise of the seam as a job for the writer or a question to a reader."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from gateway.store.base import Decode
from gateway.store.occupancy import occupy
from gateway.store.sqlite.connection import connect_writer
from gateway.store.sqlite.parts.audit import AuditLog
from gateway.store.sqlite.parts.erasure import Erasure
from gateway.store.sqlite.parts.exports import Exports
from gateway.store.sqlite.parts.feedback import FeedbackEntries
from gateway.store.sqlite.parts.figures import Figures
from gateway.store.sqlite.parts.keys import Keys
from gateway.store.sqlite.parts.requests import Requests
from gateway.store.sqlite.parts.transfer import Transfer
from gateway.store.sqlite.schema import bring_up_to_date


async def open_sqlite(path: Path, decode: Decode, workers: tuple[int, ...]) -> SqliteStore:
    """Open the store in this file, creating or upgrading its tables as needed.

    Args:
        decode: undoes the content-encoding of bodies where their text is searched.
        workers: numbers of the worker whose store this is, and of those whose work it carries on.

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
    return SqliteStore(connection, occupancy, path, decode, workers)


def _open(path: Path) -> sqlite3.Connection:
    connection = connect_writer(path)
    try:
        bring_up_to_date(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


class SqliteStore(Requests, Figures, FeedbackEntries, Erasure, Exports, Keys, AuditLog, Transfer):
    """The store in one file. Keeps every promise of `gateway.store.base.Store`."""
