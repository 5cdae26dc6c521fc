"""Looking at a database that may be in use, without changing anything in it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.store.base import as_sent
from gateway.store.condition import Examined
from gateway.store.migrate import applied_numbers, pending, read_migrations
from gateway.store.sqlite.connection import connect_reader, translated_errors
from gateway.store.sqlite.schema import PACKAGE, refuse_foreign
from gateway.store.text import list_from_json

_NEWEST = "SELECT max(started_at_us) FROM requests"
_LIVE_KEYS = "SELECT roles FROM keys WHERE revoked_at_us IS NULL"
_HAS_KEYS = "SELECT 1 FROM sqlite_schema WHERE name = 'keys'"


def examine_database(path: Path) -> Examined:
    """Return what can be seen of a database. Reads all of it, which takes about a second a gigabyte.

    Raises:
        StoreUnavailable: it cannot be read, belongs to another program, is of a newer version, or is damaged.
    """
    with translated_errors(path), closing(connect_reader(path, as_sent)) as connection:
        refuse_foreign(connection, path)
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StoreUnavailable(f"the database {path} is damaged: {found}.")
        return Examined(
            lacking=len(pending(read_migrations(PACKAGE), applied_numbers(connection))),
            newest_at_us=connection.execute(_NEWEST).fetchone()[0],
            key_roles=_live_roles(connection),
        )


def _live_roles(connection: sqlite3.Connection) -> tuple[frozenset[str], ...]:
    if not connection.execute(_HAS_KEYS).fetchone():
        return ()
    return tuple(frozenset(list_from_json(roles)) for (roles,) in connection.execute(_LIVE_KEYS))
