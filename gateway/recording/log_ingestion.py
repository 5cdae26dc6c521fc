"""Log ingestion: requests made elsewhere, sent by callers or imported from other logs."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import TypeVar

from gateway.errors import Conflict
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange, PayloadPolicy
from gateway.models.feedback import Receipt
from gateway.models.principal import Principal
from gateway.models.request import Facts, ImportedRequest, Usage
from gateway.recording.interpreter import CostCalculator
from gateway.recording.redaction import redact
from gateway.store.base import RequestLog
from gateway.wire import read_facts

T = TypeVar("T", Facts, Usage)


def merge_facts(stated: Facts, read: Facts) -> Facts:
    # What is stated goes before what was read.
    return replace(
        _prefer_stated(stated, read),
        usage=_fix_prompt_total(_prefer_stated(_align_counts(stated.usage, read.usage), read.usage)),
    )


def _prefer_stated(stated: T, read: T) -> T:
    names = [field.name for field in fields(stated)]
    return replace(read, **{name: value for name in names if (value := getattr(stated, name)) is not None})


def _align_counts(stated: Usage, read: Usage) -> Usage:
    # Some logs count a prompt without cached tokens, and an answer without its reasoning: where the bodies show
    # that, they win.
    return replace(
        stated,
        prompt_tokens=_add_part(stated.prompt_tokens, _cache_tokens(read), read.prompt_tokens),
        completion_tokens=_add_part(
            stated.completion_tokens, read.reasoning_tokens or 0, read.completion_tokens
        ),
    )


def _add_part(stated: int | None, part: int, whole: int | None) -> int | None:
    return whole if stated is not None and stated + part == whole else stated


def _fix_prompt_total(usage: Usage) -> Usage:
    # A part larger than the whole was not counted in it.
    prompt, cached = usage.prompt_tokens, _cache_tokens(usage)
    return usage if prompt is None or cached <= prompt else replace(usage, prompt_tokens=prompt + cached)


def _cache_tokens(usage: Usage) -> int:
    return (usage.cached_tokens or 0) + (usage.cache_write_tokens or 0)


class LogImport:
    """Stores requests of other logs as if they had been proxied."""

    def __init__(
        self,
        store: RequestLog,
        pricing: CostCalculator,
        policy_of: Callable[[str], PayloadPolicy],
        limit_bytes: int,
    ) -> None:
        self._store = store
        self._pricing = pricing
        self._policy_of = policy_of
        self._limit_bytes = limit_bytes

    async def missing(self, requests: Sequence[ImportedRequest]) -> list[ImportedRequest]:
        """Return requests that are not stored yet."""
        return [requests[place] for place in await self._store.missing([one.exchange for one in requests])]

    async def import_requests(self, requests: Sequence[ImportedRequest]) -> int:
        """Store missing requests without feedback; return their number."""
        missing = await self.missing(requests)
        rows = await asyncio.to_thread(lambda: [self._interpret(one) for one in missing])
        return await self._store.append_missing(rows, now_us())

    def _interpret(self, one: ImportedRequest) -> tuple[Exchange, Facts]:
        facts = merge_facts(one.facts, read_facts(one.exchange))
        if facts.cost is None:
            facts = self._pricing.with_cost(one.exchange, facts)
        return self._apply_policy(one.exchange), facts

    def _apply_policy(self, exchange: Exchange) -> Exchange:
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


# How much may be kept of a caller's request to the provider of this name.
LogPolicy = Callable[[Principal, str], PayloadPolicy]


class LogIngestionService:
    """Takes what callers logged themselves; `observe` is called for each once it is stored."""

    def __init__(
        self,
        store: RequestLog,
        pricing: CostCalculator,
        policy_of: LogPolicy,
        limit_bytes: int,
        observe: Callable[[Exchange, Facts], None] = lambda exchange, facts: None,
    ) -> None:
        self.policy_of = policy_of
        self._store = store
        self._pricing = pricing
        self._limit_bytes = limit_bytes
        self._observe = observe

    async def insert(
        self, exchanges: Sequence[Exchange], principal: Principal, receipt: Receipt | None = None
    ) -> list[str]:
        """Store a caller's exchanges on disk, all or none, and return their ids; a retry returns those of the
        first call. Raises Conflict for a used idempotency key."""
        if earlier := await self._earlier(receipt):
            return list(earlier.feedback_ids)
        # Facts are read of the whole bodies.
        rows = await asyncio.to_thread(
            lambda: [
                (self._apply_policy(each, principal), self._pricing.read_facts(each)) for each in exchanges
            ]
        )
        try:
            counted = await self._store.insert(rows, now_us(), receipt)
        except Conflict:
            # A concurrent retry stored it first.
            return await self.insert(exchanges, principal, receipt)
        for exchange, (_, facts) in zip(exchanges, counted, strict=True):
            ended = exchange if facts.outcome is None else replace(exchange, outcome=facts.outcome)
            self._observe(ended, facts)
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

    def _apply_policy(self, exchange: Exchange, principal: Principal) -> Exchange:
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
