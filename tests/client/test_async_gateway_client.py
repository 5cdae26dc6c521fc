from __future__ import annotations

import asyncio

import pytest

from gateway.client import AsyncGatewayClient, ConnectionFailed, FeedbackEntry, NotFound
from tests.client.chat_calls import ask
from tests.client.scripted_server import Reply, ScriptedServer
from tests.gateway_process import RunningGateway

SAVED = {"status": "success", "message": "saved", "feedback_ids": ["1"]}


async def test_feedback_and_requests_are_found_on_their_trace(gateway: RunningGateway) -> None:
    received = [ask(gateway.url, "async").headers["helicone-id"] for _ in range(3)]
    async with AsyncGatewayClient(gateway.url) as client:
        first = await client.feedback.create(trace_id="async", value=5)
        await client.feedback.create_many([FeedbackEntry(trace_id="async", value=1)] * 2)
        await client.feedback.update(first.feedback_id, value=10)

        trace = await client.traces.get("async")
        assert [request.request_id for request in trace.requests] == received
        assert sorted(entry.value or 0 for entry in trace.feedback) == [1, 1, 10]
        found = [request.request_id async for request in client.requests.find(trace_id="async", page_size=2)]
        assert found == received[::-1]
        assert (await client.requests.get(received[0])).response is not None


async def test_calls_run_side_by_side(gateway: RunningGateway) -> None:
    async with AsyncGatewayClient(gateway.url) as client:
        votes = (client.feedback.create(trace_id="crowd", value=value) for value in range(10))
        receipts = await asyncio.gather(*votes)
        assert len({receipt.feedback_id for receipt in receipts}) == 10
        assert len((await client.traces.get("crowd")).feedback) == 10


async def test_what_became_of_feedback_is_told(gateway: RunningGateway) -> None:
    async with AsyncGatewayClient(gateway.url) as client:
        given = await client.feedback.give("nothing of that name", thumb="up")
        assert (given.joined, given.id) == (False, "nothing of that name")


async def test_an_error_reply_is_raised(gateway: RunningGateway) -> None:
    async with AsyncGatewayClient(gateway.url) as client:
        with pytest.raises(NotFound):
            await client.traces.get("unheard of")


async def test_a_broken_connection_is_retried_under_the_same_key() -> None:
    with ScriptedServer(Reply(None), Reply(200, SAVED)) as server:
        async with AsyncGatewayClient(server.url) as client:
            assert (await client.feedback.create(trace_id="t", value=1)).feedback_id == "1"
    first, second = server.received
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"]


async def test_a_gateway_that_is_not_there_is_named() -> None:
    async with AsyncGatewayClient("http://127.0.0.1:1", retries=0) as client:
        with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1:1"):
            await client.traces.get("t")
