"""Recorder: stores exchanges in groups; rows go to a journal file while the store fails."""

import asyncio
from collections.abc import Callable, Sequence
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

RETRY_SECONDS = 1.0

# Replayed within a moment.
FEW_ROWS = 200


class Overflow:
    """The journal for rows that the store does not take, and its replay."""

    def __init__(
        self, journal: Journal, store: Store, interpreter: Interpreter, abandoned: Sequence[Journal] = ()
    ) -> None:
        self._journal = journal
        self._journals = (*abandoned, journal)
        self._store = store
        self._interpreter = interpreter
        self._retry: asyncio.Task[None] | None = None
        self._replay_end: asyncio.Future[None] | None = None
        self.is_engaged = False
        self.rows_journaled = 0
        self.rows_lost = 0

    async def start(self) -> None:
        if not self._all_empty:
            await self._replay()

    def engage(self, reason: str) -> None:
        """Send rows to the journal until it is replayed."""
        if not self.is_engaged:
            log.error("store failed; rows go to the journal", reason=reason)
            self.is_engaged = True
            self._retry = asyncio.create_task(self._retry_replay(), name="overflow")

    async def takes_rows(self) -> bool:
        # Waits while the last few are replayed: under load the journal would never be empty otherwise.
        if self._replay_end is not None:
            await asyncio.shield(self._replay_end)
        return self.is_engaged

    def refuse_while_engaged(self) -> None:
        if self.is_engaged:
            raise StoreUnavailable("the store takes no rows, so no requests are served.")

    def add(self, exchanges: Sequence[Exchange]) -> None:
        for exchange in exchanges:
            try:
                self._journal.add(exchange)
                self.rows_journaled += 1
            except StoreUnavailable as error:
                self.rows_lost += 1
                log.error("row lost", request_id=exchange.identity.request_id, reason=str(error))

    async def close(self) -> None:
        # The journal stays for the next start.
        if self._retry is not None:
            self._retry.cancel()
            await asyncio.gather(self._retry, return_exceptions=True)

    @property
    def _all_empty(self) -> bool:
        return all(journal.is_empty for journal in self._journals)

    async def _retry_replay(self) -> None:
        while self.is_engaged:
            await asyncio.sleep(RETRY_SECONDS)
            await self._replay()

    async def _replay(self) -> None:
        try:
            count = await self._empty()
        except Exception as error:
            # Any error: the journal still has the rows, and the next try may work.
            log.warning("journal could not be replayed", reason=str(error) or repr(error))
            if not self.is_engaged:
                self.engage(str(error))
            return
        self._interpreter.expect_leftovers()
        log.warning("journal replayed", rows=count)

    async def _empty(self) -> int:
        # Rows may be added to the journals meanwhile.
        count = 0
        try:
            while True:
                before = self.rows_journaled
                count += sum([await replay_journal(journal, self._store) for journal in self._journals])
                if self._all_empty:
                    self.is_engaged = False
                    return count
                # Once a round found few rows, writers wait for the last round.
                if self.rows_journaled - before <= FEW_ROWS and self._replay_end is None:
                    self._replay_end = asyncio.get_running_loop().create_future()
        finally:
            if self._replay_end is not None:
                self._replay_end.set_result(None)
                self._replay_end = None


# Several times in a lease.
RENEW_SECONDS = 5.0


class WorkerSlotRenewal:
    """Renews a worker slot; has rows of dead workers interpreted."""

    def __init__(self, slots: WorkerSlots, on_takeover: Callable[[], None]) -> None:
        self._slots = slots
        self._on_takeover = on_takeover
        self._renewing = PeriodicTask(
            "worker-slot", self._renew, pause_seconds=RENEW_SECONDS, failed="worker slot could not be renewed"
        )

    def start(self) -> None:
        self._renewing.start()

    async def close(self) -> None:
        """Stop, and release the slot."""
        await self._renewing.close()
        await asyncio.to_thread(self._slots.release)

    async def _renew(self) -> None:
        if taken := await asyncio.to_thread(self._slots.renew):
            log.info("rows of a dead worker taken over", rows=taken)
            self._on_takeover()


# A busy gateway lets exchanges gather: a group costs a change of threads and a commit, whatever its size. A lone
# exchange does not wait.
GATHER_SECONDS = 0.001

# Callers wait beyond this, whatever the durability.
MAX_QUEUE_BYTES = 256 * 1024 * 1024


@dataclass(slots=True)
class _Batch:
    # Exchanges stored together, and futures done once they are.

    begun_at: float
    exchanges: list[Exchange] = field(default_factory=list)
    waiting: list[asyncio.Future[None]] = field(default_factory=list)
    size_bytes: int = 0


class Recorder:
    """Stores finished exchanges in groups: those that end while one is written form the next.
    `may_lose_seconds`: how old exchanges may be that a kill loses; 0: `record` waits for the store."""

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
        self._task = asyncio.create_task(self._run(), name="recorder")

    @property
    def queued(self) -> int:
        return sum(len(batch.exchanges) for batch in (self._next, self._in_store) if batch is not None)

    def record_without_waiting(self, exchange: Exchange) -> None:
        """Take the exchange of a cancelled caller."""
        self._add(exchange)

    async def record(self, exchange: Exchange) -> None:
        """Take an exchange, and return when it is safe enough."""
        batch = self._add(exchange)
        if not self._may_lose_seconds or self._is_overdue():
            stored = self._loop.create_future()
            batch.waiting.append(stored)
            await stored

    async def close(self) -> None:
        """Store the rest, then stop."""
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
        batches = [batch for batch in (self._in_store, self._next) if batch is not None]
        return (
            self._loop.time() - batches[0].begun_at > self._may_lose_seconds
            or sum(batch.size_bytes for batch in batches) > MAX_QUEUE_BYTES
        )

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
            log.exception("payloads could not be redacted and are dropped", rows=len(exchanges))
            kept = [replace(exchange, payloads=PayloadPolicy.OFF) for exchange in exchanges]
        if await self._overflow.takes_rows():
            self._overflow.add(kept)
            return
        try:
            seqs = await self._log.append(kept)
        except StoreUnavailable as error:
            self._overflow.engage(str(error))
            self._overflow.add(kept)
        except Exception as error:
            # Any error: the rows must not be lost, and callers must not hang.
            log.exception("store failed unexpectedly", rows=len(kept))
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
