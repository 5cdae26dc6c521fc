"""The tables of a file: created when it is new, upgraded when it is old, refused when it is not ours."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from gateway.errors import StoreUnavailable
from gateway.store.migrate import Migration, apply, lacking, read_migrations
from gateway.store.sqlite.connection import translated_errors

_PACKAGE = "gateway.store.sqlite"
_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"


def bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Apply the migrations that a file lacks, all or none; other processes that open it meanwhile wait.

    Raises:
        StoreUnavailable: it cannot be written, is of a newer version, or belongs to another program.
    """
    migrations = read_migrations(_PACKAGE)
    with translated_errors(path):
        if not _lacking(connection, path, migrations):
            return
        connection.execute("BEGIN IMMEDIATE")
        try:
            for migration in _lacking(connection, path, migrations):
                apply(connection, migration)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def refuse_foreign(connection: sqlite3.Connection, path: Path) -> list[Migration]:
    """Return the migrations that a database of ours lacks. Raises StoreUnavailable if it is of a newer version, or
    none of ours at all."""
    migrations = read_migrations(_PACKAGE)
    if (missing := _lacking(connection, path, migrations)) == migrations:
        raise StoreUnavailable(f"{path} holds no data of a gateway.")
    return missing


def _lacking(connection: sqlite3.Connection, path: Path, migrations: list[Migration]) -> list[Migration]:
    tables = frozenset(row[0] for row in connection.execute(_TABLES))
    return lacking(connection, migrations, tables, str(path), "Choose another file.")
