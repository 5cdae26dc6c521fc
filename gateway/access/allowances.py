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

from gateway.domain.clock import now_us, rfc_3339
from gateway.domain.exchange import Exchange, was_proxied
from gateway.domain.limit import Limit, LimitUsage, Spending, Unit, Window
from gateway.domain.principal import Principal
from gateway.domain.request import Facts
from gateway.errors import BudgetExceeded, LimitExceeded, QuotaExceeded, StoreUnavailable
from gateway.store.administration import SpendingStore

log = structlog.get_logger("gateway.access")

INTERVAL_SECONDS = 1.0
"""How often the store is told what was used here, and asked what was used elsewhere."""

_LONGEST = tuple(Window)
"""Windows, the longest last. Several may end at the same time."""

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

    @property
    def used(self) -> int:
        """By all processes, as far as this one knows."""
        return self.stored + self.unstored


class Allowances:
    """Counts what keys with limits use, and refuses what would be more. To be used on one event loop, but for
    `observe`.

    Args:
        store: through which processes tell one another what was used.
    """

    def __init__(self, store: SpendingStore) -> None:
        self._store = store
        self._counters: dict[Place, _Counter] = {}
        self._limits: dict[str, tuple[Limit, ...]] = {}
        self._observed: deque[tuple[str, int, int, int]] = deque()
        self._synchronising = asyncio.Lock()
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

    def admit(self, caller: Principal) -> LimitUsage | None:
        """Count a request that a caller is about to make.

        Returns how it stands with the limit that is nearest to being used up; None for a caller without limits.

        Raises:
            LimitExceeded: it has used up a limit; of several the one that resets last.
        """
        if not caller.limits or caller.name is None:
            return None
        self._limits[caller.name] = caller.limits
        at_us = now_us()
        self._count_observed()
        counters = [self._counter((caller.name, each.unit, each.window), at_us) for each in caller.limits]
        spent = [
            LimitUsage(limit, counter.used, counter.ends_at_us)
            for limit, counter in zip(caller.limits, counters, strict=True)
            if counter.stored + counter.unstored >= limit.amount
        ]
        if spent:
            last = max(spent, key=lambda each: (each.resets_at_us, _LONGEST.index(each.limit.window)))
            raise _exceeded(caller.name, last, at_us)
        nearest, share = 0, -1.0
        for index, (limit, counter) in enumerate(zip(caller.limits, counters, strict=True)):
            if limit.unit is Unit.REQUESTS:
                counter.unstored += 1
            if (taken := (counter.stored + counter.unstored) / limit.amount) > share:
                nearest, share = index, taken
        counter = counters[nearest]
        return LimitUsage(caller.limits[nearest], counter.used, counter.ends_at_us)

    def usage(self, caller: Principal) -> list[LimitUsage]:
        """Return how a caller stands with each of its limits, as far as this process knows."""
        at_us = now_us()
        self._count_observed()
        found = []
        for limit in caller.limits:
            counter = self._counters.get((caller.name or "", limit.unit, limit.window))
            used = counter.used if counter is not None and at_us < counter.ends_at_us else 0
            found.append(LimitUsage(limit, used, limit.window.end_us(at_us)))
        return found

    async def refresh(self) -> None:
        """Learn what other processes have told the store. While the store fails, nothing is learnt."""
        async with self._synchronising:
            with contextlib.suppress(StoreUnavailable):
                self._take_over(await self._store.spendings())

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
        # What is being told must not be taken over from the store before it is counted as told.
        async with self._synchronising:
            await self._tell_and_take_over()

    async def _tell_and_take_over(self) -> None:
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


def _exceeded(key_name: str, usage: LimitUsage, at_us: int) -> LimitExceeded:
    """The refusal of a key that has used up a limit. Of one that allows nothing, none is worth waiting for."""
    limit = usage.limit
    kind = LimitExceeded
    if not (limit.window.is_short and limit.amount):
        kind = BudgetExceeded if limit.unit is Unit.USD else QuotaExceeded
    resets_at = rfc_3339(usage.resets_at_us, "seconds")
    what = "budget" if limit.unit is Unit.USD else "rate limit"
    return kind(
        f"{what} exceeded for key {key_name!r}: {limit.in_words}; resets at {resets_at}.",
        limit=str(limit),
        resets_at=resets_at,
        seconds_left=usage.seconds_left(at_us),
    )
