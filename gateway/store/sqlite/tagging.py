"""Changing the metadata of rows that are in the log already."""

from __future__ import annotations

import sqlite3

from gateway.errors import BadInput
from gateway.store.rows import tags_of
from gateway.store.sqlite.rollup_table import KINDS, break_seals
from gateway.store.tables import TAG_COLUMNS
from gateway.store.text import from_json, storable, storable_or_none, to_json

MAX_METADATA_BYTES = 256 * 1024
"""How long the metadata of a row may become in this way, as JSON."""

_NAMED = (
    "SELECT seq, metadata, started_at_us FROM requests"
    " WHERE request_id = :name AND (:tenant IS NULL OR tenant = :tenant)",
    "SELECT seq, metadata, started_at_us FROM requests"
    " WHERE response_id = :name AND (:tenant IS NULL OR tenant = :tenant)",
)
_CHANGE = (
    "UPDATE requests SET metadata = ?, "
    + ", ".join(f'"{column}" = ?' for column in TAG_COLUMNS)
    + " WHERE seq = ?"
)


def set_property(
    connection: sqlite3.Connection, any_id: str, key: str, value: str, tenant: str | None
) -> int:
    """Set one key of the metadata of the rows that an id names, and the column it has; return their number.

    Raises:
        BadInput: before anything is written, if the metadata of a row would be too long.
    """
    changes, times_us = [], []
    for seq, text, started_at_us in _rows_named(connection, any_id, tenant):
        metadata = {**from_json(text), storable(key): value}
        changed = to_json(metadata)
        if len(changed.encode()) > MAX_METADATA_BYTES:
            raise BadInput(
                f"the request's properties would be longer than {MAX_METADATA_BYTES:,} bytes.", field="value"
            )
        changes.append((changed, *tags_of(metadata), seq))
        times_us.append(started_at_us)
    connection.executemany(_CHANGE, changes)
    break_seals(connection, KINDS, times_us)
    return len(changes)


def _rows_named(
    connection: sqlite3.Connection, any_id: str, tenant: str | None
) -> list[tuple[int, str, int]]:
    names = {"name": storable(any_id), "tenant": storable_or_none(tenant)}
    for statement in _NAMED:
        if rows := connection.execute(statement, names).fetchall():
            return rows
    return []
