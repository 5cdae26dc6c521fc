"""A logged request as Portkey shows it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.models.exchange import Identity, PayloadPolicy
from gateway.models.request import Cost, Facts, Usage
from tests.store.samples import exchange

from .logs_served import ANSWER, CHAT, LOG, LogsServed
from .served import complaint

EVENTS = (
    b'data: {"id":"chatcmpl-2","model":"m","choices":[{"index":0,"delta":{"content":"Hel"}}]}\n\n'
    b'data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)
FACTS = Facts(
    requested_model="gpt-4o",
    model="gpt-4o-2024",
    usage=Usage(prompt_tokens=3, completion_tokens=4),
    cost=Cost(12_500_000, "test"),
    response_id="resp-1",
)


async def shown(logs: LogsServed, facts: Facts = FACTS, **given: Any) -> dict[str, Any]:
    """The log object of a request that passed the gateway."""
    [seq] = await logs.store.append([exchange("request-1", **given)])
    await logs.store.annotate([(seq, facts)], 1)
    return await logs.show("request-1")


async def test_all_that_is_known_is_shown(logs: LogsServed) -> None:
    metadata = {"_user": "ann", "_prompt": "greet", "n": 1, "deep": {"a": True}}
    log = await shown(
        logs,
        identity=Identity("request-1", "trace-1", "span", "parent", "plan", metadata),
        tenant="acme",
        key_name="app",
        attempt=2,
        cache_status="MISS",
        started_at_us=1_700_000_000_000_000,
        ended_at_us=1_700_000_000_250_900,
        request_headers=(
            (b"Authorization", b"Bearer sk"), (b"X-Odd", b"a"), (b"X-Odd", b"b"),
            (b"X-Portkey-Trace-Id", b"trace-1"),
        ),
    )  # fmt: skip
    assert log["_id"] == "request-1"
    assert (log["organisation_id"], log["created_at"]) == ("acme", "2023-11-14T22:13:20.000Z")
    assert log["request"] == {
        "url": "https://openai.test/v1/chat/completions",
        "method": "POST",
        "headers": {"Authorization": "[redacted]", "X-Odd": "a, b"},
        "body": {"model": "gpt-4o"},
        "portkeyHeaders": {
            "x-portkey-trace-id": "trace-1",
            "x-portkey-span-id": "span",
            "x-portkey-span-name": "plan",
            "x-portkey-parent-span-id": "parent",
            "x-portkey-provider": "openai",
            "x-portkey-metadata": '{"_user":"ann","_prompt":"greet","n":1,"deep":{"a":true}}',
        },
    }
    assert log["response"] == {
        "status": 200,
        "headers": {"content-type": "application/json"},
        "body": {"id": "chatcmpl-1"},
        "responseTime": 250,
        "lastUsedOptionJsonPath": "config",
    }
    assert log["metrics"] == {
        "id": "request-1",
        "organisation_id": "acme",
        "created_at": "2023-11-14T22:13:20.000Z",
        "is_success": True,
        "ai_org": "openai",
        "ai_model": "gpt-4o-2024",
        "req_units": 3,
        "res_units": 4,
        "total_units": 7,
        "cost": 1.25,
        "cost_currency": "USD",
        "request_url": "https://openai.test/v1/chat/completions",
        "request_method": "POST",
        "response_status_code": 200,
        "response_time": 250,
        "is_proxy_call": True,
        "cache_status": "MISS",
        "stream_mode": 0,
        "retry_success_count": 2,
        "trace_id": "trace-1",
        "span_id": "span",
        "span_name": "plan",
        "parent_span_id": "parent",
        "mode": "single",
        "virtual_key": "openai",
        "prompt_slug": "greet",
        "metadata.key": ["_user", "_prompt", "n", "deep"],
        "metadata.value": ["ann", "greet", "1", '{"a":true}'],
        "api_key_id": "app",
    }


async def test_the_model_is_the_one_that_metadata_states_if_it_does(logs: LogsServed) -> None:
    log = await shown(logs, metadata={"_model": "mine"})
    assert log["metrics"]["ai_model"] == "mine"


async def test_what_is_not_known_is_left_out(logs: LogsServed) -> None:
    log = await shown(logs, Facts(), payloads=PayloadPolicy.OFF, status=None)
    assert log["organisation_id"] is None
    assert set(log["request"]) == {"url", "method", "portkeyHeaders"}
    assert set(log["response"]) == {"status", "responseTime", "lastUsedOptionJsonPath"}
    assert log["response"]["status"] == 0
    unknown = {
        "ai_model",
        "req_units",
        "total_units",
        "cost",
        "response_status_code",
        "span_id",
        "api_key_id",
    }
    assert not unknown & set(log["metrics"])
    assert (log["metrics"]["is_success"], log["metrics"]["metadata.key"]) == (False, [])


async def test_a_stream_is_put_together(logs: LogsServed) -> None:
    log = await shown(
        logs,
        response_headers=((b"content-type", b"text/event-stream"),),
        response_body=EVENTS,
        response_size=len(EVENTS),
    )
    assert log["response"]["body"]["choices"][0]["message"]["content"] == "Hello"
    assert log["metrics"]["stream_mode"] == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b' {\n "n": 1.0, "big": 1234567890123456789012 }', {"n": 1.0, "big": 1234567890123456789012}),
        (b'[1, "a"]', {"content": [1, "a"]}),
        (b"plain text", {"content": "plain text"}),
        (b'{"cut": ', {"content": '{"cut": '}),
        (b"\xff\xfe", None),
        (b"", None),
    ],
)  # fmt: skip
async def test_bodies_are_objects_as_portkeys_document_has_them(
    logs: LogsServed, body: bytes, expected: object
) -> None:
    log = await shown(logs, request_body=body, request_size=len(body))
    assert log["request"].get("body") == expected


async def test_a_request_is_found_by_its_id_or_its_responses_and_of_several_the_newest(
    logs: LogsServed,
) -> None:
    first = (await shown(logs, path="/v1/first"))["request"]["url"]
    assert first == "https://openai.test/v1/first"
    assert (await shown(logs, path="/v1/second"))["request"]["url"] == "https://openai.test/v1/second"
    assert (await logs.show("resp-1"))["request"]["url"] == "https://openai.test/v1/second"
    await logs.store.append([exchange("a/b c")])
    assert (await logs.show("a%2Fb%20c"))["_id"] == "a/b c"


async def test_an_id_that_requests_of_several_traces_share_is_refused(logs: LogsServed) -> None:
    await logs.store.append([exchange("shared", "trace-1"), exchange("shared", "trace-2")])
    refused = await logs.client.get("/logs/shared")
    assert refused.status_code == 409
    assert complaint(refused).startswith("request_id: 'shared' names several requests")


async def test_where_a_provider_was_that_is_no_longer_configured_is_not_guessed(logs: LogsServed) -> None:
    log = await shown(logs, provider="gone")
    assert log["request"]["url"] == "/v1/chat/completions"


async def test_a_log_that_was_told_of_is_shown_as_it_was_told(logs: LogsServed) -> None:
    [log_id] = await logs.log(LOG | {"metadata": {"trace_id": "t"}})
    log = await logs.show(log_id)
    assert (log["request"]["url"], log["request"]["body"]) == (CHAT, {"model": "gpt-4o"})
    assert log["response"]["body"] == ANSWER
    assert log["metrics"]["is_proxy_call"] is False
    assert log["request"]["portkeyHeaders"]["x-portkey-trace-id"] == "t"


async def test_reading_takes_the_role_and_the_tenant(logs: LogsServed) -> None:
    [log_id] = await logs.log(x_portkey_api_key="north-key")
    statuses = {}
    for key in ("read-key", "north-key", "south-key", "proxy-key", "wrong-key"):
        reply = await logs.client.get(f"/logs/{log_id}", headers={"x-portkey-api-key": key})
        statuses[key] = reply.status_code
    assert statuses == {
        "read-key": 200, "north-key": 200, "south-key": 404, "proxy-key": 403, "wrong-key": 401,
    }  # fmt: skip


async def test_an_unknown_log_is_not_found_in_portkeys_shape(logs: LogsServed) -> None:
    reply = await logs.client.get("/logs/nobody")
    assert reply.status_code == 404
    assert complaint(reply) == "request_id: no request has the id 'nobody'."
