"""LogBook: takes requests that went elsewhere, as callers tell of them, and keeps them like those that passed
here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from gateway.domain.exchange import Exchange, PayloadPolicy
from gateway.domain.feedback import Receipt
from gateway.domain.principal import Principal
from gateway.errors import Conflict
from gateway.recording.interpreter import Interpreter
from gateway.recording.redaction import redact
from gateway.store.base import LogInserts

PolicyOf = Callable[[Principal, str], PayloadPolicy]
"""Tells how much may be kept of a caller's request to the provider of this name."""


class LogBook:
    """Enters exchanges in the log; they are interpreted like all others.

    Args:
        store: where they are kept.
        interpreter: is handed what was stored.
        policy_of: may be replaced at any time.
        limit_bytes: how much of each body is kept.
    """

    def __init__(
        self, store: LogInserts, interpreter: Interpreter, policy_of: PolicyOf, limit_bytes: int
    ) -> None:
        self.policy_of = policy_of
        self._store = store
        self._interpreter = interpreter
        self._limit_bytes = limit_bytes

    async def insert(
        self, exchanges: Sequence[Exchange], principal: Principal, receipt: Receipt | None = None
    ) -> list[str]:
        """Store exchanges as this caller's, all or none, and return their request ids in the same order.
        They are on the disk then.

        Args:
            receipt: proof of this call under its idempotency key. If there is an earlier one under that key,
                this call is a retry: it stores nothing, and gets the ids of the first.

        Raises:
            Conflict: the idempotency key was used before for a call with other content.
            StoreUnavailable: nothing was stored; the same call may work later.
        """
        if earlier := await self._earlier(receipt):
            return list(earlier.feedback_ids)
        kept = await asyncio.to_thread(lambda: [self._kept(exchange, principal) for exchange in exchanges])
        try:
            seqs = await self._store.insert(kept, receipt)
        except Conflict:
            # The same call was carried out meanwhile.
            return await self.insert(exchanges, principal, receipt)
        self._interpreter.submit(list(zip(seqs, exchanges, strict=True)))
        return [exchange.identity.request_id for exchange in exchanges]

    async def _earlier(self, receipt: Receipt | None) -> Receipt | None:
        earlier = await self._store.receipt(receipt.scope, receipt.key) if receipt else None
        if receipt and earlier and earlier.digest != receipt.digest:
            raise Conflict(
                "was used before for a call with other content.",
                field="Idempotency-Key",
                hint="Send a new key for a new call.",
            )
        return earlier

    def _kept(self, exchange: Exchange, principal: Principal) -> Exchange:
        """What may be kept of an exchange, and whose it is."""
        policy = self.policy_of(principal, exchange.provider)
        entry = replace(
            exchange,
            tenant=principal.tenant,
            key_name=principal.name,
            payloads=policy,
            request_body=exchange.request_body[: self._limit_bytes],
            response_body=exchange.response_body[: self._limit_bytes],
        )
        return redact(entry) if policy is PayloadPolicy.REDACTED else entry
