"""The parts of recording, joined as the composition root joins them, on a real store and real files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from gateway.recording.ingester import Ingester, Observer
from gateway.recording.interpreter import CostCalculator
from gateway.recording.recorder import JournalLimit, Recorder
from gateway.store import open_store
from gateway.store.base import Store
from gateway.store.journal_files import GatewayJournal, SegmentWriter
from gateway.wire.pricing import PriceTable
from tests.gateway_fixtures import upstream

from .watched import WatchedStore

__all__ = ["upstream"]

MIB = 1024 * 1024
PRICING = CostCalculator(PriceTable({}, {}), lambda name: None)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits a second before it tries again waits less here."""
    for name in ("ingester.RETRY_SECONDS", "ingester.SCAN_SECONDS", "leftovers.RETRY_SECONDS"):
        monkeypatch.setattr(f"gateway.recording.{name}", 0.01)


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    store = await open_store(sqlite_url)
    yield store
    await store.close()


@pytest.fixture
def watched(store: Store) -> WatchedStore:
    return WatchedStore(store)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the journals of all gateways are."""
    return tmp_path / "gateway.db.journal"


@pytest.fixture
def journal(root: Path) -> Iterator[GatewayJournal]:
    """The journal of a gateway that runs."""
    journal = GatewayJournal.create(root)
    yield journal
    journal.close()


MakeRecorder = Callable[..., Recorder]


@pytest.fixture
async def make_recorder(journal: GatewayJournal) -> AsyncIterator[MakeRecorder]:
    """Make the recorder of a worker of this gateway; it is closed with the test."""
    recorders: list[Recorder] = []

    def make(
        worker: int = 0, max_bytes: int = 64 * MIB, *, refuses: bool = False, durability: str = "commit"
    ) -> Recorder:
        syncs = durability == "disk"
        writer = SegmentWriter(journal, worker, MIB, syncs=syncs)
        limit = JournalLimit(max_bytes, refuses=refuses)
        recorders.append(
            Recorder(writer, journal.state, limit, interval=durability == "interval", syncs=syncs)
        )
        recorders[-1].start()
        return recorders[-1]

    yield make
    for recorder in recorders:
        await recorder.close()


@pytest.fixture
async def recorder(make_recorder: MakeRecorder) -> Recorder:
    return make_recorder()


@asynccontextmanager
async def ingesting(
    store: Store | WatchedStore, root: Path, journal: GatewayJournal | None, *observers: Observer
) -> AsyncIterator[Ingester]:
    """Ingest meanwhile, as in another process; in the end finish what is journaled."""
    own = None if journal is None else GatewayJournal(journal.folder)
    ingester = Ingester(cast(Store, store), root, own, PRICING, observers)
    running = asyncio.create_task(ingester.run())
    try:
        yield ingester
    finally:
        ingester.finish()
        await running
        if own is not None:
            own.close()


async def ingest_all(store: Store | WatchedStore, root: Path, journal: GatewayJournal | None) -> Ingester:
    """Store what is journaled, once nobody appends any more."""
    async with ingesting(store, root, journal) as ingester:
        return ingester
