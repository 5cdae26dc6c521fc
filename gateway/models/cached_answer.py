"""Answers that are kept to be given again to equal requests."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.models.exchange import RawHeaders, value_class


class CacheStatus(StrEnum):
    """What a cache did for a request, as rows have it; `x-portkey-cache-status` has it in capitals."""

    HIT = "hit"
    MISS = "miss"
    # Asked for anew by the caller.
    REFRESH = "refresh"
    # No cache, or nothing that may be cached.
    DISABLED = "disabled"


class CacheScope(StrEnum):
    """Whose requests share answers."""

    KEY = "key"
    TENANT = "tenant"


@value_class()
class CachedAnswer:
    """An answer with status 200, or a key under which nothing is kept for a while.

    Args:
        key: SHA-256, as hex, of all that the answer depends on.
        request_id: of the request that the provider gave it to, as is the trace.
        rests_until_us: until when nothing is kept under the key, as feedback was bad; None: the answer is good.
    """

    key: str
    tenant: str | None
    trace_id: str
    request_id: str
    headers: RawHeaders
    body: bytes
    created_at_us: int
    expires_at_us: int
    rests_until_us: int | None = None

    @property
    def size_bytes(self) -> int:
        return len(self.body) + sum(len(name) + len(text) for name, text in self.headers)

    def is_valid(self, at_us: int, max_age_seconds: int) -> bool:
        """Tell whether it may be given to a request that takes answers of this age."""
        ends_at_us = min(self.expires_at_us, self.created_at_us + max_age_seconds * 1_000_000)
        return self.rests_until_us is None and at_us < ends_at_us


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """What a reload of the configuration replaces.

    Args:
        max_bytes: of all answers in the store; the oldest go first.
        min_score: an answer with feedback below it is dropped.
    """

    max_bytes: int = 256 * 1024 * 1024
    min_score: float = 0.0
    scope: CacheScope = CacheScope.KEY
