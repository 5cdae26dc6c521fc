"""Searches that take long: their callers are told so, and neither leaving them nor stopping leaves work behind."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.store import open_store
from tests.factories import MakeExchange
from tests.gateway_process import RunningGateway
from tests.raw_http import Broken, Connection, call, request

ROWS, BODY, CONDITIONS = 40, b"n" * 128 * 1024, 240
"""Enough for half a minute of searching, in a small file."""

SEARCHES = 5
"""More than are done at a time."""

JSON = b"Content-Type: application/json"


def tree_of(first: int, last: int) -> Any:
    if last - first == 1:
        return {"request_response_rmt": {"request_body": {"contains": f"needle {first}"}}}
    middle = (first + last) // 2
    return {"left": tree_of(first, middle), "operator": "or", "right": tree_of(middle, last)}


SEARCH = json.dumps({"filter": tree_of(0, CONDITIONS)}).encode()


@pytest.fixture
def gateway(
    request: pytest.FixtureRequest, tmp_path: Path, make_exchange: MakeExchange
) -> Iterator[RunningGateway]:
    """A gateway with long bodies in its store, and what the test says of its configuration."""
    config = {"providers": {"up": {"base_url": "http://127.0.0.1:1"}}, **request.param}

    async def fill(url: str) -> None:
        store = await open_store(url)
        await store.append([make_exchange(request_body=BODY) for _ in range(ROWS)])
        await store.close()

    running = RunningGateway(tmp_path, config)
    asyncio.run(fill(f"sqlite:///{running.database}"))
    with running:
        yield running


@pytest.mark.parametrize("gateway", [{"storage": {"question_timeout": 0.2}}], indirect=True)
def test_a_search_that_takes_too_long_is_refused_and_says_what_to_narrow(gateway: RunningGateway) -> None:
    reply = httpx.post(f"{gateway.url}/v1/request/query", content=SEARCH)
    assert reply.status_code == 504
    assert reply.headers["x-should-retry"] == "false"
    assert reply.json()["data"] is None
    assert "0.2 seconds" in reply.json()["error"]
    assert "fewer conditions" in reply.json()["error"]


@pytest.mark.parametrize("gateway", [{"server": {"drain_seconds": 0.2}}], indirect=True)
def test_searches_end_with_their_callers_and_with_the_gateway(gateway: RunningGateway) -> None:
    def search() -> list[Connection]:
        callers = [Connection(gateway.port) for _ in range(SEARCHES)]
        for caller in callers:
            caller.send(request(b"POST", b"/v1/request/query", JSON, body=SEARCH))
        return callers

    def status_of(path: bytes) -> int:
        return call(gateway.port, request(b"GET", path)).status

    for caller in search():
        assert status_of(b"/api/v1/requests?limit=1") == 200
        caller.close()
    assert status_of(b"/api/v1/aggregates") == 200

    left = search()
    assert status_of(b"/api/v1/requests?limit=1") == 200
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0
    for caller in left:
        with pytest.raises((Broken, ConnectionError)):
            caller.response()
        caller.close()
