"""Taking over the rows of processes that are no more, on whatever machine, so that each row is interpreted."""

from __future__ import annotations

import asyncio

import structlog

from gateway.errors import StoreUnavailable
from gateway.recording.interpreter import Interpreter
from gateway.store import Claim

log = structlog.get_logger("gateway.recording")

RENEW_SECONDS = 5.0
"""How often a process shows that it lives; several times in a lease."""


class Inheriting:
    """The task that renews a claim, and tells the interpreter of what was taken over by it."""

    def __init__(self, claim: Claim, interpreter: Interpreter) -> None:
        self._claim = claim
        self._interpreter = interpreter
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._renew_for_ever(), name="inheriting")

    async def close(self) -> None:
        """Stop, and let others have what is claimed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._claim.give_up)

    async def _renew_for_ever(self) -> None:
        while True:
            try:
                if taken := await asyncio.to_thread(self._claim.renew):
                    log.info("rows of a process that is no more were taken over", rows=taken)
                    self._interpreter.expect_leftovers()
            except StoreUnavailable as error:
                log.warning("the claim on a worker's number could not be renewed", reason=str(error))
            await asyncio.sleep(RENEW_SECONDS)
