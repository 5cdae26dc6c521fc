"""`client.search` and `client.tail`, blocking and asynchronous, against a gateway with the demo behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from gateway.client import (
    AsyncGatewayClient,
    ConnectionFailed,
    GatewayClient,
    InvalidRequest,
    UnexpectedReply,
    calls,
)
from tests.client.chat_calls import ask
from tests.gateway_process import RunningGateway


def test_requests_are_searched_by_id_and_words(gateway: RunningGateway, client: GatewayClient) -> None:
    for number in range(2):
        ask(gateway.url, f"found-{number}", f"Where does the Flußpferd live? {number}")
    page = client.search("FLUSSPFERD", limit=1, metadata={"plan": "gold"})
    [hit] = page.data
    assert (hit.request.trace_id, page.is_complete, page.searched) == ("found-1", False, 1)
    assert (hit.matches[0].place, hit.matches[0].match) == ("question", "Flußpferd")
    following = client.search("flusspferd", cursor=page.next_cursor, time_limit_ms=5000)
    assert [each.request.trace_id for each in following.data] == ["found-0"]
    [named] = client.search("found-0").ids
    assert (named.kind, named.path) == ("trace", "/api/v1/traces/found-0")
    with pytest.raises(InvalidRequest, match="q: holds no word"):
        client.search(" ")


def test_new_requests_are_followed(gateway: RunningGateway, client: GatewayClient) -> None:
    def followed() -> Iterator[str]:
        for request in client.tail(user="ann"):
            assert request.model is not None
            yield request.trace_id

    with ThreadPoolExecutor(1) as pool:
        rows = followed()
        first = pool.submit(next, rows)
        number = 0
        while not first.done():
            # Those before the tail had begun do not count.
            ask(gateway.url, f"tailed-{number}")
            number += 1
        assert first.result().startswith("tailed-")
        ask(gateway.url, "tailed-last")
        assert pool.submit(next, rows).result(20).startswith("tailed-")


async def test_new_requests_are_followed_by_tasks(gateway: RunningGateway) -> None:
    async with AsyncGatewayClient(gateway.url) as client:
        assert (await client.search("nowhere at all")).data == ()
        rows = client.tail()
        first = asyncio.ensure_future(anext(rows))
        while not first.done():
            await asyncio.to_thread(ask, gateway.url, "async")
        assert first.result().trace_id == "async"
        await rows.aclose()  # type: ignore[attr-defined]  # it is a generator


def test_a_tail_that_cannot_be_had_says_so(client: GatewayClient) -> None:
    with pytest.raises(InvalidRequest, match="colour"):
        next(client.tail(colour="red"))  # type: ignore[call-arg]  # that is the mistake
    with GatewayClient("http://127.0.0.1:1") as nowhere, pytest.raises(ConnectionFailed):
        next(nowhere.tail())


def test_a_tail_goes_on_after_the_last_event() -> None:
    events = calls.TailEvents({"user": "ann"})
    assert (events.query, events.headers()) == ({"user": "ann"}, {})
    for line in ("retry: 2000", "", ": no new requests", "", "id: 7", "event: note", ""):
        assert events.read_line(line) is None
    assert events.headers() == {}
    events.refuse_first_failure(httpx.ReadError("gone"))
    events.read_line("event: reset")
    with pytest.raises(UnexpectedReply, match="too many requests"):
        events.read_line("")
