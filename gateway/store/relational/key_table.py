"""Writing and reading the gateway keys that were made at run time."""

from __future__ import annotations

from gateway.errors import Conflict
from gateway.store.administration import StoredKey
from gateway.store.relational.connection import Connection
from gateway.store.rows import key_from_row, key_to_row
from gateway.store.tables import KEY_COLUMNS, quoted
from gateway.store.text import storable

_ALL = f"SELECT {quoted(KEY_COLUMNS)} FROM keys ORDER BY seq"
_IS_TAKEN = "SELECT EXISTS (SELECT 1 FROM keys WHERE name = ? AND revoked_at_us IS NULL)"
_INSERT = f"INSERT INTO keys ({quoted(KEY_COLUMNS)}) VALUES ({', '.join('?' * len(KEY_COLUMNS))})"
_REVOKE = "UPDATE keys SET revoked_at_us = ? WHERE name = ? AND revoked_at_us IS NULL"


def all_keys(connection: Connection) -> list[StoredKey]:
    """Return every key, the oldest first."""
    return [key_from_row(row) for row in connection.execute(_ALL)]


def add_key(connection: Connection, key: StoredKey) -> None:
    """Keep a new key. Raises Conflict where a live key has its name."""
    if key.revoked_at_us is None and connection.execute(_IS_TAKEN, (storable(key.name),)).fetchone()[0]:
        raise Conflict(f"there is a key named {key.name!r} already.", hint="Revoke it, or take another name.")
    connection.execute(_INSERT, key_to_row(key))


def revoke_key(connection: Connection, name: str, at_us: int) -> bool:
    """Mark the live key of this name revoked; tell whether there was one."""
    return connection.execute(_REVOKE, (at_us, storable(name))).rowcount > 0
