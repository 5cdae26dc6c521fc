"""Eight people review one log at once, through two gateways on one database in PostgreSQL."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from gateway.client import GatewayClient
from gateway.store import open_store
from tests.conftest import StartGateway
from tests.store.samples import exchange

REVIEWERS = 8
REQUESTS = 50


async def fill(url: str) -> None:
    store = await open_store(url)
    await store.append([exchange(f"request-{n}", f"trace-{n}") for n in range(REQUESTS)])
    await store.close()


def test_each_request_is_reviewed_once(start_gateway: StartGateway, postgres_url: str) -> None:
    keys = [
        {"name": f"reviewer-{n}", "key": f"key-of-reviewer-{n}", "role": "review"} for n in range(REVIEWERS)
    ]
    config = {"keys": keys, "storage": {"url": postgres_url}}
    asyncio.run(fill(postgres_url))
    gateways = [start_gateway(config, arguments=("--demo",)) for _ in range(2)]

    def work(number: int) -> list[str]:
        mine: list[str] = []
        with GatewayClient(gateways[number % 2].url, keys[number]["key"], timeout=60) as client:
            while (taken := client.reviews.reserve_next()) is not None:
                client.reviews.change(taken.request.request_id, "reviewed", note=f"number {len(mine)}")
                client.feedback.give(taken.request.request_id, label="seen")
                mine.append(taken.request.trace_id)
        return mine

    with ThreadPoolExecutor(REVIEWERS) as pool:
        shares = list(pool.map(work, range(REVIEWERS)))
    assert sorted(each for share in shares for each in share) == sorted(f"trace-{n}" for n in range(REQUESTS))
    with GatewayClient(gateways[0].url, keys[0]["key"]) as client:
        found = list(client.reviews.find(page_size=20))
        assert {(each.trace_id, each.reviewer) for each in found} == {
            (trace, keys[number]["name"]) for number, share in enumerate(shares) for trace in share
        }
        assert len(found) == REQUESTS
        assert not list(client.requests.find(reviewed=False))
        reviewed = {each.trace_id for each in client.requests.find(reviewed_by="reviewer-3")}
        assert reviewed == set(shares[3])
