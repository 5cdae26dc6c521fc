"""What the tests of all faces have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.store import open_store
from gateway.store.base import Store
from gateway.wire.content_encoding import decode_or_raw
from tests.api.api_server import serve

__all__ = ["serve"]


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    store = await open_store(sqlite_url, decode_or_raw)
    yield store
    await store.close()
