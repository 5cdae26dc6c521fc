"""The requests that are being forwarded now, and how they are brought to an end."""

from __future__ import annotations

import asyncio
from typing import Any


class InFlight:
    """The tasks that forward a request each. `is_draining` once no more of them are wanted."""

    def __init__(self) -> None:
        self.is_draining = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def enter(self) -> asyncio.Task[Any]:
        """Count the current task, and return it, to be given to `leave` in the end."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        return task

    def leave(self, task: asyncio.Task[Any]) -> None:
        """Count a task no more."""
        self._tasks.discard(task)

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
