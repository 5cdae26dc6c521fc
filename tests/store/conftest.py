"""A store of each kind. Another database joins the contract by its name among the parameters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from gateway.store import open_store
from gateway.store.base import Store, leave_encoded
from gateway.store.body_codecs import BodyPacker, Packer
from gateway.store.dialect import AsyncConnection, Connection, Parameters
from gateway.store.sqlite.connection import (
    BodyTexts,
    SqliteConnection,
    connect_writer,
    register_body_text,
)
from tests.sqlite_file import create_database

T = TypeVar("T")


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    """Where there is a new and empty database of each kind."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    store = await open_store(store_url)
    yield store
    await store.close()


class BlockingReader(AsyncConnection):
    """Reads through a connection that blocks."""

    def __init__(self, connection: Connection) -> None:
        self.dialect = connection.dialect
        self._connection = connection

    async def fetch_all(self, sql: str, parameters: Parameters = ()) -> list[Any]:
        return self._connection.execute(sql, parameters).fetchall()

    async def begin_snapshot(self) -> None:
        """Do nothing: nobody else writes."""


def read(connection: Connection, work: Callable[[AsyncConnection], Coroutine[Any, Any, T]]) -> T:
    """Run what reads on a connection that blocks."""
    return asyncio.run(work(BlockingReader(connection)))


@dataclass(frozen=True)
class Engine:
    """A connection to a new database with all tables, and what packs bodies for it."""

    connection: Connection
    packer: Packer


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """A database of each kind, without threads."""
    found: Engine = request.getfixturevalue(f"{request.param}_engine")
    return found


@pytest.fixture
def sqlite_engine(connection: SqliteConnection) -> Engine:
    connection.execute("PRAGMA synchronous = OFF")
    register_body_text(connection, leave_encoded, BodyTexts())
    return Engine(connection, BodyPacker())


@pytest.fixture
def postgres_engine(postgres_url: str) -> Iterator[Engine]:
    from gateway.store.postgres.dialect import TextPacker
    from gateway.store.postgres.store import open_connection

    connection = open_connection(postgres_url)
    yield Engine(connection, TextPacker(leave_encoded))
    connection.close()


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[SqliteConnection]:
    """A connection to a new SQLite file with all tables."""
    path = tmp_path / "gateway.db"
    create_database(path)
    connection = connect_writer(path)
    yield connection
    connection.close()
