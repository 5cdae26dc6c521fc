"""Being rid of what SQLite keeps of rows that are gone: older pages in its log, and pieces between the rows."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.store.sqlite.connection import BUSY_SECONDS, connect_writer, translated_errors
from gateway.store.sqlite.turn import Turn

PATIENCE_SECONDS = 10.0
"""How long to wait for those who read in an older state of the database."""

_TRY_MS = 50
"""How long writers are held up at a time while it is waited for readers."""

_PAUSE_SECONDS = 0.1


def empty_journal(path: Path) -> None:
    """Bring all that was committed into the file, and leave nothing in the log. Blocks.

    Raises:
        StoreUnavailable: somebody has read for too long in an older state, which the log must keep for them.
    """
    with _opened(path) as (connection, turn):
        _truncate(connection, turn)


def rewrite(path: Path) -> None:
    """Write the file anew with nothing in it but rows, and leave nothing in the log. Blocks, and keeps others from
    writing, for some seconds a gigabyte; takes as much room again on the disk.

    Needed since `secure_delete` overwrites rows where they are deleted, but not where SQLite has moved them away
    from, to another page, earlier.

    Raises:
        StoreUnavailable: there is no room, others write, or somebody reads for too long.
    """
    with _opened(path) as (connection, turn):
        with _taken(turn):
            connection.execute("VACUUM")
        _truncate(connection, turn)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[sqlite3.Connection, Turn]]:
    with (
        closing(connect_writer(path)) as connection,
        closing(Turn(path, BUSY_SECONDS)) as turn,
        translated_errors(path),
    ):
        yield connection, turn


def _truncate(connection: sqlite3.Connection, turn: Turn) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    connection.execute(f"PRAGMA busy_timeout = {_TRY_MS}")
    while not _is_truncated(connection, turn):
        if time.monotonic() > give_up_at:
            raise StoreUnavailable(
                "what was erased is still in the database's log, since somebody reads an older state of it.",
                hint="Send it again.",
            )
        time.sleep(_PAUSE_SECONDS)


def _is_truncated(connection: sqlite3.Connection, turn: Turn) -> bool:
    with _taken(turn):
        return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]


@contextmanager
def _taken(turn: Turn) -> Iterator[None]:
    turn.take()
    try:
        yield
    finally:
        turn.end()
