"""PostgreSQL store: writer, partitions, maintenance."""

import asyncio
from functools import partial

from psycopg.errors import CheckViolation, DeadlockDetected, SerializationFailure

from gateway.models.addresses import database_name
from gateway.models.clock import now_us
from gateway.models.request import ExpiredCounts
from gateway.store.base import Decode
from gateway.store.database import WriteJob, Writer
from gateway.store.postgres import maintenance
from gateway.store.postgres.connection import (
    EXCLUSIVE,
    SHARED,
    PostgresConnection,
    PostgresReadConnection,
    translated_errors,
)
from gateway.store.postgres.dialect import POSTGRES, TextPacker
from gateway.store.sql_store import SqlStore

# Errors that others cause and that pass; the last when a partition is attached while its rows are inserted.
_TRANSIENT_ERRORS = (DeadlockDetected, SerializationFailure, CheckViolation)

# How often jobs are tried that conflict with others.
MAX_ATTEMPTS = 5


class PostgresWriter(Writer):
    """Runs jobs in a database with a connection of its own, which it closes; `name` is for messages."""

    def __init__(self, connection: PostgresConnection, name: str) -> None:
        super().__init__("postgres-writer")
        self._connection = connection
        self._name = name
        self._thread.start()

    def _commit_batch(self) -> list[WriteJob]:
        if jobs := self._take_batch():
            self._commit(jobs)
        return jobs

    def _begin(self, jobs: list[WriteJob]) -> None:
        with translated_errors(self._name):
            self._connection.begin(EXCLUSIVE if any(job.is_exclusive for job in jobs) else SHARED)

    def _run_and_commit(self, jobs: list[WriteJob]) -> None:
        with translated_errors(self._name):
            for _ in range(MAX_ATTEMPTS - 1):
                try:
                    self._try_commit(jobs)
                    return
                except _TRANSIENT_ERRORS:
                    self._connection.roll_back()
                    self._begin(jobs)
            self._try_commit(jobs)

    def _try_commit(self, jobs: list[WriteJob]) -> None:
        for job in jobs:
            job.result = job.error = None
        self._run_jobs(jobs, self._connection)
        self._connection.commit()

    def _roll_back(self) -> None:
        self._connection.roll_back()

    def _can_retry(self, error: Exception) -> bool:
        # A COMMIT whose answer was lost may have been done. Who waits for it must look before he tries again.
        return not self._connection.is_lost

    def _close_resources(self) -> None:
        self._connection.close()


def open_connection(url: str) -> PostgresConnection:
    """Connect to a database and migrate its tables. Blocks. Raises StoreUnavailable."""
    name = database_name(url)
    with translated_errors(name):
        connection = PostgresConnection(url)
        try:
            maintenance.migrate_schema(connection, name)
        except BaseException:
            connection.close()
            raise
    return connection


class PostgresStore(SqlStore):
    """The store in one database."""

    def __init__(
        self,
        connection: PostgresConnection,
        url: str,
        decode: Decode,
        read_url: str | None = None,
        query_seconds: float | None = None,
    ) -> None:
        self._url = url
        name = database_name(url)
        writer, reader = PostgresWriter(connection, name), partial(PostgresReadConnection, url, name)
        replica = (
            None if read_url is None else partial(PostgresReadConnection, read_url, database_name(read_url))
        )
        super().__init__(writer, reader, TextPacker(decode), POSTGRES, query_seconds, replica)

    async def create_partitions(self, at_us: int) -> None:
        await asyncio.to_thread(maintenance.create_partitions, self._url, at_us)

    async def expire(self, before_us: int) -> ExpiredCounts:
        await asyncio.to_thread(maintenance.drop_partitions_before, self._url, before_us, now_us())
        return await super().expire(before_us)

    async def compact(self) -> None:
        await asyncio.to_thread(maintenance.rewrite_tables, self._url)

    async def _purge_deleted(self) -> None:
        await asyncio.to_thread(maintenance.vacuum_tables, self._url)
