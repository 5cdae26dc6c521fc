"""Writing the jobs of exports, and keeping the key that signs links to their files."""

from __future__ import annotations

from gateway.domain.export import Export
from gateway.errors import Conflict
from gateway.store.relational.connection import Connection
from gateway.store.rows import export_to_row
from gateway.store.tables import EXPORTS, quoted

_INSERT = (
    f"INSERT INTO exports ({quoted(EXPORTS.columns)})"
    f" VALUES ({', '.join('?' * len(EXPORTS.columns))}) ON CONFLICT DO NOTHING"
)
_FOLLOW = (
    "UPDATE exports SET "
    + ", ".join(f'"{column}" = ?' for column in EXPORTS.columns)
    + " WHERE export_id = ? AND version = ?"
)
_LINK_KEY = "SELECT key FROM export_link_key"
_KEEP_LINK_KEY = "INSERT INTO export_link_key (id, key) VALUES (1, ?) ON CONFLICT DO NOTHING"


def put_export(connection: Connection, export: Export) -> None:
    """Store a version of a job in place of the one before. Raises Conflict where it does not follow that."""
    row = export_to_row(export)
    if export.version == 1:
        stored = connection.execute(_INSERT, row)
    else:
        stored = connection.execute(_FOLLOW, (*row, export.export_id, export.version - 1))
    if not stored.rowcount:
        raise Conflict(f"export {export.export_id} is not at version {export.version - 1}.")


def link_key(connection: Connection, fresh: bytes) -> bytes:
    """Keep `fresh` as the key unless there is one, and return the one that there is."""
    connection.execute(_KEEP_LINK_KEY, (fresh,))
    key: bytes = connection.execute(_LINK_KEY).fetchone()[0]
    return key
