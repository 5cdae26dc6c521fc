"""Retry: whether a target is tried again, and after which pause."""

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from gateway.models.exchange import RawHeaders
from gateway.models.route import RetryRule

# Pauses of Portkey: 1, 2, 4, 8, 16 seconds; here each is shortened by up to half, so that callers that failed
# together do not return together.
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 16.0

# A provider that asks for more is not waited for.
MAX_WAIT_SECONDS = 60.0

# Of Portkey's reply: attempts that were used up, or were not worth their pause.
EXHAUSTED = -1

_MILLISECOND_FIELDS = ("retry-after-ms", "x-ms-retry-after-ms")
_FIELDS = frozenset(name.encode() for name in (*_MILLISECOND_FIELDS, "retry-after"))
_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_TOO_MANY_REQUESTS = 429


def retry_headers(headers: RawHeaders) -> dict[str, str]:
    """Return the header fields that say how long to wait, by lower-case name."""
    return {
        name.decode(): text.decode("latin-1") for raw, text in headers if (name := raw.lower()) in _FIELDS
    }


def retry_after_seconds(headers: Mapping[str, str], now: datetime | None = None) -> float | None:
    """Return how long a provider asks to wait; None where it does not say or is not understood.

    Args:
        headers: by lower-case name; milliseconds go before Retry-After, which has seconds or a date
            (RFC 9110, section 10.2.3).
    """
    for name in _MILLISECOND_FIELDS:
        if _NUMBER.fullmatch(text := headers.get(name, "").strip()):
            return float(text) / 1000
    text = headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - (now or datetime.now(UTC))).total_seconds())


@dataclass(slots=True)
class RetryState:
    """The tries of one target.

    Args:
        retries: made until now.
        count: as `x-portkey-retry-attempt-count` reports it.
    """

    rule: RetryRule
    choose: Callable[[], float] = random.random
    retries: int = 0
    is_exhausted: bool = False
    _waited_seconds: float = field(default=0.0, init=False)
    _has_honoured: bool = field(default=False, init=False)

    @property
    def count(self) -> int:
        return EXHAUSTED if self.is_exhausted else self.retries

    def next_pause(self, statuses: frozenset[int], headers: Mapping[str, str]) -> float | None:
        """Return the seconds to wait before the next try; None if there is none.

        Args:
            statuses: that the attempt failed with; one that reached nobody has several.
            headers: of the response, by lower-case name.
        """
        if not statuses & self.rule.status_codes or not self.rule.attempts:
            return None
        if self.retries >= self.rule.attempts:
            self.is_exhausted = True
            return None
        pause = self._pause(statuses, headers)
        if pause is None:
            self.is_exhausted = True
            return None
        self.retries += 1
        return pause

    def _pause(self, statuses: frozenset[int], headers: Mapping[str, str]) -> float | None:
        if self.rule.honours_retry_after and _TOO_MANY_REQUESTS in statuses:
            asked = retry_after_seconds(headers)
            if asked is not None:
                self._waited_seconds += asked
                if asked >= MAX_WAIT_SECONDS or self._waited_seconds > MAX_WAIT_SECONDS:
                    return None
                self._has_honoured = True
                return asked
        if self._has_honoured:
            # The provider has named its time, so no other pauses are added to it.
            return 0.0
        longest: float = min(FIRST_PAUSE_SECONDS * 2**self.retries, LONGEST_PAUSE_SECONDS)
        return longest * (1 - self.choose() / 2)
