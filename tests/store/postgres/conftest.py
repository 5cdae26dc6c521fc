"""A new database for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.util import find_spec

import pytest

from gateway.store import open_store
from gateway.store.base import Store

collect_ignore_glob = [] if find_spec("psycopg") else ["test_*.py"]


@pytest.fixture
def url(postgres_url: str) -> str:
    """Where there is a new and empty database."""
    return postgres_url


@pytest.fixture
async def store(url: str) -> AsyncIterator[Store]:
    store = await open_store(url)
    yield store
    await store.close()


@pytest.fixture
async def other(url: str) -> AsyncIterator[Store]:
    """The same store as another node has it open."""
    other = await open_store(url)
    yield other
    await other.close()
