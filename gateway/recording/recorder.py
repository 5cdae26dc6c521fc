"""Recorder: stores exchanges in groups; rows wait in a file while the store fails."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from gateway.errors import StoreUnavailable
from gateway.models.exchange import Exchange, PayloadPolicy
from gateway.periodic import PeriodicTask
from gateway.recording.interpreter import Interpreter
from gateway.recording.redaction import redact
from gateway.store import WorkerSlots
from gateway.store.base import RequestLog, Store
from gateway.store.journal import Journal, replay_journal

log = structlog.get_logger("gateway.recording")

# How often it is tried whether the store takes rows again.
RETRY_SECONDS = 1.0

# So many are brought back within a moment.
FEW_ROWS = 200


class Overflow:
    """The file beside the store in which rows wait, and the task that brings them back in order.

    `rows_lost` stays 0 unless that file cannot be written either; then it tells the truth.

    Args:
        spill: the file.
        left_behind: files of workers that will not come back; what is in them is brought back too.
    """

    def __init__(
        self, spill: Journal, store: Store, interpreter: Interpreter, left_behind: Sequence[Journal] = ()
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
                count += sum([await replay_journal(spill, self._store) for spill in self._spills])
                if self._are_empty:
                    self.is_engaged = False
                    return count
                if self.rows_spilled - spilled <= FEW_ROWS and self._end is None:
                    self._end = asyncio.get_running_loop().create_future()
        finally:
            if self._end is not None:
                self._end.set_result(None)
                self._end = None


# How often a process shows that it lives; several times in a lease.
RENEW_SECONDS = 5.0


class ClaimRenewal:
    """Renews a claim, and tells the interpreter of what was taken over by it."""

    def __init__(self, claim: WorkerSlots, interpreter: Interpreter) -> None:
        self._claim = claim
        self._interpreter = interpreter
        self._renewing = PeriodicTask(
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
        await asyncio.to_thread(self._claim.release)

    async def _renew(self) -> None:
        if taken := await asyncio.to_thread(self._claim.renew):
            log.info("rows of a process that is no more were taken over", rows=taken)
            self._interpreter.expect_leftovers()


# How long a busy gateway lets exchanges gather: a group costs a change of threads and a commit, whatever its
# size. Where they come one at a time nobody waits for others.
GATHER_SECONDS = 0.001

# How much may wait to be stored before callers are made to wait, whatever the durability.
MAX_QUEUE_BYTES = 256 * 1024 * 1024


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

    def record_without_waiting(self, exchange: Exchange) -> None:
        """Take an exchange from a caller that will not wait until it is stored: one that was cancelled still
        leaves its row."""
        self._add(exchange)

    async def record(self, exchange: Exchange) -> None:
        """Take an exchange, and return when it is as safe as the durability asks for."""
        batch = self._add(exchange)
        if not self._may_lose_seconds or self._is_overdue():
            await self._wait_until_stored(batch)

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

    def _is_overdue(self) -> bool:
        """Too much waits to be stored, or has waited for too long."""
        batches = [batch for batch in (self._in_store, self._next) if batch is not None]
        return (
            self._loop.time() - batches[0].begun_at > self._may_lose_seconds
            or sum(batch.size_bytes for batch in batches) > MAX_QUEUE_BYTES
        )

    async def _wait_until_stored(self, batch: _Batch) -> None:
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
