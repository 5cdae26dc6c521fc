"""Read facts and costs of exchanges: before what may not be kept is dropped, or from what is kept."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import structlog

from gateway.models.exchange import Exchange, PayloadPolicy, metadata_model
from gateway.models.request import Billing, Cost, Facts, Usage
from gateway.recording.redaction import redact
from gateway.wire import read_facts
from gateway.wire.pricing import PricedProvider, PriceTable

log = structlog.get_logger("gateway.recording")

# In place of a price table's version.
_CACHE_PRICES = "cache"


@dataclass(frozen=True, slots=True)
class CostCalculator:
    # The price library may know a provider by its base URL.

    prices: PriceTable
    base_url_of: Callable[[str], str | None]

    def cost(
        self, exchange: Exchange, models: tuple[str | None, ...], usage: Usage, billing: Billing
    ) -> Cost | None:
        """Return the cost, None without a price; the best name of the model is first."""
        stated = metadata_model(exchange.identity.metadata)
        names = tuple([name for name in (stated, *models) if name])
        if not names and billing.stated_nanousd is None:
            return None
        seller = PricedProvider(exchange.provider, self.base_url_of(exchange.provider))
        return self.prices.cost(seller, names, usage, billing, exchange.started_at_us)

    def with_cost(self, exchange: Exchange, facts: Facts) -> Facts:
        cost = self.cost(exchange, (facts.model, facts.requested_model), facts.usage, facts.billing)
        return _of_cached_answer(exchange, facts if cost is None else replace(facts, cost=cost))

    def read_facts(self, exchange: Exchange) -> Facts:
        return _of_cached_answer(
            exchange, read_facts_safely(exchange, lambda each: read_facts(each, self.cost))
        )


def _of_cached_answer(exchange: Exchange, facts: Facts) -> Facts:
    """Return the facts of a request, without cost and ids where its answer was one given before."""
    if not exchange.is_from_cache:
        return facts
    # The ids in an answer name the request that the provider answered.
    return replace(facts, cost=Cost(0, _CACHE_PRICES), response_id=None, other_response_ids=())


@dataclass(frozen=True, slots=True)
class PreparedExchange:
    """An exchange as it may be kept, and what was read of it before."""

    exchange: Exchange
    facts: Facts | None = None


def prepare(exchange: Exchange) -> PreparedExchange:
    """Return what may be kept, with the facts where what is kept no longer shows them."""
    if is_kept_whole(exchange):
        return PreparedExchange(exchange)
    return PreparedExchange(_redacted(exchange), read_facts_safely(exchange))


def is_kept_whole(exchange: Exchange) -> bool:
    opt_out = exchange.opt_out
    return exchange.payloads is PayloadPolicy.FULL and not opt_out.request and not opt_out.response


def _redacted(exchange: Exchange) -> Exchange:
    if exchange.payloads is not PayloadPolicy.REDACTED:
        return exchange
    try:
        return redact(exchange)
    except Exception:
        log.exception(
            "a payload could not be redacted and is dropped", request_id=exchange.identity.request_id
        )
        return replace(exchange, payloads=PayloadPolicy.OFF)


def read_facts_safely(exchange: Exchange, read: Callable[[Exchange], Facts] = read_facts) -> Facts:
    """Return the facts of an exchange, or a note that they cannot be read."""
    try:
        return read(exchange)
    except Exception as error:
        # One unreadable row must not stop the others.
        log.exception("exchange could not be interpreted", request_id=exchange.identity.request_id)
        return Facts(note=f"interpretation failed: {type(error).__name__}")
