"""How late the event loop is: everything that a process does for its callers waits for that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LOOK_SECONDS = 0.25
"""How often it is looked. A stall that is shorter than this may pass unseen; those that matter add up."""


async def watch_stalls(observe: Callable[[float], None]) -> None:
    """Tell again and again by how many seconds the loop comes too late, for ever."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOK_SECONDS
        await asyncio.sleep(LOOK_SECONDS)
        observe(max(loop.time() - due, 0.0))
