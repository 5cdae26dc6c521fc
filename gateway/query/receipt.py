"""ReceiptReader: the tokens and the cost of a request, item by item, so that they add up to what it cost."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from enum import StrEnum

from gateway.models.exchange import metadata_model
from gateway.models.request import RequestRecord, Usage
from gateway.wire.pricing import (
    NANOUSD_PER_TOKEN_AT_1_USD,
    PROVIDER_VERSION,
    PricedProvider,
    PriceTable,
    TokenRates,
)


class ReceiptItem(StrEnum):
    """What is paid for."""

    INPUT = "input"
    CACHED_INPUT = "cached_input"
    CACHE_WRITE = "cache_write"
    OUTPUT = "output"
    REASONING = "reasoning"
    REQUEST = "request"
    # What is billed otherwise than by the token, and what a service tier changes; may be negative.
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ReceiptLine:
    """An item, its number of tokens, its price and cost; None where these are not known.

    Args:
        usd_per_million: US dollars a million tokens, exact.
    """

    item: ReceiptItem
    count: int | None = None
    usd_per_million: Decimal | None = None
    nanousd: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Lines whose costs add up to `total_nanousd` where all of them are known; else `note` says why not."""

    lines: tuple[ReceiptLine, ...]
    total_nanousd: int | None
    price_version: str | None
    note: str | None = None


class ReceiptReader:
    """Makes receipts.

    Args:
        base_url_of: returns a provider's base URL, by which the price library may know it.
    """

    def __init__(self, prices: PriceTable, base_url_of: Callable[[str], str | None]) -> None:
        self._prices = prices
        self._base_url_of = base_url_of

    def read(self, record: RequestRecord) -> Receipt:
        """Return the receipt of a row; its cost is the one that was stored, whatever prices are now."""
        usage = usage_of(record)
        plain = Receipt(tuple(_token_lines(usage)), record.cost_nanousd, record.price_version)
        if record.cost_nanousd is None:
            what = "nothing was counted" if usage == Usage() else "no price of the model is known"
            return replace(plain, note=f"{what}.")
        if record.price_version == PROVIDER_VERSION:
            return replace(plain, note="the cost is the one that the provider states.")
        priced = self._find_rates(record)
        if priced is None:
            return replace(
                plain, note="the price is no price by the token, or depends on the number of tokens."
            )
        rates, version = priced
        if version != record.price_version:
            return replace(plain, note=f"the prices of {record.price_version!r} are no longer in use.")
        return itemise(usage, rates, record.cost_nanousd, version)

    def _find_rates(self, record: RequestRecord) -> tuple[TokenRates, str] | None:
        named = (metadata_model(record.metadata), record.model, record.requested_model)
        seller = PricedProvider(record.provider, self._base_url_of(record.provider))
        models = tuple(name for name in named if name)
        return self._prices.token_rates(seller, models, record.started_at_us) if models else None


def usage_of(record: RequestRecord) -> Usage:
    return Usage(
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
        cached_tokens=record.cached_tokens,
        cache_write_tokens=record.cache_write_tokens,
        reasoning_tokens=record.reasoning_tokens,
    )


def itemise(usage: Usage, rates: TokenRates, total_nanousd: int, version: str) -> Receipt:
    """Return the receipt of tokens at these prices; what they do not explain of the total is a line of its own."""
    prices: Mapping[ReceiptItem, Decimal] = {
        ReceiptItem.INPUT: rates.fresh,
        ReceiptItem.CACHED_INPUT: rates.cached,
        ReceiptItem.CACHE_WRITE: rates.cache_write,
        ReceiptItem.OUTPUT: rates.completion,
        ReceiptItem.REASONING: rates.reasoning,
    }
    tokens = _token_lines(usage)
    exact = [prices[line.item] * (line.count or 0) for line in tokens]
    lines = [replace(line, usd_per_million=prices[line.item] / NANOUSD_PER_TOKEN_AT_1_USD) for line in tokens]
    if rates.request:
        lines.append(ReceiptLine(ReceiptItem.REQUEST, 1))
        exact.append(rates.request)
    explained = int(sum(exact, Decimal(0)).to_integral_value(ROUND_HALF_EVEN))
    costs = _round_to_sum(exact, explained)
    lines = [replace(line, nanousd=cost) for line, cost in zip(lines, costs, strict=True)]
    if explained == total_nanousd:
        return Receipt(tuple(lines), total_nanousd, version)
    lines.append(ReceiptLine(ReceiptItem.OTHER, nanousd=total_nanousd - explained))
    note = "`other` is what is not billed by the token, such as searches or audio, or what a service tier changes."
    return Receipt(tuple(lines), total_nanousd, version, note)


def _token_lines(usage: Usage) -> list[ReceiptLine]:
    cached, written = usage.cached_tokens or 0, usage.cache_write_tokens or 0
    reasoning = usage.reasoning_tokens or 0
    counts = {
        ReceiptItem.INPUT: (usage.prompt_tokens or 0) - cached - written,
        ReceiptItem.CACHED_INPUT: cached,
        ReceiptItem.CACHE_WRITE: written,
        ReceiptItem.OUTPUT: (usage.completion_tokens or 0) - reasoning,
        ReceiptItem.REASONING: reasoning,
    }
    return [ReceiptLine(item, count) for item, count in counts.items() if count]


def _round_to_sum(exact: Sequence[Decimal], total: int) -> list[int]:
    """Round amounts from 0 on so that they add up to a total; the largest remainders are rounded up."""
    rounded = [int(amount.to_integral_value(ROUND_DOWN)) for amount in exact]
    by_remainder = sorted(range(len(exact)), key=lambda index: rounded[index] - exact[index])
    for index in by_remainder[: total - sum(rounded)]:
        rounded[index] += 1
    return rounded
