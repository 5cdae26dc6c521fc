"""An answer that is begun in one call and fetched in others is one answer: used once, judged once."""

from __future__ import annotations

import json
from typing import Any

import httpx

from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, query, wait_until_interpreted
from tests.scripted_upstream import UpstreamProcess, answer

KEY = {"x-portkey-api-key": "app-key-0123456789"}
USAGE = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}


def response(status: str, usage: dict[str, int] | None = None) -> bytes:
    shown = {"id": "resp_1", "object": "response", "status": status, "model": "gpt-5.1", "output": []}
    return json.dumps({**shown, "usage": usage}).encode()


def ask(
    gateway: RunningGateway, upstream: UpstreamProcess, method: str, path: str, body: bytes, **fields: str
) -> None:
    script = upstream.script(*answer(body, b"Content-Type: application/json"))
    asked = b'{"model": "gpt-5.1", "background": true}' if method == "POST" else None
    httpx.request(
        method,
        f"{gateway.url}/openai/v1/{path}",
        content=asked,
        headers={**KEY, **fields, "x-script": script.decode().partition(": ")[2]},
        timeout=30,
    )


def test_a_background_response_is_counted_once_however_often_it_is_polled(
    start_gateway: StartGateway, upstream: UpstreamProcess
) -> None:
    config: dict[str, Any] = {
        "providers": {"openai": {"base_url": f"{upstream.url}/v1", "prices_as": "openai"}},
        "keys": [
            {
                "name": "app",
                "key": "app-key-0123456789",
                "role": ["proxy", "feedback", "read"],
                "limits": ["100000 tokens/month"],
            }
        ],
    }
    gateway = start_gateway(config)
    ask(gateway, upstream, "POST", "responses", response("queued"), **{"x-portkey-trace-id": "begun"})
    for status, usage in [("in_progress", None), ("completed", USAGE), ("completed", USAGE)]:
        wait_until_interpreted(gateway.database)
        ask(gateway, upstream, "GET", "responses/resp_1", response(status, usage))
    wait_until_interpreted(gateway.database)

    rows = query(
        gateway.database,
        "SELECT trace_id, prompt_tokens, cost_nanousd, finish_reason FROM requests ORDER BY seq",
    )
    assert [row["prompt_tokens"] for row in rows] == [1000, None, None, None]
    assert tuple(rows[0]) == ("begun", 1000, 2_250_000, "completed")
    voted = httpx.post(
        f"{gateway.url}/v1/feedback", json={"trace_id": "resp_1", "value": 5}, headers=KEY, timeout=30
    )
    assert voted.status_code == 200, voted.text
    [entry] = query(gateway.database, "SELECT trace_id FROM feedback")
    assert entry["trace_id"] == "begun"
    spent = "SELECT amount FROM spendings WHERE key_name = 'app' AND unit = 'tokens'"
    eventually(lambda: [row["amount"] for row in query(gateway.database, spent)] == [1100])
