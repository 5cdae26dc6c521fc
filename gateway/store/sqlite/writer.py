"""The writer of a file: it takes turns with other processes, and leaves checkpoints to a thread beside it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from contextlib import suppress
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.store.relational.writer import Write, Writer
from gateway.store.sqlite.checkpointer import LOG_PAGES, Checkpointer
from gateway.store.sqlite.connection import BUSY_SECONDS, SqliteConnection, locked_out, translated_errors
from gateway.store.sqlite.turn import Turn


class SqliteWriter(Writer):
    """Runs jobs on a file, of which there is one writer at a time.

    Args:
        connection: the only one that writes in this process; the writer closes it.
        path: the file, for messages.
    """

    def __init__(self, connection: SqliteConnection, path: Path) -> None:
        super().__init__("sqlite-writer")
        self._connection = connection
        self._path = path
        self._inode = path.stat().st_ino
        self._turn = Turn(path, BUSY_SECONDS)
        self._checkpointer = Checkpointer(path)
        self._connection.execute(f"PRAGMA wal_autocheckpoint = {LOG_PAGES}")
        self._patience: asyncio.TimerHandle | None = None
        self._is_syncing = False
        self._thread.start()

    async def close(self) -> None:
        await super().close()
        self._give_up_if_stuck()
        if self._patience is not None:
            self._patience.cancel()

    # on the event loop

    def _call_for(self, job: Write) -> None:
        super()._call_for(job)
        if self._patience is None:
            self._patience = self._loop.call_later(BUSY_SECONDS, self._give_up_if_stuck)

    def _patience_left(self) -> float:
        return self._turn.patience_left()

    def _give_up_if_stuck(self) -> None:
        """Fail all that waits if the thread has waited for its turn too long. When that comes after all, it finds
        only what has come since."""
        self._patience = None
        if (left := self._turn.patience_left()) > 0:
            if self._waiting:
                self._patience = self._loop.call_later(left, self._give_up_if_stuck)
            return
        while jobs := self._take():
            self._fail(jobs, locked_out(self._path))
            self._settle(jobs)

    # on the writer's thread

    def _take_turn(self) -> list[Write]:
        """Wait until no other process writes, then run what waits by then."""
        try:
            self._turn.take()
        except StoreUnavailable as error:
            jobs = self._take()
            self._fail(jobs, error)
            return jobs
        try:
            jobs = self._take()
            refusal = self._commit(jobs) if jobs else None
            # What has come meanwhile has waited too, and would wait as long again.
            while refusal is not None and (late := self._take()):
                self._fail(late, refusal)
                jobs += late
            return jobs
        finally:
            self._turn.end()

    def _begin(self, jobs: list[Write]) -> None:
        self._refuse_moved_file()
        is_synced = any(job.is_synced for job in jobs)
        with translated_errors(self._path):
            if is_synced != self._is_syncing:
                self._connection.execute(f"PRAGMA synchronous = {'FULL' if is_synced else 'NORMAL'}")
                self._is_syncing = is_synced
            self._connection.execute("BEGIN IMMEDIATE")

    def _refuse_moved_file(self) -> None:
        """Raise StoreUnavailable if the file that is open is not the one of its name any more: what is committed to
        it then would be found by nobody."""
        try:
            is_in_place = os.stat(self._path).st_ino == self._inode
        except OSError:
            is_in_place = False
        if not is_in_place:
            raise StoreUnavailable(f"the database {self._path} was removed or replaced while it was in use.")

    def _run_and_commit(self, jobs: list[Write]) -> None:
        with translated_errors(self._path):
            self._work_through(jobs, self._connection)
            self._connection.execute("COMMIT")
        self._checkpointer.committed(sum(job.size_bytes for job in jobs))

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def _let_go(self) -> None:
        self._checkpointer.close()
        self._connection.close()
        self._turn.close()
