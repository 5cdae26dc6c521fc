"""Past hours and days are summed up without being asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from gateway.errors import StoreUnavailable
from gateway.query import metrics as module
from gateway.query.metrics import rollup_job
from gateway.store.base import Admin


class Watched:
    """Counts how often it is asked to roll up; at first it cannot."""

    def __init__(self) -> None:
        self.asked = asyncio.Semaphore(0)
        self.times = 0
        self.failures: list[Exception] = [StoreUnavailable("not now."), RuntimeError("nor now")]

    def on_new_split(self, callback: Callable[[], None]) -> None:
        """Nothing asks for one here."""

    async def roll_up(self, at_us: int) -> int:
        self.asked.release()
        self.times += 1
        if self.failures:
            raise self.failures.pop()
        return 1


async def test_it_goes_on_for_as_long_as_it_runs_whatever_the_store_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ROLLUP_INTERVAL_SECONDS", 0.001)
    watched = Watched()
    rolling = rollup_job(cast(Admin, watched))
    rolling.start()
    for _ in range(4):
        await asyncio.wait_for(watched.asked.acquire(), 5)
    await rolling.close()
    times = watched.times
    await asyncio.sleep(0.02)
    assert watched.times == times
