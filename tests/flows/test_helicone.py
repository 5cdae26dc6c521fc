"""A program that was written for Helicone: what its headers say is what its queries find."""

from __future__ import annotations

import gzip
from typing import Any

import httpx
import pytest

from tests.conftest import StartGateway
from tests.gateway_process import RunningGateway
from tests.log_reader import eventually
from tests.raw_http import call, request
from tests.scripted_upstream import UpstreamProcess, answer

CHAT = b'{"model":"deployment-7","messages":[{"role":"user","content":"Where is my refund?"}]}'
REPLY = (
    b'{"id":"chatcmpl-7","model":"deployment-7","choices":[{"message":{"role":"assistant","content":'
    b'"On its way."},"finish_reason":"stop"}],"usage":{"prompt_tokens":1000,"completion_tokens":500}}'
)
HEADERS = [
    b"Helicone-Request-Id: request-7",
    b"Helicone-User-Id: ann",
    b"Helicone-Session-Id: session-7",
    b"Helicone-Session-Path: /support/refund",
    b"Helicone-Session-Name: support",
    b"Helicone-Property-Plan: pro",
    b"Helicone-Prompt-Id: greet",
    b"Helicone-Model-Override: gpt-dear",
    b"Helicone-Cache-Enabled: true",
    b"Helicone-Retry-Enabled: true",
]
R = "request_response_rmt"


def found(gateway: RunningGateway, tree: object) -> list[dict[str, Any]]:
    answered = httpx.post(f"{gateway.url}/v1/request/query-clickhouse", json={"filter": tree})
    rows: list[dict[str, Any]] = answered.raise_for_status().json()["data"]
    return rows


@pytest.fixture
def asked(start_gateway: StartGateway, upstream: UpstreamProcess) -> RunningGateway:
    """A gateway that was asked once, with all of the headers, and that has understood the answer."""
    gateway = start_gateway(
        {
            "providers": {"azure": {"base_url": f"{upstream.url}/v1"}},
            "prices": {"gpt-dear": {"input": 10, "output": 20}},
        }
    )
    script = upstream.script(*answer(gzip.compress(REPLY), b"Content-Encoding: gzip"))
    call(gateway.port, request(b"POST", b"/v1/chat/completions", script, *HEADERS, body=CHAT))
    eventually(lambda: [row for row in found(gateway, "all") if row["response_model"]])
    return gateway


TREES: list[object] = [
    {
        "request": {
            "id": {"equals": "request-7"},
            "user_id": {"equals": "ann"},
            "prompt_id": {"equals": "greet"},
        }
    },
    {"properties": {"Helicone-Session-Id": {"equals": "session-7"}, "Plan": {"equals": "pro"}}},
    {
        "properties": {
            "Helicone-Session-Path": {"like": "/support/%"},
            "Helicone-Prompt-Id": {"equals": "greet"},
        }
    },
    {R: {"properties": {"Helicone-Session-Name": {"equals": "support"}}, "model": {"equals": "gpt-dear"}}},
    {
        "request": {"modelOverride": {"equals": "gpt-dear"}},
        "response": {"body_model": {"equals": "gpt-dear"}},
    },
    {"request": {"prompt": {"contains": "my refund?"}}, R: {"response_body": {"contains": "ON ITS WAY"}}},
    {R: {"cost": {"equals": 0.02}}},
]


def test_a_request_is_found_by_each_thing_that_its_headers_say(asked: RunningGateway) -> None:
    [row] = found(asked, "all")
    assert (row["request_id"], row["request_user_id"], row["prompt_id"]) == ("request-7", "ann", "greet")
    assert (row["model_override"], row["model"], row["costUSD"]) == ("gpt-dear", "gpt-dear", 0.02)
    assert (row["request_model"], row["response_model"]) == ("deployment-7", "deployment-7")

    for tree in TREES:
        assert [one["request_id"] for one in found(asked, tree)] == ["request-7"], tree


def test_its_session_is_a_trace(asked: RunningGateway) -> None:
    trace = httpx.get(f"{asked.url}/api/v1/traces/session-7").raise_for_status().json()
    assert [(one["span_id"], one["span_name"]) for one in trace["requests"]] == [
        ("/support/refund", "support")
    ]
