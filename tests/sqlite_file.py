"""SQLite files with all tables for tests: copies of one, since making tables is most of what opening costs."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path

from gateway.store.sqlite.connection import connect_writer, migrate_schema


def create_database(path: Path) -> None:
    """Make a file with all tables and no row, as a gateway leaves one that it stopped using."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(_empty_database())


@cache
def _empty_database() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        connection = connect_writer(path)
        migrate_schema(connection, path)
        connection.close()
        return path.read_bytes()
