"""Quotas: usage limits of API keys, shared by all processes; rate limit of feedback tokens."""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from gateway import errors
from gateway.models.clock import format_rfc3339, now_us
from gateway.models.principal import Principal
from gateway.models.quota import QuotaStatus, QuotaUsage, Unit, Window
from gateway.store.base import Admin

log = structlog.get_logger("gateway.auth")

# Time between two exchanges of usage with the store.
INTERVAL_SECONDS = 1.0

# Longest last: of windows that end at the same time, the longest one is reported.
_WINDOWS_BY_LENGTH = tuple(Window)

# API key by name, unit and window.
CounterKey = tuple[str, Unit, Window]


@dataclass(slots=True)
class _Counter:
    """Usage in the current window: `stored` by all processes, and `unstored` by this one."""

    starts_at_us: int
    ends_at_us: int
    stored: int = 0
    unstored: int = 0

    @property
    def used(self) -> int:
        return self.stored + self.unstored


class Quotas:
    """Counts requests of keys with limits; tokens and money are counted with the rows that use them."""

    def __init__(self, store: Admin) -> None:
        self._store = store
        self._counters: dict[CounterKey, _Counter] = {}
        self._is_due = asyncio.Event()
        self._sync_lock = asyncio.Lock()
        self._is_closing = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Load the stored usage, then keep exchanging usage with the store."""
        await self._sync()
        self._task = asyncio.create_task(self._run(), name="quotas")

    async def close(self) -> None:
        # Not cancelled: usage that the store has, but has not confirmed yet, would be added again.
        self._is_closing.set()
        self._is_due.set()
        if self._task is not None:
            await self._task
        await self._sync()

    def admit(self, caller: Principal) -> QuotaStatus | None:
        """Count a request; return the limit with the largest share used. Raises LimitExceeded."""
        if not caller.limits or caller.name is None:
            return None
        at_us = now_us()
        counters = [self._counter((caller.name, each.unit, each.window), at_us) for each in caller.limits]
        spent = [
            QuotaStatus(limit, counter.used, counter.ends_at_us)
            for limit, counter in zip(caller.limits, counters, strict=True)
            if counter.stored + counter.unstored >= limit.amount
        ]
        if spent:
            last = max(spent, key=lambda one: (one.resets_at_us, _WINDOWS_BY_LENGTH.index(one.limit.window)))
            raise _limit_error(caller.name, last, at_us)
        nearest, share = 0, -1.0
        for index, (limit, counter) in enumerate(zip(caller.limits, counters, strict=True)):
            if limit.unit is Unit.REQUESTS:
                counter.unstored += 1
            if (taken := (counter.stored + counter.unstored) / limit.amount) > share:
                nearest, share = index, taken
        counter = counters[nearest]
        return QuotaStatus(caller.limits[nearest], counter.used, counter.ends_at_us)

    def on_usage_stored(self) -> None:
        """Load the usage soon, which has grown."""
        self._is_due.set()

    def usage(self, caller: Principal) -> list[QuotaStatus]:
        at_us = now_us()
        found = []
        for limit in caller.limits:
            counter = self._counters.get((caller.name or "", limit.unit, limit.window))
            used = counter.used if counter is not None and at_us < counter.ends_at_us else 0
            found.append(QuotaStatus(limit, used, limit.window.end_us(at_us)))
        return found

    async def refresh(self) -> None:
        async with self._sync_lock:
            with contextlib.suppress(errors.StoreUnavailable):
                self._apply_stored_usage(await self._store.spendings())

    def _counter(self, key: CounterKey, at_us: int) -> _Counter:
        counter = self._counters.get(key)
        if counter is None or at_us >= counter.ends_at_us:
            window = key[2]
            counter = self._counters[key] = _Counter(window.start_us(at_us), window.end_us(at_us))
        return counter

    async def _run(self) -> None:
        while not self._is_closing.is_set():
            self._is_due.clear()
            if self._counters:
                await self._sync()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await self._is_due.wait()

    async def _sync(self) -> None:
        try:
            # Usage that is being stored must not be loaded before it is counted as stored: it would count twice.
            async with self._sync_lock:
                await self._store_usage()
                self._apply_stored_usage(await self._store.spendings())
        except errors.StoreUnavailable as error:
            log.warning("quotas are not shared while the store fails", reason=str(error))
        except Exception:
            # Counting continues in memory, and unstored usage is stored the next time.
            log.exception("quota usage could not be stored")

    async def _store_usage(self) -> None:
        unstored = [(key, counter, counter.unstored) for key, counter in self._counters.items()]
        if spent := [QuotaUsage(*key, counter.starts_at_us, n) for key, counter, n in unstored if n]:
            await self._store.spend(spent)
        for _, counter, amount in unstored:
            counter.unstored -= amount
            counter.stored += amount

    def _apply_stored_usage(self, spendings: Sequence[QuotaUsage]) -> None:
        at_us = now_us()
        for spending in spendings:
            if spending.starts_at_us == spending.window.start_us(at_us):
                key = (spending.key_name, spending.unit, spending.window)
                self._counter(key, at_us).stored = spending.amount


def _limit_error(key_name: str, usage: QuotaStatus, at_us: int) -> errors.LimitExceeded:
    limit = usage.limit
    kind = errors.LimitExceeded
    # A limit of 0 never resets to more, so that a client must not retry.
    if not (limit.window.is_short and limit.amount):
        kind = errors.BudgetExceeded if limit.unit is Unit.USD else errors.QuotaExceeded
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

# Beyond it those that were idle longest are forgotten and start anew.
MAX_CALLERS = 50_000


class RateLimiter:
    """Limits the entries of each feedback token per minute.

    Source: generic cell rate algorithm, ITU-T I.371.
    """

    def __init__(self, feedback_per_minute: int) -> None:
        self.feedback_per_minute = feedback_per_minute
        self._refilled_at_ns: OrderedDict[Principal, int] = OrderedDict()

    def check_rate(self, caller: Principal, entry_count: int) -> None:
        """Count entries, all or none. Raises TooManyRequests, TooLarge."""
        most = self.feedback_per_minute
        if entry_count > most:
            raise errors.TooLarge(
                f"holds {entry_count:,} entries; a feedback token may give {most:,} per minute.", field="body"
            )
        now_ns = time.monotonic_ns()
        refilled_at_ns = max(self._refilled_at_ns.get(caller, 0), now_ns) + entry_count * (MINUTE_NS // most)
        wait_ns = refilled_at_ns - MINUTE_NS - now_ns
        if wait_ns > 0:
            raise errors.TooManyRequests(
                f"rate limit exceeded: a feedback token may give {most:,} entries per minute.",
                retry_after_seconds=-(-wait_ns // SECOND_NS),
            )
        self._refilled_at_ns[caller] = refilled_at_ns
        self._refilled_at_ns.move_to_end(caller)
        if len(self._refilled_at_ns) > MAX_CALLERS:
            self._refilled_at_ns.popitem(last=False)
