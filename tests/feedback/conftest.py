"""The feedback core over a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.feedback.service import FeedbackService
from gateway.store import open_store
from gateway.store.base import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{tmp_path}/gateway.db")
    yield store
    await store.close()


@pytest.fixture
def core(store: Store) -> FeedbackService:
    return FeedbackService(store)
