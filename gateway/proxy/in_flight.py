"""InFlight: requests under way, counted, limited and drained."""

import asyncio
from typing import Any

from gateway.errors import Overloaded


class InFlight:
    """The tasks that answer a request each: entered as a context, they are counted, limited and drained."""

    def __init__(self) -> None:
        self.is_draining = False
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def refuse_beyond(self, max_requests: int | None) -> None:
        if max_requests is not None and len(self._tasks) >= max_requests:
            fault = f"{max_requests:,} requests are under way, as many as this gateway takes at once."
            raise Overloaded(fault, hint="Send it again soon.")

    # No contextlib.contextmanager: its generator would cost more than all the rest here.

    def __enter__(self) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.add(task)

    def __exit__(self, *raised: object) -> None:
        if (task := asyncio.current_task()) is not None:
            self._tasks.discard(task)

    async def drain(self, seconds: float) -> None:
        """Wait until no request is under way; cancel those that take longer than this."""
        self.is_draining = True
        deadline = asyncio.get_running_loop().time() + seconds
        # More may begin meanwhile, on connections that are open.
        while self._tasks and (left := deadline - asyncio.get_running_loop().time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        if late := set(self._tasks):
            for task in late:
                task.cancel()
            await asyncio.wait(late)
