"""Damage to databases that are at rest."""

from __future__ import annotations

import sqlite3
from pathlib import Path

PAGE_BYTES = 4096


def overwrite_root_of(database: Path, table: str) -> None:
    """Fill the first page of a table with rubbish."""
    connection = sqlite3.connect(database)
    [page] = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = ?", (table,)).fetchone()
    connection.close()
    overwrite_page(database, page)


def overwrite_page(database: Path, number: int) -> None:
    """Fill a page, counted from 1, with rubbish."""
    with database.open("r+b") as file:
        file.seek((number - 1) * PAGE_BYTES)
        file.write(b"\xff" * PAGE_BYTES)
