"""SQLite store: writer, checkpoints, vacuum."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path

import structlog

from gateway.errors import StoreUnavailable
from gateway.store.base import Decode, leave_encoded
from gateway.store.body_codecs import BodyPacker
from gateway.store.database import WriteJob, Writer
from gateway.store.locks import FileLock, WriteLock, lock_database
from gateway.store.sql_store import SqlStore
from gateway.store.sqlite.connection import (
    BUSY_SECONDS,
    CACHE_KIB,
    SqliteConnection,
    SqliteReadConnection,
    connect_writer,
    lock_timeout_error,
    migrate_schema,
    translated_errors,
)
from gateway.store.sqlite.dialect import SQLITE

log = structlog.get_logger("gateway.store")

# The writer itself checkpoints when the log is longer: 64 MiB, in pages of 4 KiB.
LOG_PAGES = 16_384

# A checkpoint is due after so many commits, each of which writes some 40 KiB into the log,
COMMITS = 100

# or after rows of this size.
ROW_BYTES = 4 * 1024 * 1024


class Checkpointer:
    """Checkpoints the write-ahead log on a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._commits = 0
        self._row_bytes = 0
        self._is_due = threading.Event()
        self._is_closed = False
        self._opens_early = False
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sqlite-checkpointer", daemon=True)
        self._thread.start()

    def open(self) -> None:
        """Connect now, not only when the first checkpoint is due. Blocks."""
        self._opens_early = True
        self._is_due.set()
        self._has_begun.wait()

    def note_commit(self, row_bytes: int) -> None:
        """Count a commit. Called on the writer's thread."""
        self._commits += 1
        self._row_bytes += row_bytes
        if self._commits >= COMMITS or self._row_bytes >= ROW_BYTES:
            self._commits = self._row_bytes = 0
            self._is_due.set()

    def close(self) -> None:
        """Finish a checkpoint that is running, and stop."""
        self._is_closed = True
        self._is_due.set()
        self._thread.join()

    def _run(self) -> None:
        # Most commands commit little or nothing, and should open nothing for it.
        if not self._wait_until_due():
            return
        try:
            with closing(connect_writer(self._path)) as connection:
                self._has_begun.set()
                log_pages = 0 if self._opens_early else self._checkpoint(connection)
                while self._wait_until_due(ignore_pending=log_pages >= LOG_PAGES):
                    log_pages = self._checkpoint(connection)
        except StoreUnavailable as error:
            # The writer has the same file and says so to those who wait for it; its own checkpoints go on.
            log.warning("no checkpoints are made beside commits", reason=str(error))
        finally:
            self._has_begun.set()

    def _wait_until_due(self, *, ignore_pending: bool = False) -> bool:
        if ignore_pending:
            self._is_due.clear()
            if self._is_closed:
                return False
        self._is_due.wait()
        self._is_due.clear()
        return not self._is_closed

    def _checkpoint(self, connection: sqlite3.Connection) -> int:
        """Checkpoint what no reader needs; return the length of the log in pages."""
        try:
            with translated_errors(self._path):
                _, log_pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return int(log_pages)
        except StoreUnavailable as error:
            log.warning("a checkpoint failed and will be tried again", reason=str(error))
            return 0


class SqliteWriter(Writer):
    """Runs jobs on a file, with the only connection of this process that writes."""

    def __init__(self, connection: SqliteConnection, path: Path) -> None:
        super().__init__("sqlite-writer")
        self._connection = connection
        self._path = path
        self._inode = path.stat().st_ino
        self._write_lock = WriteLock(path, BUSY_SECONDS)
        self._checkpointer = Checkpointer(path)
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        self._stuck_timer: asyncio.TimerHandle | None = None
        self._is_syncing = False
        self._thread.start()

    async def close(self) -> None:
        await super().close()
        self._fail_if_stuck()
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()

    # on the event loop

    def open(self) -> None:
        """Connect the checkpointer now. Blocks."""
        self._checkpointer.open()

    def _enqueue(self, job: WriteJob) -> None:
        super()._enqueue(job)
        if self._stuck_timer is None:
            self._stuck_timer = self._loop.call_later(BUSY_SECONDS, self._fail_if_stuck)

    def _wait_left(self) -> float:
        return self._write_lock.wait_left()

    def _fail_if_stuck(self) -> None:
        self._stuck_timer = None
        if (left := self._write_lock.wait_left()) > 0:
            if self._waiting:
                self._stuck_timer = self._loop.call_later(left, self._fail_if_stuck)
            return
        while jobs := self._take_batch():
            self._fail(jobs, lock_timeout_error(self._path))
            self._settle(jobs)

    # on the writer's thread

    def _commit_batch(self) -> list[WriteJob]:
        """Wait until no other process writes, then commit what waits by then."""
        try:
            self._write_lock.acquire()
        except StoreUnavailable as error:
            jobs = self._take_batch()
            self._fail(jobs, error)
            return jobs
        try:
            jobs = self._take_batch()
            refusal = self._commit(jobs) if jobs else None
            # What has come meanwhile has waited too, and would wait as long again.
            while refusal is not None and (late_jobs := self._take_batch()):
                self._fail(late_jobs, refusal)
                jobs += late_jobs
            return jobs
        finally:
            self._write_lock.release()

    def _begin(self, jobs: list[WriteJob]) -> None:
        self._refuse_moved_file()
        is_synced = any(job.is_synced for job in jobs)
        with translated_errors(self._path):
            if is_synced != self._is_syncing:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if is_synced else 'NORMAL'}")
                self._is_syncing = is_synced
            self._connection.execute("BEGIN IMMEDIATE")

    def _refuse_moved_file(self) -> None:
        try:
            is_in_place = os.stat(self._path).st_ino == self._inode
        except OSError:
            is_in_place = False
        if not is_in_place:
            raise StoreUnavailable(f"the database {self._path} was removed or replaced while it was in use.")

    def _run_and_commit(self, jobs: list[WriteJob]) -> None:
        with translated_errors(self._path):
            self._run_jobs(jobs, self._connection)
            self._connection.execute("COMMIT")
        self._checkpointer.note_commit(sum(job.size_bytes for job in jobs))

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _close_resources(self) -> None:
        self._checkpointer.close()
        self._connection.close()
        self._write_lock.close()


# How long to wait for readers of an older state of the database.
PATIENCE_SECONDS = 10.0

# How long writers are held up at a time while readers are waited for.
_BUSY_TIMEOUT_MS = 50

_PAUSE_SECONDS = 0.1


def truncate_wal(path: Path) -> None:
    """Checkpoint everything and empty the log. Blocks. Raises StoreUnavailable if a reader needs it."""
    with _open_with_lock(path) as (connection, write_lock):
        _truncate(connection, write_lock)


def vacuum_file(path: Path) -> None:
    """Rewrite the file with nothing but rows, and empty the log. Blocks, also other writers. Raises
    StoreUnavailable."""
    # `secure_delete` overwrites rows where they are deleted, but not where SQLite moved them away from earlier.
    with _open_with_lock(path) as (connection, write_lock):
        with _held(write_lock):
            connection.execute("VACUUM")
        _truncate(connection, write_lock)


@contextmanager
def _open_with_lock(path: Path) -> Iterator[tuple[sqlite3.Connection, WriteLock]]:
    with (
        closing(connect_writer(path)) as connection,
        closing(WriteLock(path, BUSY_SECONDS)) as write_lock,
        translated_errors(path),
    ):
        yield connection, write_lock


def _truncate(connection: sqlite3.Connection, write_lock: WriteLock) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    while not _is_truncated(connection, write_lock):
        if time.monotonic() > give_up_at:
            raise StoreUnavailable(
                "what was erased is still in the database's log, since somebody reads an older state of it.",
                hint="Send it again.",
            )
        time.sleep(_PAUSE_SECONDS)


def _is_truncated(connection: sqlite3.Connection, write_lock: WriteLock) -> bool:
    with _held(write_lock):
        return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]


@contextmanager
def _held(write_lock: WriteLock) -> Iterator[None]:
    write_lock.acquire()
    try:
        yield
    finally:
        write_lock.release()


async def open_sqlite(
    path: Path, decode: Decode, query_seconds: float | None = None, cache_kib: int = CACHE_KIB
) -> SqliteStore:
    """Open the store in this file; see `gateway.store.open_store`."""
    database_lock = lock_database(path)
    try:
        connection = await asyncio.to_thread(_open_writer, path)
    except BaseException:
        database_lock.close()
        raise
    return SqliteStore(connection, database_lock, path, decode, query_seconds, cache_kib)


def _open_writer(path: Path) -> SqliteConnection:
    connection = connect_writer(path)
    try:
        migrate_schema(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


class SqliteStore(SqlStore):
    """The store in one file."""

    def __init__(
        self,
        connection: SqliteConnection,
        database_lock: FileLock,
        path: Path,
        decode: Decode = leave_encoded,
        query_seconds: float | None = None,
        cache_kib: int = CACHE_KIB,
    ) -> None:
        self._file_writer = SqliteWriter(connection, path)
        reader = partial(SqliteReadConnection, path, decode, cache_kib)
        super().__init__(self._file_writer, reader, BodyPacker(), SQLITE, query_seconds)
        self._path = path
        self._database_lock = database_lock

    async def open_all(self) -> None:
        await super().open_all()
        await asyncio.to_thread(self._file_writer.open)

    async def close(self) -> None:
        await super().close()
        self._database_lock.close()

    async def create_partitions(self, at_us: int) -> None:
        pass  # a file has no partitions

    async def compact(self) -> None:
        await asyncio.to_thread(vacuum_file, self._path)

    async def _purge_deleted(self) -> None:
        # What is deleted is overwritten, since `secure_delete` is on, but the log has it still.
        await asyncio.to_thread(truncate_wal, self._path)
