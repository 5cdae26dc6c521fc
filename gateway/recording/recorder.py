"""Recorder: brings exchanges into the store, and says when they are safe there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import structlog

from gateway.domain.exchange import Exchange, PayloadPolicy
from gateway.errors import StoreUnavailable
from gateway.recording.interpreter import Interpreter
from gateway.recording.overflow import Overflow
from gateway.recording.redaction import redact
from gateway.store.base import RequestLog

log = structlog.get_logger("gateway.recording")

GATHER_SECONDS = 0.001
"""How long a busy gateway lets exchanges gather: a group costs a change of threads and a commit, whatever its
size. Where they come one at a time nobody waits for others."""

QUEUE_BYTES = 256 * 1024 * 1024
"""How much may wait to be stored before callers are made to wait, whatever the durability."""


@dataclass(slots=True)
class _Batch:
    """Exchanges that go into the store together; who waits is told when they are in it, or in the overflow.

    Args:
        begun_at: when the first of them came, by the loop's clock.
    """

    begun_at: float
    exchanges: list[Exchange] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    size_bytes: int = 0


class Recorder:
    """Takes finished exchanges and stores them in groups: all that end while one group is written form the next.

    Args:
        request_log: the store.
        interpreter: is handed what was stored.
        overflow: where rows go while the store does not take them.
        may_lose_seconds: of how long exchanges may be lost if the process is killed. `record` returns as soon as
            nothing has waited for longer than that; with 0 (durability `commit`) when the exchange is stored.
    """

    def __init__(
        self,
        request_log: RequestLog,
        interpreter: Interpreter,
        overflow: Overflow,
        *,
        may_lose_seconds: float,
    ) -> None:
        self._log = request_log
        self._interpreter = interpreter
        self._overflow = overflow
        self._may_lose_seconds = may_lose_seconds
        self._loop = asyncio.get_running_loop()
        self._next: _Batch | None = None
        self._in_store: _Batch | None = None
        self._wakeup = asyncio.Event()
        self._is_closing = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to store what is taken."""
        self._task = asyncio.create_task(self._run(), name="recorder")

    @property
    def queued(self) -> int:
        """Exchanges that are taken but not stored yet."""
        return sum(len(batch.exchanges) for batch in (self._next, self._in_store) if batch is not None)

    def take(self, exchange: Exchange) -> None:
        """Take an exchange from a caller that will not wait until it is stored: one that was cancelled still
        leaves its row."""
        self._add(exchange)

    async def record(self, exchange: Exchange) -> None:
        """Take an exchange, and return when it is as safe as the durability asks for."""
        batch = self._add(exchange)
        if not self._may_lose_seconds or self._is_behind():
            await self._stored(batch)

    async def close(self) -> None:
        """Store what was taken, then stop."""
        self._is_closing = True
        self._wakeup.set()
        if self._task is not None:
            await self._task

    def _add(self, exchange: Exchange) -> _Batch:
        batch = self._next
        if batch is None:
            batch = self._next = _Batch(self._loop.time())
            self._wakeup.set()
        batch.exchanges.append(exchange)
        batch.size_bytes += len(exchange.request_body) + len(exchange.response_body)
        return batch

    def _is_behind(self) -> bool:
        """Too much waits to be stored, or has waited for too long."""
        batches = [batch for batch in (self._in_store, self._next) if batch is not None]
        return (
            self._loop.time() - batches[0].begun_at > self._may_lose_seconds
            or sum(batch.size_bytes for batch in batches) > QUEUE_BYTES
        )

    async def _stored(self, batch: _Batch) -> None:
        stored = self._loop.create_future()
        batch.waiting.append(stored)
        await stored

    async def _run(self) -> None:
        while True:
            if self._next is None:
                if self._is_closing:
                    return
                await self._wakeup.wait()
                self._wakeup.clear()
                continue
            batch, self._next = self._next, None
            self._in_store = batch
            await self._store(batch.exchanges)
            self._in_store = None
            for stored in batch.waiting:
                if not stored.done():
                    stored.set_result(None)
            if len(batch.exchanges) > 1:
                await asyncio.sleep(GATHER_SECONDS)

    async def _store(self, exchanges: list[Exchange]) -> None:
        try:
            kept = await self._redacted(exchanges)
        except Exception:
            log.exception("payloads could not be redacted, so none of them is kept", rows=len(exchanges))
            kept = [_without_payload(exchange) for exchange in exchanges]
        if await self._overflow.takes_rows():
            self._overflow.add(kept)
            return
        try:
            seqs = await self._log.append(kept)
        except StoreUnavailable as error:
            self._overflow.engage(str(error))
            self._overflow.add(kept)
        except Exception as error:
            # Whatever it is, the rows must not be lost and the callers must not hang.
            log.exception("the store failed in an unexpected way", rows=len(kept))
            self._overflow.engage(repr(error))
            self._overflow.add(kept)
        else:
            self._interpreter.submit(list(zip(seqs, exchanges, strict=True)))

    async def _redacted(self, exchanges: list[Exchange]) -> list[Exchange]:
        if all(exchange.payloads is not PayloadPolicy.REDACTED for exchange in exchanges):
            return exchanges
        return await asyncio.to_thread(
            lambda: [redact(e) if e.payloads is PayloadPolicy.REDACTED else e for e in exchanges]
        )


def _without_payload(exchange: Exchange) -> Exchange:
    return replace(exchange, payloads=PayloadPolicy.OFF)
