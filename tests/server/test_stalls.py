"""An event loop that is held up is noticed."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.server import stalls


async def test_by_how_much_the_loop_comes_too_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "LOOK_SECONDS", 0.01)
    lags: asyncio.Queue[float] = asyncio.Queue()
    watching = asyncio.create_task(stalls.watch_stalls(lags.put_nowait))
    usual = [await lags.get() for _ in range(3)]
    time.sleep(0.3)  # noqa: ASYNC251 - what must not happen in a loop
    late = await lags.get()
    watching.cancel()
    assert min(usual) >= 0
    assert late > 0.25
