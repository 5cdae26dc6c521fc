"""PeriodicTask: background work that repeats after a pause, whatever it raises."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from gateway.errors import StoreUnavailable

log = structlog.get_logger("gateway.periodic")


class PeriodicTask:
    """Calls `work` with pauses in between until it is closed; `failed` is the log event of a failure."""

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
        """Start; the first call is after `delay_seconds`."""
        self._task = asyncio.create_task(self._run(delay_seconds), name=self._name)

    def run_now(self) -> None:
        self._is_due.set()

    async def close(self) -> None:
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
            # Not `wait_for`: in Python 3.11 it may lose the cancellation of `close` if `run_now` comes with it.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_seconds):
                    await self._is_due.wait()
