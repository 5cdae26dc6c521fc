"""What a token costs, by the part it plays."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from gateway.domain.request import Usage

NANOUSD_PER_TOKEN = 1000
"""Nano-dollars a token, for a price of one dollar a million tokens."""


@dataclass(frozen=True, slots=True)
class TokenRates:
    """Nano-dollars a token. Exact: a token may cost a fraction of one.

    Args:
        fresh: a prompt token that is neither of the next two.
        cached: a prompt token read from the provider's cache.
        cache_write: a prompt token written to it.
        completion: a completion token that is not reasoning.
        reasoning: a completion token that is.
        request: nano-dollars for the request itself.
    """

    fresh: Decimal
    cached: Decimal
    cache_write: Decimal
    completion: Decimal
    reasoning: Decimal
    request: Decimal = Decimal(0)

    def price(self, usage: Usage) -> Decimal | None:
        """Return nano-dollars for `usage`; None if its parts are more than their whole."""
        cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
        reasoning = usage.reasoning_tokens or 0
        fresh = (usage.prompt_tokens or 0) - cached - written
        completion = (usage.completion_tokens or 0) - reasoning
        if fresh < 0 or completion < 0:
            return None
        nanousd = self.request + self.fresh * fresh + self.completion * completion
        # Most answers have none of these, and arithmetic of decimals is dear.
        if cached or written:
            nanousd += self.cached * cached + self.cache_write * written
        return nanousd + self.reasoning * reasoning if reasoning else nanousd
