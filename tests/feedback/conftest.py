"""The feedback core over a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.feedback.service import FeedbackService
from gateway.store import open_store
from gateway.store.base import Store


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    store = await open_store(sqlite_url)
    yield store
    await store.close()


@pytest.fixture
def core(store: Store) -> FeedbackService:
    return FeedbackService(store)
