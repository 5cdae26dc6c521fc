"""A store of each kind. Another database joins the contract by its name among the parameters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.store import open_store
from gateway.store.base import Store
from gateway.store.sqlite.connection import SqliteConnection, connect_writer
from gateway.store.sqlite.schema import bring_up_to_date


@pytest.fixture(params=["sqlite"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    urls = {"sqlite": f"sqlite:///{tmp_path}/gateway.db"}
    return urls[request.param]


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    store = await open_store(store_url)
    yield store
    await store.close()


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[SqliteConnection]:
    """A connection to a new SQLite file with all tables."""
    path = tmp_path / "gateway.db"
    connection = connect_writer(path)
    bring_up_to_date(connection, path)
    yield connection
    connection.close()
