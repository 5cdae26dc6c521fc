"""InFlight: requests under way, counted, limited and drained."""

import asyncio
import contextlib
from typing import Any

from gateway.errors import Overloaded


class InFlight:
    """The tasks that answer a request each, between `begin` and `end`: counted, limited and drained."""

    def __init__(self) -> None:
        self.is_draining = False
        self._tasks: set[asyncio.Task[Any]] = set()
        # Set while someone waits for one to end.
        self._ended: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._tasks)

    def refuse_beyond(self, max_requests: int | None) -> None:
        if max_requests is not None and len(self._tasks) >= max_requests:
            fault = f"{max_requests:,} requests are under way, as many as this gateway takes at once."
            raise Overloaded(fault, hint="Send it again soon.")

    def begin(self, task: asyncio.Task[Any] | None = None) -> asyncio.Task[Any]:
        """Count a request; return its task, by default the current one, to be given to `end`."""
        task = task or asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        return task

    def end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(None)

    async def drain(self, seconds: float) -> None:
        """Wait until no request is under way; cancel those that take longer than this."""
        self.is_draining = True
        # More may begin meanwhile, on connections that are open.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0.0)):
                await self._wait_until_empty()
        late = set(self._tasks)
        for task in late:
            task.cancel()
        while not late.isdisjoint(self._tasks):
            await self._wait_for_an_end()

    async def _wait_until_empty(self) -> None:
        while self._tasks:
            await self._wait_for_an_end()

    async def _wait_for_an_end(self) -> None:
        # Of a request, not of its task, which may answer others after it.
        self._ended = asyncio.get_running_loop().create_future()
        await self._ended
