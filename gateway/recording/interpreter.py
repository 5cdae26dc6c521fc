"""Interpreter: reads facts and cost from stored exchanges, in a thread of its own."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import structlog

from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange, metadata_model
from gateway.models.request import Billing, Cost, Facts, Usage
from gateway.store.base import RequestLog
from gateway.wire import read_facts
from gateway.wire.pricing import PricedProvider, PriceTable


@dataclass(frozen=True, slots=True)
class CostCalculator:
    # The price library may know a provider by its base URL.

    prices: PriceTable
    base_url_of: Callable[[str], str | None]

    def cost(
        self, exchange: Exchange, models: tuple[str | None, ...], usage: Usage, billing: Billing
    ) -> Cost | None:
        """Return the cost, None without a price; the best name of the model is first."""
        stated = metadata_model(exchange.identity.metadata)
        names = tuple([name for name in (stated, *models) if name])
        if not names and billing.stated_nanousd is None:
            return None
        seller = PricedProvider(exchange.provider, self.base_url_of(exchange.provider))
        return self.prices.cost(seller, names, usage, billing, exchange.started_at_us)

    def with_cost(self, exchange: Exchange, facts: Facts) -> Facts:
        cost = self.cost(exchange, (facts.model, facts.requested_model), facts.usage, facts.billing)
        return facts if cost is None else replace(facts, cost=cost)


log = structlog.get_logger("gateway.recording")

# Exchanges beyond this are read back from the store when there is room.
MAX_BACKLOG_BYTES = 64 * 1024 * 1024

BATCH_ROWS = 256
# The first exchange of a batch waits for others: changing threads costs more than reading facts.
GATHER_SECONDS = 0.02

# Rows that were read back are remembered while they may still be submitted.
MAX_REMEMBERED_ROWS = 16 * BATCH_ROWS

RETRY_SECONDS = 1.0

# Called once for each exchange whose facts are stored, on the interpreter's thread. Must not raise.
Observer = Callable[[Exchange, Facts], None]


class Interpreter:
    """Reads facts of stored exchanges in batches."""

    def __init__(
        self,
        request_log: RequestLog,
        prices: PriceTable,
        base_urls: Callable[[str], str | None],
        observers: Sequence[Observer] = (),
    ) -> None:
        self._log = request_log
        self._pricing = CostCalculator(prices, base_urls)
        self._observers = tuple(observers)
        self._waiting: deque[tuple[int, Exchange]] = deque()
        self._waiting_bytes = 0
        self._wakeup = asyncio.Event()
        self._has_leftovers = True
        self._read_back: deque[int] = deque(maxlen=MAX_REMEMBERED_ROWS)
        self._is_closing = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="interpreter")
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        # Rows that an earlier process left come first.
        self._task = asyncio.create_task(self._run(), name="interpreter")
        self._wakeup.set()

    def submit(self, stored: Sequence[tuple[int, Exchange]]) -> None:
        for seq, exchange in stored:
            size = len(exchange.request_body) + len(exchange.response_body)
            if self._waiting_bytes + size > MAX_BACKLOG_BYTES and self._waiting:
                self._has_leftovers = True
                continue
            self._waiting.append((seq, exchange))
            self._waiting_bytes += size
        self._wakeup.set()

    def expect_leftovers(self) -> None:
        """Look for stored rows that were not submitted here."""
        self._has_leftovers = True
        self._wakeup.set()

    async def close(self) -> None:
        """Finish what was submitted, then stop."""
        self._is_closing = True
        self._wakeup.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def _run(self) -> None:
        while not (self._is_closing and not self._waiting):
            if self._waiting:
                if not self._is_closing and len(self._waiting) < BATCH_ROWS:
                    await asyncio.sleep(GATHER_SECONDS)
                if batch := self._take():
                    await self._annotate(batch)
            elif self._has_leftovers and not self._is_closing:
                await self._interpret_leftovers()
            else:
                await self._wakeup.wait()
                self._wakeup.clear()

    def _take(self) -> list[tuple[int, Exchange]]:
        batch = [self._waiting.popleft() for _ in range(min(BATCH_ROWS, len(self._waiting)))]
        self._waiting_bytes -= sum(len(e.request_body) + len(e.response_body) for _, e in batch)
        if not self._read_back:
            return batch
        read_back = set(self._read_back)
        return [(seq, exchange) for seq, exchange in batch if seq not in read_back]

    async def _interpret_leftovers(self) -> None:
        # Cleared before reading, since more may arrive meanwhile.
        self._has_leftovers = False
        try:
            leftovers = await self._log.uninterpreted(BATCH_ROWS)
        except StoreUnavailable:
            self._has_leftovers = True
            await self._pause()
            return
        if leftovers:
            self._has_leftovers = True
            # Some may be submitted too: observers get those once, and with the payload that the store may lack.
            self._read_back.extend(seq for seq, _ in leftovers)
            whole = dict(self._waiting)
            await self._annotate([(seq, whole.get(seq, exchange)) for seq, exchange in leftovers])

    async def _annotate(self, batch: list[tuple[int, Exchange]]) -> None:
        loop = asyncio.get_running_loop()
        facts = await loop.run_in_executor(self._thread, self._interpret, batch)
        try:
            counted = await self._log.annotate(facts, now_us())
        except StoreUnavailable as error:
            # The rows are in the store with their payloads, so this work can be done again from there.
            log.warning(
                "facts could not be stored; they will be read again", rows=len(batch), reason=str(error)
            )
            self._has_leftovers = True
            await self._pause()
        else:
            await loop.run_in_executor(self._thread, self._notify, batch, counted)

    async def _pause(self) -> None:
        if not self._is_closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wakeup.wait(), RETRY_SECONDS)

    def _interpret(self, batch: Sequence[tuple[int, Exchange]]) -> list[tuple[int, Facts]]:
        return [(seq, self._interpret_one(exchange)) for seq, exchange in batch]

    def _interpret_one(self, exchange: Exchange) -> Facts:
        try:
            return read_facts(exchange, self._pricing.cost)
        except Exception as error:
            # One unreadable row must not stop the others.
            log.exception("exchange could not be interpreted", request_id=exchange.identity.request_id)
            return Facts(note=f"interpretation failed: {type(error).__name__}")

    def _notify(self, batch: Sequence[tuple[int, Exchange]], facts: Sequence[tuple[int, Facts]]) -> None:
        for (_, exchange), (_, found) in zip(batch, facts, strict=True):
            ended = exchange if found.outcome is None else replace(exchange, outcome=found.outcome)
            for observe in self._observers:
                observe(ended, found)
