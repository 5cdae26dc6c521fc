"""Circuit breakers: a target that keeps failing is left alone for a while, then tried with one request."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from gateway.models.route import BreakerRule, RouteTarget

# Configs that callers send may name any number of targets.
MAX_BREAKERS = 10_000

# Failures and requests are counted in windows of this length, so that old ones are forgotten.
WINDOW_SECONDS = 60.0

# A probe whose end nobody reports, since its caller has gone, does not keep the breaker open for ever.
PROBE_SECONDS = 60.0


@dataclass(slots=True)
class Breaker:
    """Closed while a target works; open after its rule's failures; half open for one probe after the cooldown."""

    rule: BreakerRule
    failures: int = 0
    requests: int = 0
    window_began_at: float = 0.0
    opened_at: float | None = None
    probe_began_at: float | None = None

    def lets_through(self, now: float) -> bool:
        """Tell whether a request may go to the target; the first after the cooldown is the probe."""
        if self.opened_at is None:
            return True
        if now - self.opened_at < self.rule.cooldown_ms / 1000:
            return False
        if self.probe_began_at is not None and now - self.probe_began_at < PROBE_SECONDS:
            return False
        self.probe_began_at = now
        return True

    def record(self, statuses: frozenset[int], now: float) -> None:
        """Note how an attempt ended; one that reached nobody counts as several statuses."""
        has_failed = self._is_failure(statuses)
        if self.opened_at is not None:
            if has_failed:
                self._open(now)
            elif self.probe_began_at is not None:
                self._close(now)
            return
        if now - self.window_began_at > WINDOW_SECONDS:
            self.window_began_at, self.requests = now, 0
            if self.rule.failure_threshold is None:
                self.failures = 0
        self.requests += 1
        if has_failed:
            self.failures += 1
            if self._is_too_much():
                self._open(now)
        elif self.rule.failure_threshold is not None:
            # The threshold is of failures in a row.
            self.failures = 0

    def _is_failure(self, statuses: frozenset[int]) -> bool:
        codes = self.rule.status_codes
        if codes is not None:
            return bool(statuses & codes)
        return any(status >= HTTPStatus.INTERNAL_SERVER_ERROR for status in statuses)

    def _is_too_much(self) -> bool:
        rule = self.rule
        if rule.failure_threshold is not None and self.failures >= rule.failure_threshold:
            return True
        share, least = rule.failure_percentage, rule.minimum_requests
        return share is not None and self.requests >= least and 100 * self.failures >= share * self.requests

    def _open(self, now: float) -> None:
        self.opened_at, self.probe_began_at = now, None
        self.failures = self.requests = 0

    def _close(self, now: float) -> None:
        self.opened_at = self.probe_began_at = None
        self.failures = self.requests = 0
        self.window_began_at = now


@dataclass(slots=True)
class Breakers:
    """The breakers of a process, by what identifies a target: its rule, path and provider."""

    clock: Callable[[], float] = time.monotonic
    _breakers: OrderedDict[tuple[object, ...], Breaker] = field(default_factory=OrderedDict, init=False)

    def lets_through(self, target: RouteTarget) -> bool:
        breaker = self._find(target)
        return breaker is None or breaker.lets_through(self.clock())

    def is_open(self, target: RouteTarget) -> bool:
        """Tell whether a target is left alone now, without beginning a probe."""
        breaker = self._find(target)
        return breaker is not None and breaker.opened_at is not None

    def record(self, target: RouteTarget, statuses: frozenset[int]) -> None:
        if (breaker := self._find(target)) is not None:
            breaker.record(statuses, self.clock())

    def _find(self, target: RouteTarget) -> Breaker | None:
        rule = target.settings.breaker
        if rule is None:
            return None
        key = (rule.failure_threshold, rule.failure_percentage, target.path, target.provider)
        breaker = self._breakers.get(key)
        if breaker is None:
            breaker = self._breakers[key] = Breaker(rule, window_began_at=self.clock())
            if len(self._breakers) > MAX_BREAKERS:
                self._breakers.popitem(last=False)
        else:
            self._breakers.move_to_end(key)
        return breaker
