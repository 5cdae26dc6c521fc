"""Text that means something to SQL, to HTTP or to a terminal is nothing but text here, wherever it comes in."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.gateway_process import RunningGateway
from tests.log_reader import query
from tests.raw_http import Broken, Connection, call, request
from tests.scripted_upstream import UpstreamProcess, answer

FRAGMENTS = st.sampled_from(
    [
        "'", '"', "`", "--", ";", "/*", "*/", "\\", "%", "_", "?", ":x", "@x", "$x", ")", "(", "[", "]", "\0", "\n",
        " OR 1=1", " UNION SELECT sql FROM sqlite_master", "'; DROP TABLE requests; --", "'; DELETE FROM keys; --",
        "||load_extension('x')||", "randomblob(1e9)", "$.a", "$[*]", '"."', "rowid", "seq", "null", "{{", "\ud7ff",
        "' || (SELECT key FROM keys) || '", "ATTACH DATABASE 'x' AS y", "-1", "1e999", "NaN", "0x1", "\u202e",
    ]
)  # fmt: skip
TEXTS = st.lists(FRAGMENTS, min_size=1, max_size=5).map("".join)

Ask = Callable[[httpx.Client, str], httpx.Response]

WINDOW = {"time_of_generation_min": "2025-01-01T00:00:00Z", "time_of_generation_max": "2035-01-01T00:00:00Z"}


def _helicone(body: Callable[[str], object]) -> Ask:
    return lambda client, text: client.post("/v1/request/query", json=body(text))


def _native(path: str, *names: str) -> Iterator[Ask]:
    for name in names:
        yield lambda client, text, name=name: client.get(path, params={name: text})  # type: ignore[misc]


def asks() -> list[Ask]:
    """Every place of a question that takes text from outside."""
    rows = "request_response_rmt"
    return [
        *_native(
            "/api/v1/requests", "trace_id", "model", "status", "user", "from", "limit", "cursor", "metadata.k"
        ),
        *_native("/api/v1/aggregates", "group_by", "bucket", "provider", "order"),
        *_native("/api/v1/traces", "from", "user", "cursor"),
        *_native("/api/v1/users", "prefix", "order", "limit"),
        *_native("/api/v1/feedback", "trace_id", "author", "kind", "cursor"),
        *_native("/api/feedback", "trace_id", "app_id", "feedback_id", "start_time", "limit"),
        lambda client, text: client.get("/api/v1/requests", params={f"metadata.{text}": text}),
        lambda client, text: client.get("/api/v1/aggregates", params={"group_by": f"metadata.{text}"}),
        lambda client, text: client.get("/v1/analytics/graphs/cost", params={**WINDOW, "metadata": text}),
        lambda client, text: client.get("/v1/analytics/graphs/cost", params={**WINDOW, "ai_model": text}),
        lambda client, text: client.get(
            f"/v1/analytics/groups/metadata/{quote(text, safe='')}", params=WINDOW
        ),
        lambda client, text: client.get(f"/v1/analytics/groups/{quote(text, safe='')}", params=WINDOW),
        *(
            lambda client, text, path=path: client.get(f"{path}/{quote(text, safe='')}")
            for path in (
                "/api/v1/requests",
                "/api/v1/traces",
                "/api/v1/feedback",
                "/v1/request",
                "/v1/logs",
                "/f",
            )
        ),
        _helicone(lambda text: {"filter": {rows: {"model": {"equals": text}}}}),
        _helicone(lambda text: {"filter": {rows: {"model": {"contains": text}}}}),
        _helicone(lambda text: {"filter": {rows: {text: {"equals": text}}}}),
        _helicone(lambda text: {"filter": {rows: {"model": {text: text}}}}),
        _helicone(lambda text: {"filter": {text: {"model": {"equals": text}}}}),
        _helicone(lambda text: {"filter": {rows: {"properties": {text: {"equals": text}}}}}),
        _helicone(lambda text: {"filter": {rows: {"request_body": {"contains": text}}}}),
        _helicone(lambda text: {"filter": "all", "sort": {text: "desc"}}),
        _helicone(lambda text: {"filter": "all", "sort": {"created_at": text}}),
        _helicone(lambda text: {"filter": "all", "sort": {"properties": {text: "asc"}}}),
        _helicone(lambda text: {"filter": {"left": text, "operator": text, "right": "all"}}),
    ]


def writes() -> list[Ask]:
    """Every place of a vote, or a tag, that takes text from outside."""
    return [
        lambda client, text: client.post("/v1/feedback", json={"trace_id": text, "value": 1}),
        lambda client, text: client.post(
            "/v1/feedback", json={"trace_id": "t", "value": 1, "metadata": {text: text, "_user": text}}
        ),
        lambda client, text: client.put(f"/v1/feedback/{quote(text, safe='')}", json={"value": 1}),
        lambda client, text: client.post(
            f"/v1/request/{quote(text, safe='')}/feedback", json={"rating": True}
        ),
        lambda client, text: client.post("/v1/request/r-1/score", json={"scores": {text: 1}}),
        lambda client, text: client.put("/v1/request/r-1/property", json={"key": text, "value": text}),
        lambda client, text: client.post("/api/feedback", json={"trace_id": text, "feedback": {text: text}}),
        lambda client, text: client.patch(f"/api/feedback/{quote(text, safe='')}", json={"feedback": {}}),
        lambda client, text: client.delete(f"/api/v1/feedback/{quote(text, safe='')}"),
        lambda client, text: client.delete(f"/api/v1/users/{quote(text + ' of nobody', safe='')}"),
        lambda client, text: client.post(
            "/v1/logs/exports", json={"filters": {**WINDOW, "trace_id": text}, "requested_data": [text]}
        ),
    ]


@pytest.fixture(scope="module")
def client(gateway: RunningGateway, upstream: UpstreamProcess) -> Iterator[httpx.Client]:
    """A client of a gateway with a request in its log."""
    upstream.default(*answer(b'{"id": "chatcmpl-1", "model": "m"}'))
    fields = (b"Helicone-Request-Id: r-1", b"x-portkey-trace-id: t-1", b'x-portkey-metadata: {"k": "v"}')
    call(gateway.port, request(b"POST", b"/v1/chat/completions", *fields, body=b'{"model": "m"}'))
    with httpx.Client(base_url=gateway.url, trust_env=False, timeout=20) as found:
        yield found


def schema_of(gateway: RunningGateway) -> list[sqlite3.Row]:
    return query(gateway.database, "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name")


def rows_of(gateway: RunningGateway, table: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in query(gateway.database, f"SELECT * FROM {table}")]


@pytest.mark.parametrize("number", range(len(asks())))
def test_a_question_reads_what_it_asks_for_and_nothing_else(
    gateway: RunningGateway, client: httpx.Client, number: int
) -> None:
    before = schema_of(gateway), rows_of(gateway, "payloads")

    @settings(max_examples=15, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(TEXTS)
    def ask(text: str) -> None:
        reply = asks()[number](client, text)
        assert reply.status_code < 500, reply.text
        assert "CREATE TABLE" not in reply.text

    ask()
    assert (schema_of(gateway), rows_of(gateway, "payloads")) == before


@pytest.mark.parametrize("number", range(len(writes())))
def test_feedback_writes_what_it_says_and_changes_nothing_else(
    gateway: RunningGateway, client: httpx.Client, number: int
) -> None:
    before = schema_of(gateway), rows_of(gateway, "payloads"), len(rows_of(gateway, "requests"))

    @settings(max_examples=15, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(TEXTS)
    def vote(text: str) -> None:
        reply = writes()[number](client, text)
        assert reply.status_code < 500, reply.text

    votes = len(rows_of(gateway, "feedback"))
    vote()
    assert (schema_of(gateway), rows_of(gateway, "payloads"), len(rows_of(gateway, "requests"))) == before
    assert len(rows_of(gateway, "feedback")) >= votes


FIELDS = [
    "x-portkey-trace-id", "Helicone-Request-Id", "Helicone-Session-Id", "Helicone-User-Id", "x-portkey-metadata",
    "Helicone-Property-Team", "x-portkey-provider", "x-portkey-span-id", "x-portkey-span-name", "traceparent",
    "X-Other", "Idempotency-Key", "Origin",
]  # fmt: skip
BREAKS = [
    b"\r\nX-Injected: 1",
    b"\nX-Injected: 1",
    b"\rX-Injected: 1",
    b"\0",
    b"\x0b",
    b"\x1b[31m",
    b"\x7f",
    b"\x08",
]
ENCODED = [
    b"%0d%0aX-Injected: 1",
    "\u560d\u560aX-Injected: 1".encode(),
    "\u2028X-Injected: 1".encode(),
    b"\xc2\x85",
]


@pytest.mark.parametrize("name", FIELDS)
def test_no_value_of_a_field_becomes_another_field_here_or_at_the_provider(
    gateway: RunningGateway, upstream: UpstreamProcess, name: str
) -> None:
    upstream.default(*answer(b"{}"))
    for evil in (*BREAKS[2:], *ENCODED):
        upstream.take()
        raw = request(b"POST", b"/v1/chat/completions", name.encode() + b": a" + evil, body=b"{}")
        with Connection(gateway.port) as connection:
            try:
                answered = connection.call(raw)
            except Broken:
                continue
            assert answered.status in (200, 400, 403), evil
            assert answered.values(b"x-injected") == []
            assert not any(control in value for _, value in answered.fields for control in b"\0\r\n\x1b\x08")
        for received in upstream.take():
            assert received.values(b"x-injected") == []


@pytest.mark.parametrize("evil", BREAKS[:2])
def test_a_line_break_ends_a_field_and_what_follows_is_one_of_its_own(
    gateway: RunningGateway, upstream: UpstreamProcess, evil: bytes
) -> None:
    """That is what HTTP says; what counts is that here and at the provider it is the same fields."""
    upstream.default(*answer(b"{}"))
    upstream.take()
    raw = request(b"POST", b"/v1/chat/completions", b"x-portkey-trace-id: a" + evil, body=b"{}")
    answered = call(gateway.port, raw)
    assert answered.values(b"x-injected") == []
    for received in upstream.take():
        assert received.values(b"x-injected") == [b"1"]
        assert answered.value(b"x-portkey-trace-id") == b"a"


def test_what_a_provider_answers_brings_no_control_characters_into_ids(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    odd = json.dumps({"id": "chatcmpl\r\nX-Injected: 1\x1b[2J\0", "model": "m\r\n\0"}).encode()
    script = upstream.script(*answer(odd, b"x-portkey-trace-id: from-the-provider", b"helicone-id: from-it"))
    answered = call(gateway.port, request(b"POST", b"/v1/chat/completions", script, body=b"{}"))
    assert answered.values(b"x-injected") == []
    assert b"from-the-provider" not in answered.value(b"x-portkey-trace-id")
    assert b"from-it" not in answered.value(b"helicone-id")
