"""Checkpoints beside the writer: copying what was committed from SQLite's log into the database.

SQLite does this within a commit, every few hundred of them, and syncs the disk twice; whoever waits for that commit
waits for it too. A thread with a connection of its own does it while commits go on. What it leaves, since it never
catches up with a busy writer, the writer copies when the log has grown to `LOG_PAGES`: that is little, and then the
log begins anew. Only one of them can copy at a time, so from then on the thread holds still for a while: on a slow
disk it would never be done before more is due.

Source: https://sqlite.org/wal.html, sections 2.3 and 4.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import structlog

from gateway.errors import StoreUnavailable
from gateway.store.sqlite.connection import connect_writer, translated_errors

log = structlog.get_logger("gateway.store")

LOG_PAGES = 16_384
"""How long the log may become before the writer itself sees to it: 64 MiB, in pages of 4 KiB."""

COMMITS = 100
"""A checkpoint is due after so many commits, which write some 40 KiB each into the log, whatever is in them,"""

ROW_BYTES = 4 * 1024 * 1024
"""or after rows of this size."""


class Checkpointer:
    """Makes checkpoints as they become due, on a thread of its own.

    Args:
        path: the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._commits = 0
        self._row_bytes = 0
        self._is_due = threading.Event()
        self._is_closed = False
        self._is_opening = False
        self._has_begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sqlite-checkpointer", daemon=True)
        self._thread.start()

    def open(self) -> None:
        """Have it open its connection now, and not only when the first checkpoint is due. Blocks."""
        self._is_opening = True
        self._is_due.set()
        self._has_begun.wait()

    def committed(self, row_bytes: int) -> None:
        """Take note of a commit. Called by the one thread that writes."""
        self._commits += 1
        self._row_bytes += row_bytes
        if self._commits >= COMMITS or self._row_bytes >= ROW_BYTES:
            self._commits = self._row_bytes = 0
            self._is_due.set()

    def close(self) -> None:
        """Let a checkpoint that is under way finish, and make no more."""
        self._is_closed = True
        self._is_due.set()
        self._thread.join()

    def _run(self) -> None:
        # Most commands commit little or nothing, and should open nothing for it.
        if not self._comes_due():
            return
        try:
            with closing(connect_writer(self._path)) as connection:
                self._has_begun.set()
                log_pages = 0 if self._is_opening else self._checkpoint(connection)
                while self._comes_due(anew=log_pages >= LOG_PAGES):
                    log_pages = self._checkpoint(connection)
        except StoreUnavailable as error:
            # The writer has the same file and says so to those who wait for it; its own checkpoints go on.
            log.warning("no checkpoints are made beside commits", reason=str(error))
        finally:
            self._has_begun.set()

    def _comes_due(self, *, anew: bool = False) -> bool:
        """Wait for the next checkpoint; tell whether there is to be one. With `anew`, one that is already due is
        left out."""
        if anew:
            self._is_due.clear()
            if self._is_closed:
                return False
        self._is_due.wait()
        self._is_due.clear()
        return not self._is_closed

    def _checkpoint(self, connection: sqlite3.Connection) -> int:
        """Copy what can be; return how long the log is, in pages."""
        try:
            with translated_errors(self._path):
                _, log_pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            return int(log_pages)
        except StoreUnavailable as error:
            log.warning("a checkpoint failed and will be tried again", reason=str(error))
            return 0
