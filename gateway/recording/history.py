"""History: brings requests that another gateway has logged into the store, each once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.domain.clock import now_us
from gateway.domain.exchange import Exchange, PayloadPolicy
from gateway.domain.past import PastRequest
from gateway.domain.request import Facts
from gateway.recording.pricing import Pricing
from gateway.recording.redaction import redact
from gateway.recording.stated import completed
from gateway.store.base import RequestHistory
from gateway.wire import read_facts


class History:
    """Keeps of past requests what would have been kept of them had they come this way.

    Args:
        store: where they go.
        pricing: what a request cost of which that is not stated.
        policy_of: how much of payloads is kept, by the provider's name.
        limit_bytes: how much of each body is kept.
    """

    def __init__(
        self,
        store: RequestHistory,
        pricing: Pricing,
        policy_of: Callable[[str], PayloadPolicy],
        limit_bytes: int,
    ) -> None:
        self._store = store
        self._pricing = pricing
        self._policy_of = policy_of
        self._limit_bytes = limit_bytes

    async def missing(self, past: Sequence[PastRequest]) -> list[PastRequest]:
        """Return those that are not in the store yet; of several alike the first."""
        return [past[position] for position in await self._store.missing([one.exchange for one in past])]

    async def bring_in(self, past: Sequence[PastRequest]) -> int:
        """Store those that are missing, and return how many there were. Feedback is not stored here.

        Raises:
            StoreUnavailable: nothing was stored; the same call may work later.
        """
        missing = await self.missing(past)
        rows = await asyncio.to_thread(lambda: [self._understood(one) for one in missing])
        return await self._store.append_missing(rows, now_us())

    def _understood(self, one: PastRequest) -> tuple[Exchange, Facts]:
        facts = completed(one.facts, read_facts(one.exchange))
        if facts.cost is None:
            facts = self._pricing.priced(one.exchange, facts)
        return self._kept(one.exchange), facts

    def _kept(self, exchange: Exchange) -> Exchange:
        if exchange.payloads is PayloadPolicy.OFF:
            return exchange
        policy = self._policy_of(exchange.provider)
        whole = redact(exchange) if policy is PayloadPolicy.REDACTED else exchange
        return replace(
            whole,
            payloads=policy,
            request_body=whole.request_body[: self._limit_bytes],
            response_body=whole.response_body[: self._limit_bytes],
        )
