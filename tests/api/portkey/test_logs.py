"""Telling of requests that went elsewhere: each becomes a row like any other."""

from __future__ import annotations

import time
from typing import Any

import pytest

from gateway.models.exchange import Outcome
from gateway.models.request import Payload
from tests.store.samples import entry, feedback

from .logs_served import CHAT, LOG, LogsServed
from .served import complaint


def log(
    request: dict[str, Any] | None = None, response: dict[str, Any] | None = None, **other: Any
) -> dict[str, Any]:
    """A log of which only what a test is about needs to be said."""
    return {
        "request": LOG["request"] | (request or {}),
        "response": LOG["response"] | (response or {}),
        **other,
    }


async def payload(logs: LogsServed) -> Payload:
    [row] = await logs.rows()
    kept = await logs.store.payload(row.seq)
    assert kept is not None
    return kept


async def test_a_log_is_answered_with_its_id_and_becomes_a_row_that_is_understood(logs: LogsServed) -> None:
    before_us = time.time_ns() // 1000
    [log_id] = await logs.log(
        log(
            {"method": "post", "provider": "openai", "body": {"model": "gpt-4o", "user": "u"}},
            {"status": 201, "response_time": 1500, "headers": {"X-Team": "blü"}},
        )
    )  # fmt: skip
    [row] = await logs.rows()
    assert row.request_id == log_id
    assert (row.provider, row.endpoint, row.method, row.path) == ("openai", "chat.completions", "POST", CHAT)
    assert (row.status, row.outcome, row.is_stream, row.attempt) == (201, Outcome.COMPLETE, False, 0)
    assert row.ended_at_us - row.started_at_us == 1_500_000
    assert before_us <= row.ended_at_us <= time.time_ns() // 1000
    assert (row.model, row.response_id, row.finish_reason) == ("gpt-4o", "chatcmpl-1", "stop")
    assert (row.prompt_tokens, row.completion_tokens, row.user) == (10, 5, "u")
    assert row.cost_nanousd == 75_000
    assert (row.key_name, row.tenant) == ("all", None)


async def test_what_is_not_said_is_what_portkey_takes_it_for(logs: LogsServed) -> None:
    await logs.log()
    [row] = await logs.rows()
    assert (row.method, row.status, row.provider, row.metadata) == ("POST", 200, "api.openai.com", {})
    assert row.started_at_us == row.ended_at_us
    assert row.trace_id != row.request_id
    assert (await payload(logs)).response_headers == ((b"content-type", b"application/json"),)


async def test_metadata_says_where_a_log_belongs_and_tags_it(logs: LogsServed) -> None:
    places = {"trace_id": "t", "span_id": "s", "parent_span_id": "p", "span_name": "n"}
    tags = {"_user": "ann", "_environment": "test", "team": "blue", "n": 1}
    await logs.log(log(metadata=places | tags))
    [row] = await logs.rows()
    assert (row.trace_id, row.span_id, row.parent_span_id, row.span_name) == ("t", "s", "p", "n")
    assert (row.user, row.environment, row.metadata) == ("ann", "test", tags)


async def test_the_other_spellings_of_portkeys_page_are_taken(logs: LogsServed) -> None:
    places = {"traceId": "t", "spanId": "s", "parentSpanId": "p", "spanName": "n"}
    await logs.log(
        log(
            response={"time": 25, "streamingMode": True},
            metadata={**places, "user": "ann", "organization": "acme"},
        )
    )
    [row] = await logs.rows()
    assert (row.trace_id, row.span_id, row.parent_span_id, row.span_name) == ("t", "s", "p", "n")
    assert (row.user, row.organisation) == ("ann", "acme")
    assert (row.is_stream, row.ended_at_us - row.started_at_us) == (True, 25_000)
    assert (row.model, row.prompt_tokens) == ("gpt-4o", 10)


@pytest.mark.parametrize(
    ("request_", "provider"),
    [
        ({"provider": "mine"}, "mine"),
        ({"provider": "@mine"}, "mine"),
        ({"provider": "mine", "headers": {"x-portkey-provider": "other"}}, "mine"),
        ({"headers": {"X-Portkey-Provider": "@other"}}, "other"),
        ({"headers": {"x-portkey-provider": ""}}, "api.openai.com"),
        ({"url": "http://LOCALHOST:11434/v1/chat/completions"}, "localhost"),
    ],
)
async def test_the_provider_is_the_one_that_is_named_or_else_the_host(
    logs: LogsServed, request_: dict[str, Any], provider: str
) -> None:
    await logs.log(log(request_))
    assert [row.provider for row in await logs.rows()] == [provider]


async def test_secrets_are_replaced_wherever_they_are(logs: LogsServed) -> None:
    headers = {
        "Authorization": "Bearer sk-secret",
        "x-api-key": "sk-secret",
        "x-portkey-config": '{"k":"sk-secret"}',
    }
    url = "https://me:sk-secret@api.openai.com/v1/chat/completions?key=sk-secret&a=1"
    await logs.log(log({"url": url, "headers": headers}, {"headers": {"Set-Cookie": "sk-secret"}}))
    [row] = await logs.rows()
    assert row.path == "https://api.openai.com/v1/chat/completions?key=[redacted]&a=1"
    kept = await payload(logs)
    assert [value for _, value in kept.request_headers] == [b"[redacted]"] * 3
    assert kept.response_headers[0] == (b"Set-Cookie", b"[redacted]")


async def test_headers_about_how_a_body_was_sent_do_not_make_it_unreadable(logs: LogsServed) -> None:
    wire = {"Content-Encoding": "gzip", "Content-Length": "3", "Transfer-Encoding": "chunked", "X-A": "b"}
    await logs.log(log({"headers": wire}, {"headers": wire}))
    [row] = await logs.rows()
    assert (row.model, row.note) == ("gpt-4o", None)
    assert (await payload(logs)).request_headers == ((b"X-A", b"b"),)


async def test_a_stream_may_be_told_as_it_was_sent(logs: LogsServed) -> None:
    events = (
        'data: {"id":"chatcmpl-2","model":"m","choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
        'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    )
    [log_id] = await logs.log(
        log(response={"body": events, "headers": {"content-type": "text/event-stream"}})
    )
    [row] = await logs.rows()
    assert (row.is_stream, row.response_id, row.finish_reason) == (True, "chatcmpl-2", "stop")
    shown = await logs.show(log_id)
    assert shown["response"]["body"]["choices"][0]["message"]["content"] == "Hi"


@pytest.mark.parametrize(
    ("body", "kept"), [({}, b"{}"), ([1, "ü"], '[1,"ü"]'.encode()), ("text", b"text"), (None, b""), ("", b"")]
)
async def test_bodies_are_json_or_text_or_none(logs: LogsServed, body: object, kept: bytes) -> None:
    await logs.log(log({"body": body}, {"body": body}))
    found = await payload(logs)
    assert (found.request_body, found.response_body) == (kept, kept)


async def test_feedback_finds_a_log_and_may_come_before_it(logs: LogsServed) -> None:
    await logs.store.put_feedback([feedback("early", "chatcmpl-1"), feedback("on trace", "t")])
    [log_id] = await logs.log(log(metadata={"trace_id": "t"}))
    assert (await entry(logs.store, "early")).request_id == log_id
    assert (await entry(logs.store, "on trace")).trace_id == "t"


async def test_many_are_stored_in_order_or_none_of_them(logs: LogsServed) -> None:
    entries = [log(metadata={"trace_id": str(number)}) for number in range(1000)]
    ids = await logs.log(entries)
    rows = await logs.rows()
    assert [row.request_id for row in rows] == ids
    assert [row.trace_id for row in rows] == [str(number) for number in range(1000)]
    refused = await logs.insert([*entries[:5], log(metadata={"trace_id": 5})])
    assert "[5].metadata.trace_id: must be a printable string" in complaint(refused)
    assert len(await logs.rows()) == 1000


async def test_a_retry_under_the_same_key_stores_nothing_and_gets_the_same_answer(logs: LogsServed) -> None:
    first = await logs.insert(Idempotency_Key="k")
    again = await logs.insert(Idempotency_Key="k")
    assert first.json() == again.json()
    assert len(await logs.rows()) == 1
    other = await logs.insert(log(metadata={"a": 1}), Idempotency_Key="k")
    assert other.status_code == 409
    assert "Idempotency-Key: was used before" in complaint(other)
    assert (await logs.insert(Idempotency_Key="k", x_portkey_api_key="north-key")).json() != first.json()


async def test_logging_takes_the_role_of_those_who_call_providers(logs: LogsServed) -> None:
    statuses = {
        key: (await logs.insert(x_portkey_api_key=key)).status_code
        for key in ("proxy-key", "read-key", "vote-key", "wrong-key")
    }
    assert statuses == {"proxy-key": 200, "read-key": 403, "vote-key": 403, "wrong-key": 401}
    assert [row.key_name for row in await logs.rows()] == ["proxy"]


async def test_a_log_is_its_tenants_and_keeps_no_more_than_its_key_may(logs: LogsServed) -> None:
    await logs.log(x_portkey_api_key="north-key")
    await logs.log(x_portkey_api_key="quiet-key")
    north, quiet = await logs.rows()
    assert (north.tenant, quiet.tenant) == ("north", None)
    assert await logs.store.payload(north.seq) is not None
    assert await logs.store.payload(quiet.seq) is None
    assert quiet.prompt_tokens == 10


async def test_the_answer_is_that_of_portkeys_feedback_with_other_ids(logs: LogsServed) -> None:
    reply = await logs.insert([LOG, LOG])
    assert reply.json() == {
        "status": "success",
        "message": "Logs successfully saved",
        "log_ids": [row.request_id for row in await logs.rows()],
    }
