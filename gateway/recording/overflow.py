"""Overflow: where rows wait while the store does not take them, and how they get back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog

from gateway.domain.exchange import Exchange
from gateway.errors import StoreUnavailable
from gateway.recording.interpreter import Interpreter
from gateway.store.base import Store
from gateway.store.spill import Spill, replay

log = structlog.get_logger("gateway.recording")

RETRY_SECONDS = 1.0
"""How often it is tried whether the store takes rows again."""

FEW_ROWS = 200
"""So many are brought back within a moment."""


class Overflow:
    """The file beside the store in which rows wait, and the task that brings them back in order.

    `rows_lost` stays 0 unless that file cannot be written either; then it tells the truth.

    Args:
        spill: the file.
        left_behind: files of workers that will not come back; what is in them is brought back too.
    """

    def __init__(
        self, spill: Spill, store: Store, interpreter: Interpreter, left_behind: Sequence[Spill] = ()
    ) -> None:
        self._spill = spill
        self._spills = (*left_behind, spill)
        self._store = store
        self._interpreter = interpreter
        self._retry: asyncio.Task[None] | None = None
        self._end: asyncio.Future[None] | None = None
        self.is_engaged = False
        self.rows_spilled = 0
        self.rows_lost = 0

    async def start(self) -> None:
        """Bring back what earlier processes had to leave in files."""
        if not self._are_empty:
            await self._bring_back()

    def engage(self, reason: str) -> None:
        """From now on rows go to the file, until the store has taken them all."""
        if not self.is_engaged:
            log.error("the store fails; rows go to a file beside it", reason=reason)
            self.is_engaged = True
            self._retry = asyncio.create_task(self._retry_until_back(), name="overflow")

    async def takes_rows(self) -> bool:
        """Tell whether rows go to the file now. While the last few are brought back from it, which takes a moment,
        wait for that: under load it would never be empty otherwise."""
        if self._end is not None:
            await asyncio.shield(self._end)
        return self.is_engaged

    def refuse_while_engaged(self) -> None:
        """Raise StoreUnavailable while the store does not take rows."""
        if self.is_engaged:
            raise StoreUnavailable("requests cannot be logged now, so none are served.")

    def add(self, exchanges: Sequence[Exchange]) -> None:
        """Write rows to the file."""
        for exchange in exchanges:
            try:
                self._spill.add(exchange)
                self.rows_spilled += 1
            except StoreUnavailable as error:
                self.rows_lost += 1
                log.error("a row is lost", request_id=exchange.identity.request_id, reason=str(error))

    async def close(self) -> None:
        """Stop trying. What is in the file stays there for the next start."""
        if self._retry is not None:
            self._retry.cancel()
            await asyncio.gather(self._retry, return_exceptions=True)

    @property
    def _are_empty(self) -> bool:
        return all(spill.is_empty for spill in self._spills)

    async def _retry_until_back(self) -> None:
        while self.is_engaged:
            await asyncio.sleep(RETRY_SECONDS)
            await self._bring_back()

    async def _bring_back(self) -> None:
        try:
            count = await self._empty()
        except Exception as error:
            # Whatever it is, the file still has the rows, and it will be tried again.
            log.warning("the store does not take rows yet", reason=str(error) or repr(error))
            if not self.is_engaged:
                self.engage(str(error))
            return
        self._interpreter.expect_leftovers()
        log.warning("the store takes rows again", rows_brought_back=count)

    async def _empty(self) -> int:
        """Bring back what is in the files, and what is added to them meanwhile; return how many rows that made.
        From when a round has found but few, whoever has more waits until the last round is over."""
        count = 0
        try:
            while True:
                spilled = self.rows_spilled
                count += sum([await replay(spill, self._store) for spill in self._spills])
                if self._are_empty:
                    self.is_engaged = False
                    return count
                if self.rows_spilled - spilled <= FEW_ROWS and self._end is None:
                    self._end = asyncio.get_running_loop().create_future()
        finally:
            if self._end is not None:
                self._end.set_result(None)
                self._end = None
