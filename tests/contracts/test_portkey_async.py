"""Portkey's SDK for asyncio."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import portkey_ai
import pytest

from tests.demo_gateway import GATEWAY_KEY, read_trace
from tests.gateway_process import RunningGateway

MODEL = "demo-chat"
MESSAGES: list[Any] = [{"role": "user", "content": "How are you, gateway?"}]


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[Any]:
    """The SDK. Its types say less than its replies hold."""
    sdk: Any = portkey_ai.AsyncPortkey(base_url=f"{gateway.url}/v1", api_key=GATEWAY_KEY)
    yield sdk
    await sdk.openai_client.close()
    await sdk.close()


async def test_a_chat_and_a_stream_say_the_same_and_share_their_trace(
    client: Any, gateway: RunningGateway
) -> None:
    trace_id = f"portkey-{secrets.token_hex(8)}"
    known = client.with_options(trace_id=trace_id)
    plain = await known.chat.completions.create(model=MODEL, messages=MESSAGES)
    stream = await known.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    text = ""
    async for chunk in stream:
        text += chunk.choices[0].delta.content or ""
    assert text == plain.choices[0].message.content

    requests = read_trace(gateway, trace_id, requests=2)["requests"]
    assert [request["is_stream"] for request in requests] == [False, True]


async def test_feedback_is_created_singly_and_in_bulk_and_changed(
    client: Any, gateway: RunningGateway
) -> None:
    trace_id = f"portkey-{secrets.token_hex(8)}"
    created = await client.feedback.create(trace_id=trace_id, value=3)
    bulk = await client.feedback.bulk_create(
        feedbacks=[{"trace_id": trace_id, "value": 1}, {"trace_id": trace_id, "value": 2}]
    )
    updated = await client.feedback.update(feedback_id=created.feedback_ids[0], value=-3, weight=0.5)
    assert updated.feedback_ids == created.feedback_ids

    entries = read_trace(gateway, trace_id, requests=0)["feedback"]
    assert [entry["feedback_id"] for entry in entries] == created.feedback_ids + bulk.feedback_ids
    assert [(entry["value"], entry["weight"]) for entry in entries] == [(-3, 0.5), (1, 1), (2, 1)]
