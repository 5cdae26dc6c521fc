"""RollingUp: keeps the figures of past hours and days at hand, in the background."""

from __future__ import annotations

import asyncio

import structlog

from gateway.domain.clock import now_us
from gateway.errors import StoreUnavailable
from gateway.store.figures import Rollups

log = structlog.get_logger("gateway.query")

INTERVAL_SECONDS = 60.0
"""How often it is looked what there is to sum up."""


class RollingUp:
    """Sums up what is over, for as long as it runs. What it has not got to is counted when it is asked for."""

    def __init__(self, store: Rollups) -> None:
        self._store = store
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="rolling up")

    async def close(self) -> None:
        """Stop, wherever it is: what is half done is done again by whoever comes next."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                await self._store.roll_up(now_us())
            except StoreUnavailable as error:
                log.warning("figures of the past could not be summed up; they are counted", reason=str(error))
            except Exception:
                # What is not summed up is counted, which is slower and nothing else.
                log.exception("figures of the past could not be summed up; they are counted")
            await asyncio.sleep(INTERVAL_SECONDS)
