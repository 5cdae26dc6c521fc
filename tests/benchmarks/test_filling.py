from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks import filling
from benchmarks.filling import Month, add_requests, exchanges, fill
from benchmarks.stopwatch import Stopwatch
from gateway.models.clock import now_us
from gateway.models.filters import AllOf, Page, Sort
from gateway.store import open_store


async def test_every_request_is_written_with_its_facts_and_the_watch_is_for_writing(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:///{tmp_path / 'gateway.db'}")
    try:
        month, dice, watch = Month(100, now_us()), random.Random(1), Stopwatch()
        batches = [exchanges(month, dice, range(first, first + 10)) for first in range(0, 30, 10)]
        assert await add_requests(store, batches, dice, watch) == 30
        assert await store.uninterpreted(1) == []
        found = await store.find_requests(AllOf(()), Sort("seq"), Page(limit=100), tenant=None)
        assert len(found) == 30
        assert all(record.model for record in found)
        assert watch.seconds > 0
    finally:
        await store.close()


async def test_how_filling_went_is_told_for_each_tenth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "_BATCH", 100)
    said: list[str] = []
    growth = await fill(f"sqlite:///{tmp_path / 'gateway.db'}", Month(1_000, now_us()), said.append)
    assert [slice_.rows for slice_ in growth] == list(range(0, 1_000, 100))
    assert all(slice_.rows_per_second > 0 and slice_.cpu_us_a_row > 0 for slice_ in growth)
