from __future__ import annotations

from decimal import Decimal

from gateway.models.request import Usage
from gateway.wire.pricing import TokenRates

RATES = TokenRates(Decimal(1), Decimal(10), Decimal(100), Decimal(1000), Decimal(10_000), Decimal(100_000))


def test_each_token_is_paid_once_by_the_part_it_plays() -> None:
    usage = Usage(
        prompt_tokens=9, completion_tokens=7, cached_tokens=3, cache_write_tokens=2, reasoning_tokens=4
    )
    assert RATES.price(usage) == 100_000 + 4 * 1 + 3 * 10 + 2 * 100 + 3 * 1000 + 4 * 10_000


def test_parts_that_are_more_than_their_whole_have_no_price() -> None:
    assert RATES.price(Usage(prompt_tokens=3, cached_tokens=2, cache_write_tokens=2)) is None
    assert RATES.price(Usage(completion_tokens=3, reasoning_tokens=4)) is None
