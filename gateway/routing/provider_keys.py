"""ProviderKeys: which of a provider's keys the next request uses."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus

from gateway.routing.providers import Provider

# A key that was refused is tried again after this time, since it may have been paid for or allowed meanwhile.
REFUSED_SECONDS = 300.0
# One that is limited rests for as long as the provider asks, and at least this time.
LIMITED_SECONDS = 1.0
_LONGEST_REST_SECONDS = 3600.0

_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN})


@dataclass(slots=True)
class ProviderKeys:
    """Keys that rest, for a process: the next request uses the first that does not.

    Each provider's keys are used in the order of the configuration, so that the first is used up before the second
    is touched.
    """

    clock: Callable[[], float] = time.monotonic
    # When a key may be used again, by provider and key.
    _rests_until: dict[tuple[str, bytes], float] = field(default_factory=dict, init=False)

    def choose(self, provider: Provider) -> Provider:
        """Return the provider with the key to use; where all rest, with the one that rests the shortest."""
        now = self.clock()
        rests = [(max(0.0, self._rest_of(each) - now), each) for each in provider.with_each_key]
        return min(rests, key=lambda rest: rest[0])[1]

    def record(self, provider: Provider, status: int, retry_after_seconds: float | None) -> None:
        """Let the key of a provider rest if its answer says so."""
        if status in _REFUSED:
            rest = REFUSED_SECONDS
        elif status == HTTPStatus.TOO_MANY_REQUESTS:
            asked = max(retry_after_seconds or 0.0, LIMITED_SECONDS)
            rest = min(asked, _LONGEST_REST_SECONDS)
        else:
            return
        self._rests_until[_key_of(provider)] = self.clock() + rest

    def resting(self, provider: Provider) -> int:
        """Return how many keys of a provider rest."""
        now = self.clock()
        return sum(self._rest_of(each) > now for each in provider.with_each_key)

    def _rest_of(self, provider: Provider) -> float:
        return self._rests_until.get(_key_of(provider), 0.0)


def _key_of(provider: Provider) -> tuple[str, bytes]:
    assert provider.key_header is not None, "a provider with several keys has one"
    return provider.name, provider.key_header[1]
