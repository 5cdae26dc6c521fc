"""A real store, and the exchanges and feedback to fill it with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.store import open_store
from gateway.store.base import Store
from tests.factories import MakeExchange, MakeFeedback, make_exchange, make_feedback

__all__ = ["MakeExchange", "MakeFeedback", "make_exchange", "make_feedback"]


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    opened = await open_store(sqlite_url)
    yield opened
    await opened.close()
