"""The parts of recording, joined as the composition root joins them, on a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest

from gateway.recording.interpreter import Interpreter
from gateway.recording.recorder import Overflow
from gateway.store import open_store
from gateway.store.base import Store
from gateway.store.journal import Journal
from gateway.wire.pricing import PriceTable
from tests.gateway_fixtures import upstream

from .watched import WatchedStore

__all__ = ["upstream"]


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits a second before it tries again waits less here."""
    monkeypatch.setattr("gateway.recording.recorder.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("gateway.recording.interpreter.RETRY_SECONDS", 0.01)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await open_store(f"sqlite:///{tmp_path}/gateway.db")
    yield store
    await store.close()


@pytest.fixture
def watched(store: Store) -> WatchedStore:
    return WatchedStore(store)


@pytest.fixture
async def interpreter(watched: WatchedStore) -> AsyncIterator[Interpreter]:
    """Not started yet; closed with the test."""
    interpreter = Interpreter(watched, PriceTable({}, {}), lambda name: None)
    yield interpreter
    await interpreter.close()


@pytest.fixture
async def overflow(
    tmp_path: Path, watched: WatchedStore, interpreter: Interpreter
) -> AsyncIterator[Overflow]:
    overflow = Overflow(Journal(tmp_path / "gateway.db.spill"), cast(Store, watched), interpreter)
    yield overflow
    await overflow.close()
