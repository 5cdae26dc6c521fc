"""PostgresStore: each promise of the seam as a job for the writer or a question to a reader."""

from __future__ import annotations

import asyncio

from gateway.domain.database_url import name_of
from gateway.domain.erasure import Expired
from gateway.store.base import Decode
from gateway.store.postgres.connection import PostgresConnection
from gateway.store.postgres.days import drop_before, make_room
from gateway.store.postgres.dialect import POSTGRES
from gateway.store.postgres.failures import translated_errors
from gateway.store.postgres.packing import TextPacker
from gateway.store.postgres.remains import rewrite, sweep_out
from gateway.store.postgres.schema import bring_up_to_date
from gateway.store.postgres.snapshots import PostgresSnapshots
from gateway.store.postgres.writer import PostgresWriter
from gateway.store.relational.parts.audit import AuditLog
from gateway.store.relational.parts.erasure import Erasure
from gateway.store.relational.parts.exports import Exports
from gateway.store.relational.parts.feedback import FeedbackEntries
from gateway.store.relational.parts.figures import Figures
from gateway.store.relational.parts.keys import Keys
from gateway.store.relational.parts.requests import Requests
from gateway.store.relational.parts.transfer import Transfer


async def open_postgres(
    url: str,
    decode: Decode,
    workers: tuple[int, ...],
    read_url: str | None = None,
    question_seconds: float | None = None,
) -> PostgresStore:
    """Open the store in this database, creating or upgrading its tables as needed.

    Args:
        decode: undoes the content-encoding of bodies before their text is kept.
        workers: numbers under which rows are stored, and left to be interpreted.
        read_url: a replica for queries; None: they ask the database itself.
        question_seconds: how long a question may take; None: as long as it does.

    Raises:
        StoreUnavailable: the server does not answer, or the database is none of ours or of a newer version.
    """
    connection = await asyncio.to_thread(open_connection, url)
    return PostgresStore(connection, url, decode, workers, read_url, question_seconds)


def open_connection(url: str) -> PostgresConnection:
    """Connect to a database and bring its tables up to date. Blocks. Raises StoreUnavailable."""
    name = name_of(url)
    with translated_errors(name):
        connection = PostgresConnection(url)
        try:
            bring_up_to_date(connection, name)
        except BaseException:
            connection.close()
            raise
    return connection


class PostgresStore(Requests, Figures, FeedbackEntries, Erasure, Exports, Keys, AuditLog, Transfer):
    """The store in one database. Keeps every promise of `gateway.store.base.Store`."""

    def __init__(
        self,
        connection: PostgresConnection,
        url: str,
        decode: Decode,
        workers: tuple[int, ...],
        read_url: str | None = None,
        question_seconds: float | None = None,
    ) -> None:
        self._url = url
        name = name_of(url)
        writer, snapshots = PostgresWriter(connection, name), PostgresSnapshots(url, name)
        replica = None if read_url is None else PostgresSnapshots(read_url, name_of(read_url))
        packer = TextPacker(decode)
        super().__init__(writer, snapshots, packer, POSTGRES, workers, question_seconds, replica)

    async def make_room(self, at_us: int) -> None:
        await asyncio.to_thread(make_room, self._url, at_us)

    async def expire(self, before_us: int) -> Expired:
        await asyncio.to_thread(drop_before, self._url, before_us)
        return await super().expire(before_us)

    async def compact(self) -> None:
        await asyncio.to_thread(rewrite, self._url)

    async def _remove_remains(self) -> None:
        await asyncio.to_thread(sweep_out, self._url)
