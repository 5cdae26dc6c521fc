"""Portkey's SDK for asyncio telling of requests and exporting them."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import portkey_ai
import pytest

from tests.demo_gateway import GATEWAY_KEY, read_trace
from tests.gateway_process import RunningGateway

CHAT = "https://api.openai.com/v1/chat/completions"


@pytest.fixture
async def client(gateway: RunningGateway) -> AsyncIterator[Any]:
    """The SDK. Its types say less than its replies hold."""
    sdk: Any = portkey_ai.AsyncPortkey(base_url=f"{gateway.url}/v1", api_key=GATEWAY_KEY)
    yield sdk
    await sdk.openai_client.close()
    await sdk.close()


async def test_logs_are_created_and_exported(client: Any, gateway: RunningGateway) -> None:
    trace_id = f"logs-{secrets.token_hex(8)}"
    for number in range(3):
        await client.logs.create(
            request={"url": CHAT, "body": {"n": number}},
            response={"body": {"id": f"chatcmpl-{number}"}, "status": 200 + number},
            metadata={"trace_id": trace_id},
        )
    requests = read_trace(gateway, trace_id, requests=3)["requests"]
    assert [request["response_id"] for request in requests] == ["chatcmpl-0", "chatcmpl-1", "chatcmpl-2"]

    exports = client.logs.exports
    created = await exports.create(filters={"trace_id": trace_id}, requested_data=["id"])
    filters = {"trace_id": trace_id, "status_code": "201,202"}
    await exports.update(export_id=created.id, filters=filters, requested_data=["id", "request"])
    await exports.start(export_id=created.id)
    done = await ended(exports, created.id)
    assert (done.status, done.total_records) == ("success", 2)
    assert created.id in [export["id"] for export in (await exports.list()).data]

    link = (await exports.download(export_id=created.id)).signed_url
    async with httpx.AsyncClient() as stranger:
        file = (await stranger.get(link)).raise_for_status()
    assert [json.loads(line) for line in file.text.splitlines()] == [
        {"id": requests[number]["request_id"], "request": {"n": number}} for number in (1, 2)
    ]


async def ended(exports: Any, export_id: str) -> Any:
    """An export once it is no longer in progress."""
    for _ in range(400):
        export = await exports.retrieve(export_id=export_id)
        if export.status != "in_progress":
            return export
        await asyncio.sleep(0.05)
    raise AssertionError("the export never ended")
