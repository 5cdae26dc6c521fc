"""Quotas: usage limits of API keys, shared by all processes; rate limit of feedback tokens."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from gateway.errors import (
    BudgetExceeded,
    LimitExceeded,
    QuotaExceeded,
    StoreUnavailable,
    TooLarge,
    TooManyRequests,
)
from gateway.models.clock import format_rfc3339, now_us
from gateway.models.exchange import Exchange, was_proxied
from gateway.models.principal import Principal
from gateway.models.quota import Quota, QuotaStatus, QuotaUsage, Unit, Window
from gateway.models.request import Facts
from gateway.store.base import Admin

log = structlog.get_logger("gateway.access")

INTERVAL_SECONDS = 1.0
"""How often the store is told what was used here, and asked what was used elsewhere."""

_WINDOWS_BY_LENGTH = tuple(Window)
"""Windows, the longest last. Several may end at the same time."""

CounterKey = tuple[str, Unit, Window]
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


class Quotas:
    """Counts what keys with limits use, and refuses what would be more. To be used on one event loop, but for
    `observe`.

    Args:
        store: through which processes tell one another what was used.
    """

    def __init__(self, store: Admin) -> None:
        self._store = store
        self._counters: dict[CounterKey, _Counter] = {}
        self._limits: dict[str, tuple[Quota, ...]] = {}
        self._pending_usage: deque[tuple[str, int, int, int]] = deque()
        self._sync_lock = asyncio.Lock()
        self._is_closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Find out what was used before, then keep the store and this process of one mind."""
        await self._sync()
        self._task = asyncio.create_task(self._run(), name="allowances")

    async def close(self) -> None:
        """Tell the store what it does not know yet, and stop."""
        # Not cancelled: what the store has been told but has not answered yet would be told again.
        self._is_closing.set()
        if self._task is not None:
            await self._task
        await self._sync()

    def admit(self, caller: Principal) -> QuotaStatus | None:
        """Count a request that a caller is about to make.

        Returns how it stands with the limit that is nearest to being used up; None for a caller without limits.

        Raises:
            LimitExceeded: it has used up a limit; of several the one that resets last.
        """
        if not caller.limits or caller.name is None:
            return None
        self._limits[caller.name] = caller.limits
        at_us = now_us()
        self._count_pending_usage()
        counters = [self._counter((caller.name, each.unit, each.window), at_us) for each in caller.limits]
        spent = [
            QuotaStatus(limit, counter.used, counter.ends_at_us)
            for limit, counter in zip(caller.limits, counters, strict=True)
            if counter.stored + counter.unstored >= limit.amount
        ]
        if spent:
            last = max(
                spent, key=lambda each: (each.resets_at_us, _WINDOWS_BY_LENGTH.index(each.limit.window))
            )
            raise _limit_error(caller.name, last, at_us)
        nearest, share = 0, -1.0
        for index, (limit, counter) in enumerate(zip(caller.limits, counters, strict=True)):
            if limit.unit is Unit.REQUESTS:
                counter.unstored += 1
            if (taken := (counter.stored + counter.unstored) / limit.amount) > share:
                nearest, share = index, taken
        counter = counters[nearest]
        return QuotaStatus(caller.limits[nearest], counter.used, counter.ends_at_us)

    def usage(self, caller: Principal) -> list[QuotaStatus]:
        """Return how a caller stands with each of its limits, as far as this process knows."""
        at_us = now_us()
        self._count_pending_usage()
        found = []
        for limit in caller.limits:
            counter = self._counters.get((caller.name or "", limit.unit, limit.window))
            used = counter.used if counter is not None and at_us < counter.ends_at_us else 0
            found.append(QuotaStatus(limit, used, limit.window.end_us(at_us)))
        return found

    async def refresh(self) -> None:
        """Learn what other processes have told the store. While the store fails, nothing is learnt."""
        async with self._sync_lock:
            with contextlib.suppress(StoreUnavailable):
                self._apply_stored_usage(await self._store.spendings())

    def observe(self, exchange: Exchange, facts: Facts) -> None:
        """Count what a request took, unless it did not pass through here. May be called on any thread."""
        if exchange.key_name not in self._limits or not was_proxied(exchange.path):
            return
        tokens = (facts.usage.prompt_tokens or 0) + (facts.usage.completion_tokens or 0)
        nanousd = facts.cost.nanousd if facts.cost is not None else 0
        self._pending_usage.append((exchange.key_name, exchange.ended_at_us, tokens, nanousd))

    def _count_pending_usage(self) -> None:
        while self._pending_usage:
            name, at_us, tokens, nanousd = self._pending_usage.popleft()
            for limit in self._limits[name]:
                counter = self._counter((name, limit.unit, limit.window), at_us)
                if at_us >= counter.starts_at_us:
                    counter.unstored += {Unit.TOKENS: tokens, Unit.USD: nanousd}.get(limit.unit, 0)

    def _counter(self, key: CounterKey, at_us: int) -> _Counter:
        """Return the counter of the window that a time is in, or a later one that has begun."""
        counter = self._counters.get(key)
        if counter is None or at_us >= counter.ends_at_us:
            window = key[2]
            counter = self._counters[key] = _Counter(window.start_us(at_us), window.end_us(at_us))
        return counter

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await self._is_closing.wait()
                    return
            if self._counters:
                await self._sync()

    async def _sync(self) -> None:
        # What is being told must not be taken over from the store before it is counted as told.
        async with self._sync_lock:
            await self._exchange_usage()

    async def _exchange_usage(self) -> None:
        self._count_pending_usage()
        reported = [(key, counter, counter.unstored) for key, counter in self._counters.items()]
        spent = [
            QuotaUsage(*key, counter.starts_at_us, amount) for key, counter, amount in reported if amount
        ]
        try:
            if spent:
                await self._store.spend(spent)
            for _, counter, amount in reported:
                counter.unstored -= amount
                counter.stored += amount
            self._apply_stored_usage(await self._store.spendings())
        except StoreUnavailable as error:
            log.warning("limits hold for this process alone while the store fails", reason=str(error))
        except Exception:
            # Counting goes on in memory, and what was not told is told the next time.
            log.exception("what keys have used could not be told to the store")

    def _apply_stored_usage(self, spendings: Sequence[QuotaUsage]) -> None:
        at_us = now_us()
        for spending in spendings:
            if spending.starts_at_us == spending.window.start_us(at_us):
                key = (spending.key_name, spending.unit, spending.window)
                self._counter(key, at_us).stored = spending.amount


def _limit_error(key_name: str, usage: QuotaStatus, at_us: int) -> LimitExceeded:
    """The refusal of a key that has used up a limit. Of one that allows nothing, none is worth waiting for."""
    limit = usage.limit
    kind = LimitExceeded
    if not (limit.window.is_short and limit.amount):
        kind = BudgetExceeded if limit.unit is Unit.USD else QuotaExceeded
    resets_at = format_rfc3339(usage.resets_at_us, "seconds")
    what = "budget" if limit.unit is Unit.USD else "rate limit"
    return kind(
        f"{what} exceeded for key {key_name!r}: {limit.in_words}; resets at {resets_at}.",
        limit=str(limit),
        resets_at=resets_at,
        seconds_left=usage.seconds_left(at_us),
    )


SECOND_NS = 1_000_000_000
MINUTE_NS = 60 * SECOND_NS

MAX_CALLERS = 50_000
"""How many callers are remembered. If more than that vote within a minute, those that have not voted for the
longest are forgotten, and may begin anew."""


class RateLimiter:
    """Lets each caller give so many votes at once, and one more whenever that fraction of a minute has passed.

    All that is remembered of a caller is when it will have its votes back (the generic cell rate algorithm, ITU-T
    I.371), so memory is bounded.

    Args:
        votes_a_minute: may be changed while votes come in.
    """

    def __init__(self, feedback_per_minute: int) -> None:
        self.feedback_per_minute = feedback_per_minute
        self._refilled_at_ns: OrderedDict[Principal, int] = OrderedDict()

    def check_rate(self, caller: Principal, entry_count: int) -> None:
        """Count votes that a caller is about to give, all or none.

        Raises:
            TooManyRequests: it may not give so many now; says when it may.
            TooLarge: it may never give so many at once.
        """
        most = self.feedback_per_minute
        if entry_count > most:
            raise TooLarge(
                f"holds {entry_count:,} votes; a feedback token may give {most:,} a minute.", field="body"
            )
        now_ns = time.monotonic_ns()
        refilled_at_ns = max(self._refilled_at_ns.get(caller, 0), now_ns) + entry_count * (MINUTE_NS // most)
        wait_ns = refilled_at_ns - MINUTE_NS - now_ns
        if wait_ns > 0:
            raise TooManyRequests(
                f"a feedback token may give {most:,} votes a minute.",
                retry_after_seconds=-(-wait_ns // SECOND_NS),
            )
        self._refilled_at_ns[caller] = refilled_at_ns
        self._refilled_at_ns.move_to_end(caller)
        if len(self._refilled_at_ns) > MAX_CALLERS:
            self._refilled_at_ns.popitem(last=False)
