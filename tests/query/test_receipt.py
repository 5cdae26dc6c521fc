"""Receipts add up to what a request cost, to the nano-dollar."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from gateway.models.exchange import Exchange
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.request import NO_BILLING, Billing, Cost, Facts, Usage
from gateway.query.receipt import Receipt, ReceiptItem, ReceiptReader
from gateway.store.base import Store
from gateway.wire.pricing import ConfiguredPrice, PricedProvider, PriceTable

from .conftest import MakeExchange

PRICES = PriceTable({"odd": ConfiguredPrice(0.1234567, 0.7654321, cached=0.0333333, cache_write=0.17)})
AT_US = 1_760_000_000_000_000


async def receipt_of(store: Store, exchange: Exchange, facts: Facts, prices: PriceTable = PRICES) -> Receipt:
    [seq] = await store.append([exchange])
    await store.annotate([(seq, facts)], AT_US)
    [record] = await store.find_requests(NO_FILTER, Sort("seq"), Page(1), None)
    return ReceiptReader(prices, lambda _: None).read(record)


def priced(model: str, usage: Usage, billing: Billing = NO_BILLING) -> Facts:
    seller = PricedProvider("openai")
    return Facts(model=model, usage=usage, cost=PRICES.cost(seller, (model,), usage, billing, AT_US))


async def test_lines_add_up_to_the_cost_of_the_row(store: Store, make_exchange: MakeExchange) -> None:
    chance = random.Random(7)
    for _ in range(60):
        cached, written, reasoning = (chance.choice((0, chance.randrange(5_000))) for _ in range(3))
        usage = Usage(
            prompt_tokens=cached + written + chance.randrange(10_000),
            completion_tokens=reasoning + chance.randrange(10_000),
            cached_tokens=cached or None,
            cache_write_tokens=written or None,
            reasoning_tokens=reasoning or None,
        )
        model = chance.choice(("odd", "gpt-4o-mini", "o3-mini"))
        facts = priced(model, usage)
        receipt = await receipt_of(store, make_exchange(started_at_us=AT_US), facts)
        assert facts.cost is not None
        assert receipt.total_nanousd == facts.cost.nanousd
        assert sum(line.nanousd or 0 for line in receipt.lines) == receipt.total_nanousd
        assert receipt.note is None
        total = sum(line.count or 0 for line in receipt.lines)
        assert total == (usage.prompt_tokens or 0) + (usage.completion_tokens or 0)
        for line in receipt.lines:
            assert line.usd_per_million is not None
            assert line.count is not None
            assert abs(line.usd_per_million * line.count * 1000 - (line.nanousd or 0)) < 1


async def test_what_is_not_billed_by_the_token_is_a_line_of_its_own(
    store: Store, make_exchange: MakeExchange
) -> None:
    usage = Usage(prompt_tokens=1000, completion_tokens=100)
    facts = Facts(model="odd", usage=usage, cost=Cost(10_000_000, "config"))
    receipt = await receipt_of(store, make_exchange(started_at_us=AT_US), facts)
    items = [line.item for line in receipt.lines]
    assert items == [ReceiptItem.INPUT, ReceiptItem.OUTPUT, ReceiptItem.OTHER]
    assert sum(line.nanousd or 0 for line in receipt.lines) == 10_000_000
    assert receipt.lines[0].usd_per_million == Decimal("0.1234567")
    assert receipt.note is not None
    assert "not billed by the token" in receipt.note


@pytest.mark.parametrize(
    ("model", "cost", "note"),
    [
        ("unheard-of", None, "no price of the model is known"),
        ("odd", Cost(5, "provider"), "the provider states"),
        ("odd", Cost(5, "genai-prices 0.0.1"), "no longer in use"),
        ("unheard-of", Cost(5, "config"), "no price by the token"),
    ],
)
async def test_a_receipt_says_what_it_does_not_know(
    store: Store, make_exchange: MakeExchange, model: str, cost: Cost | None, note: str
) -> None:
    facts = Facts(model=model, usage=Usage(prompt_tokens=10, completion_tokens=2), cost=cost)
    receipt = await receipt_of(store, make_exchange(started_at_us=AT_US), facts)
    assert receipt.note is not None
    assert note in receipt.note
    assert [(line.item, line.count, line.nanousd) for line in receipt.lines] == [
        (ReceiptItem.INPUT, 10, None),
        (ReceiptItem.OUTPUT, 2, None),
    ]
    assert receipt.total_nanousd == (cost.nanousd if cost else None)


async def test_nothing_counted_costs_nothing_known(store: Store, make_exchange: MakeExchange) -> None:
    receipt = await receipt_of(store, make_exchange(), Facts(model="odd"))
    assert (receipt.lines, receipt.note) == ((), "nothing was counted.")
