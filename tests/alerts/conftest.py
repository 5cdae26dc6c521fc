"""A store with two hours of requests, of which half of one model's fail in the second hour."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from gateway.models.exchange import Outcome
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import exchange

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
START_US = 480_000 * HOUR_US
EACH_MINUTE = 4


@pytest.fixture(params=["sqlite", "postgres"])
def store_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    opened = await open_store(store_url)
    yield opened
    await opened.close()


@pytest.fixture
async def filled(store: Store) -> Store:
    await store.append(
        [
            exchange(
                f"{prompt}-{minute}-{number}",
                f"t-{prompt}-{minute}-{number}",
                metadata={"_prompt": prompt},
                started_at_us=(at := START_US + minute * MINUTE_US + number),
                ended_at_us=at + 1_000,
                status=500 if is_failing and number % 2 else 200,
                outcome=Outcome.COMPLETE,
                tenant="north" if prompt == "bad" else "south",
            )
            for prompt in ("good", "bad")
            for minute in range(120)
            for number in range(EACH_MINUTE)
            for is_failing in [prompt == "bad" and minute >= 60]
        ]
    )
    return store
