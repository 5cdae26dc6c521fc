"""Requests being forwarded now: counted, limited and drained."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gateway.errors import Overloaded


class InFlight:
    """The tasks that forward a request each. `is_draining` once no more of them are wanted."""

    def __init__(self) -> None:
        self.is_draining = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def refuse_beyond(self, max_requests: int | None) -> None:
        """Raise Overloaded if there are as many as there may be."""
        if max_requests is not None and len(self._tasks) >= max_requests:
            raise Overloaded(
                f"{max_requests:,} requests are under way, as many as this gateway takes at once.",
                hint="Send it again soon.",
            )

    def enter(self) -> asyncio.Task[Any]:
        """Count the current task, and return it, to be given to `leave` in the end."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        return task

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Count a task no more."""
        self._tasks.discard(task)

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the current task inside."""
        task = self.enter()
        try:
            yield
        finally:
            self.leave(task)

    async def drain(self, seconds: float) -> None:
        """Return once there are none left; those that take longer than this are cancelled."""
        self.is_draining = True
        deadline = asyncio.get_running_loop().time() + seconds
        while self._tasks and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        if late := set(self._tasks):
            for task in late:
                task.cancel()
            await asyncio.wait(late)
