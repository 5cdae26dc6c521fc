"""An event loop that is held up is noticed."""

from __future__ import annotations

import asyncio
import time

import pytest

from gateway.server import http_server


async def test_by_how_much_the_loop_comes_too_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "LAG_SAMPLE_SECONDS", 0.01)
    lags: asyncio.Queue[float] = asyncio.Queue()
    watching = asyncio.create_task(http_server.watch_loop_lag(lags.put_nowait))
    usual = [await lags.get() for _ in range(3)]
    time.sleep(0.3)  # noqa: ASYNC251 - what must not happen in a loop
    late = await lags.get()
    watching.cancel()
    assert min(usual) >= 0
    assert late > 0.25
