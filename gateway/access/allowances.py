"""Allowances: how much each key may still use, and what it has used, together with all who serve beside this
process.

A request is admitted by what is known in memory, so a limit costs no look into the store. What a request cost is
known once it has been interpreted; what other processes let through is known once they have told the store. So a
limit can be passed by what was under way, and by what others admitted in about a second.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from gateway.domain.clock import now_us
from gateway.domain.exchange import Exchange, was_proxied
from gateway.domain.limit import Limit, Spending, Unit, Window
from gateway.domain.principal import Principal
from gateway.domain.request import Facts
from gateway.errors import StoreUnavailable, TooManyRequests
from gateway.store.administration import SpendingStore

log = structlog.get_logger("gateway.access")

INTERVAL_SECONDS = 1.0
"""How often the store is told what was used here, and asked what was used elsewhere."""

SECOND_US = 1_000_000

Place = tuple[str, Unit, Window]
"""What a counter is for: a key by its name, and what of in which stretch of time."""


@dataclass(slots=True)
class _Counter:
    """What one key has used of one unit in the window at hand.

    Args:
        stored: by all processes, as far as the store was told.
        unstored: by this one, of which the store was not told yet.
    """

    starts_at_us: int
    ends_at_us: int
    stored: int = 0
    unstored: int = 0


class Allowances:
    """Counts what keys with limits use, and refuses what would be more. To be used on one event loop, but for
    `observe`.

    Args:
        store: through which processes tell one another what was used.
    """

    def __init__(self, store: SpendingStore) -> None:
        self.refused = 0
        """How many requests were refused."""
        self._store = store
        self._counters: dict[Place, _Counter] = {}
        self._limits: dict[str, tuple[Limit, ...]] = {}
        self._observed: deque[tuple[str, int, int, int]] = deque()
        self._is_closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find out what was used before, then keep the store and this process of one mind."""
        await self._synchronise()
        self._task = asyncio.create_task(self._run(), name="allowances")

    async def close(self) -> None:
        """Tell the store what it does not know yet, and stop."""
        # Not cancelled: what the store has been told but has not answered yet would be told again.
        self._is_closing.set()
        if self._task is not None:
            await self._task
        await self._synchronise()

    def admit(self, caller: Principal) -> None:
        """Count a request that a caller is about to make.

        Raises:
            TooManyRequests: it has used up what it may; says when it may go on.
        """
        if not caller.limits or caller.name is None:
            return
        self._limits[caller.name] = caller.limits
        at_us = now_us()
        self._count_observed()
        for limit in caller.limits:
            counter = self._counter((caller.name, limit.unit, limit.window), at_us)
            if counter.stored + counter.unstored >= limit.amount:
                self.refused += 1
                raise TooManyRequests(
                    f"the key {caller.name!r} may use {limit}, which it has.",
                    retry_after_seconds=-(-(counter.ends_at_us - at_us) // SECOND_US),
                )
        for limit in caller.limits:
            if limit.unit is Unit.REQUESTS:
                self._counter((caller.name, limit.unit, limit.window), at_us).unstored += 1

    def observe(self, exchange: Exchange, facts: Facts) -> None:
        """Count what a request took, unless it did not pass through here. May be called on any thread."""
        if exchange.key_name not in self._limits or not was_proxied(exchange.path):
            return
        tokens = (facts.usage.prompt_tokens or 0) + (facts.usage.completion_tokens or 0)
        nanousd = facts.cost.nanousd if facts.cost is not None else 0
        self._observed.append((exchange.key_name, exchange.ended_at_us, tokens, nanousd))

    def _count_observed(self) -> None:
        while self._observed:
            name, at_us, tokens, nanousd = self._observed.popleft()
            for limit in self._limits[name]:
                counter = self._counter((name, limit.unit, limit.window), at_us)
                if at_us >= counter.starts_at_us:
                    counter.unstored += {Unit.TOKENS: tokens, Unit.USD: nanousd}.get(limit.unit, 0)

    def _counter(self, place: Place, at_us: int) -> _Counter:
        """Return the counter of the window that a time is in, or a later one that has begun."""
        counter = self._counters.get(place)
        if counter is None or at_us >= counter.ends_at_us:
            window = place[2]
            counter = self._counters[place] = _Counter(window.start_us(at_us), window.end_us(at_us))
        return counter

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await self._is_closing.wait()
                    return
            if self._counters:
                await self._synchronise()

    async def _synchronise(self) -> None:
        self._count_observed()
        told = [(place, counter, counter.unstored) for place, counter in self._counters.items()]
        spent = [Spending(*place, counter.starts_at_us, amount) for place, counter, amount in told if amount]
        try:
            if spent:
                await self._store.spend(spent)
            for _, counter, amount in told:
                counter.unstored -= amount
                counter.stored += amount
            self._take_over(await self._store.spendings())
        except StoreUnavailable as error:
            log.warning("limits hold for this process alone while the store fails", reason=str(error))
        except Exception:
            # Counting goes on in memory, and what was not told is told the next time.
            log.exception("what keys have used could not be told to the store")

    def _take_over(self, spendings: Sequence[Spending]) -> None:
        at_us = now_us()
        for spending in spendings:
            if spending.starts_at_us == spending.window.start_us(at_us):
                place = (spending.key_name, spending.unit, spending.window)
                self._counter(place, at_us).stored = spending.amount
