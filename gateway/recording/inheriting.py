"""Taking over the rows of processes that are no more, on whatever machine, so that each row is interpreted."""

from __future__ import annotations

import asyncio

import structlog

from gateway.recording.interpreter import Interpreter
from gateway.recurring import Recurring
from gateway.store import Claim

log = structlog.get_logger("gateway.recording")

RENEW_SECONDS = 5.0
"""How often a process shows that it lives; several times in a lease."""


class Inheriting:
    """Renews a claim, and tells the interpreter of what was taken over by it."""

    def __init__(self, claim: Claim, interpreter: Interpreter) -> None:
        self._claim = claim
        self._interpreter = interpreter
        self._renewing = Recurring(
            "inheriting",
            self._renew,
            pause_seconds=RENEW_SECONDS,
            failed="the claim on a worker's number could not be renewed",
        )

    def start(self) -> None:
        """Begin."""
        self._renewing.start()

    async def close(self) -> None:
        """Stop, and let others have what is claimed."""
        await self._renewing.close()
        await asyncio.to_thread(self._claim.give_up)

    async def _renew(self) -> None:
        if taken := await asyncio.to_thread(self._claim.renew):
            log.info("rows of a process that is no more were taken over", rows=taken)
            self._interpreter.expect_leftovers()
