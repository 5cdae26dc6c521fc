"""Looking at a database without changing anything in it: is it one of ours, is it sound, what is in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.store.base import as_sent
from gateway.store.condition import Copied, Examined, FeedbackCondition
from gateway.store.relational.condition import examine_feedback
from gateway.store.sqlite.connection import connect_reader, translated_errors
from gateway.store.sqlite.schema import refuse_foreign
from gateway.store.text import list_from_json

_ROWS = "SELECT (SELECT count(*) FROM requests), (SELECT count(*) FROM feedback)"
_NEWEST = "SELECT max(started_at_us) FROM requests"
_LIVE_KEYS = "SELECT roles FROM keys WHERE revoked_at_us IS NULL"
_HAS_KEYS = "SELECT 1 FROM sqlite_schema WHERE name = 'keys'"


def inspect_database(path: Path) -> Copied:
    """Say what is in a database that nobody writes to. Looks through all of it, indexes included.

    Raises:
        StoreUnavailable: it cannot be read, belongs to another program, is of a newer version, or is damaged.
    """
    with translated_errors(path), closing(_connect_quietly(path)) as connection:
        refuse_foreign(connection, path)
        _refuse_damaged(connection, path, "integrity_check")
        requests, feedback = connection.execute(_ROWS).fetchone()
    return Copied(requests, feedback, path.stat().st_size)


def examine_database(path: Path) -> Examined:
    """Return what can be seen of a database that may be in use. Reads all of it, about a second a gigabyte.

    Raises:
        StoreUnavailable: it cannot be read, belongs to another program, is of a newer version, or is damaged.
    """
    with translated_errors(path), closing(connect_reader(path, as_sent)) as connection:
        lacking = refuse_foreign(connection, path)
        _refuse_damaged(connection, path, "quick_check")
        return Examined(
            lacking=len(lacking),
            newest_at_us=connection.execute(_NEWEST).fetchone()[0],
            key_roles=_live_roles(connection),
            feedback=FeedbackCondition() if lacking else examine_feedback(connection),
        )


def _refuse_damaged(connection: sqlite3.Connection, path: Path, check: str) -> None:
    found = connection.execute(f"PRAGMA {check}(1)").fetchone()[0]
    if found != "ok":
        raise StoreUnavailable(f"the database {path} is damaged: {found}.")


def _connect_quietly(path: Path) -> sqlite3.Connection:
    """Open a file so that none is made beside it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True, isolation_level=None)


def _live_roles(connection: sqlite3.Connection) -> tuple[frozenset[str], ...]:
    if not connection.execute(_HAS_KEYS).fetchone():
        return ()
    return tuple(frozenset(list_from_json(roles)) for (roles,) in connection.execute(_LIVE_KEYS))
