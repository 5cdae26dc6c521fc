"""Damage to databases that are at rest, and disks that take no more."""

from __future__ import annotations

import resource
import sqlite3
from pathlib import Path

from tests.running import RunningGateway

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


def fill_disk(gateway: RunningGateway) -> None:
    """Let no file of the gateway grow beyond the size that its log of writes has now."""
    size = gateway.database.with_name("gateway.db-wal").stat().st_size
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def empty_disk(gateway: RunningGateway) -> None:
    """Let them grow again."""
    resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
