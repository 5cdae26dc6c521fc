"""Damage to databases that are at rest, and disks that take no more."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import wait_until_stored

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
    wait_until_stored(gateway.database)
    size = gateway.database.with_name("gateway.db-wal").stat().st_size
    for pid in gateway.processes():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def empty_disk(gateway: RunningGateway) -> None:
    """Let them grow again."""
    for pid in gateway.processes():
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextmanager
def read_only(*paths: Path) -> Iterator[None]:
    """Let nobody write to these files, nor make files in these folders, not even who has them open already.

    Permissions would not do: they bind neither the superuser nor whoever has opened a file before. The test is
    skipped where files cannot be made immutable.
    """
    names = [str(path) for path in paths if path.exists()]
    _change_attributes("+i", names)
    try:
        yield
    finally:
        _change_attributes("-i", names)


def _change_attributes(change: str, names: list[str]) -> None:
    try:
        subprocess.run(["chattr", change, *names], check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        subprocess.run(["chattr", "-i", *names], check=False, capture_output=True)
        pytest.skip("this user, or this file system, cannot make files immutable")
