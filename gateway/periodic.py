"""PeriodicTask: background work that runs again after each pause, whatever it raises."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from gateway.errors import StoreUnavailable

log = structlog.get_logger("gateway.recurring")


class PeriodicTask:
    """Does its work once it is started, and again after each pause, until it is closed.

    Args:
        name: what its task is called.
        work: what is done. Whatever it raises is logged, and it is tried again after the pause.
        pause_seconds: from the end of it to the next time.
        failed: what it means if it fails, for the log.
    """

    def __init__(
        self, name: str, work: Callable[[], Awaitable[object]], *, pause_seconds: float, failed: str
    ) -> None:
        self._name = name
        self._work = work
        self._pause_seconds = pause_seconds
        self._failed = failed
        self._is_due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self, delay_seconds: float = 0.0) -> None:
        """Begin, in so many seconds: not at once where the work has just been done."""
        self._task = asyncio.create_task(self._run(delay_seconds), name=self._name)

    def run_now(self) -> None:
        """Do it again without a pause."""
        self._is_due.set()

    async def close(self) -> None:
        """Stop, wherever it is."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self, delay_seconds: float) -> None:
        await asyncio.sleep(delay_seconds)
        while True:
            self._is_due.clear()
            try:
                await self._work()
            except StoreUnavailable as error:
                log.warning(self._failed, reason=str(error))
            except Exception:
                log.exception(self._failed)
            # Not `wait_for`: in Python 3.11 it may lose the cancellation of `close` to a hurry at the same moment.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds):
                    await self._is_due.wait()
