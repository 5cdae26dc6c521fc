"""Job: work on a connection that somebody on the event loop waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.store.relational.connection import Connection


@dataclass(slots=True, eq=False)
class Job:
    """Work that waits for its turn on a thread, and what came of it there."""

    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    def settle(self) -> None:
        """Tell whoever waits, if anybody still does. On the event loop."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)
