"""What a request says of itself in the gateway's headers: echoed, logged, and never passed on."""

from __future__ import annotations

import json
import sqlite3
import uuid

import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import query
from tests.raw_http import Response, call, request
from tests.scripted_upstream import UpstreamProcess

TRACEPARENT = b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def answered(gateway: RunningGateway, *fields: bytes) -> Response:
    return call(gateway.port, request(b"POST", b"/v1/chat/completions", *fields, body=b"{}"))


def logged(gateway: RunningGateway, *fields: bytes) -> sqlite3.Row:
    """The row of a request with these fields."""
    answer = answered(gateway, *fields)
    assert answer.status == 200, answer.body
    request_id = answer.value(b"helicone-id").decode()
    [found] = query(gateway.database, "SELECT * FROM requests WHERE request_id = ?", request_id)
    assert found["trace_id"].encode() == answer.value(b"x-portkey-trace-id")
    return found


@pytest.mark.parametrize(
    "trace", ["t-1", "a b", "ä€😀", "x" * 512, "é" * 256, '"{}<>', "../../etc", "'; DROP TABLE requests"]
)
def test_the_caller_s_trace_id_is_echoed_and_logged_as_it_is(gateway: RunningGateway, trace: str) -> None:
    assert logged(gateway, b"x-portkey-trace-id: " + trace.encode())["trace_id"] == trace


@pytest.mark.parametrize(
    "fields",
    [
        [b"x-portkey-trace-id: " + b"x" * 513],
        [b"x-portkey-trace-id: " + "é".encode() * 257],
        [b"x-portkey-trace-id:"],
        [b"x-portkey-trace-id: a\tb"],
        [b"x-portkey-trace-id: \xff\xfe"],
        [b"x-portkey-trace-id: \xe2\x80\xae"],
        [b"Helicone-Session-Id: " + b"x" * 513],
        [b"Helicone-Request-Id: a\xe2\x80\xa8b"],
        [b"x-portkey-trace-id: {{evaluationId}}"],
        [b"Helicone-Session-Id: run-{{ run.id }}"],
        [b"x-portkey-trace-id: a", b"X-Portkey-Trace-Id: b"],
        [b"x-portkey-provider: up", b"x-portkey-provider: deep"],
        [b"x-portkey-virtual-key: nobody"],
        [b"x-portkey-virtual-key: up", b"x-portkey-provider: deep"],
        [b"x-portkey-span-id: " + b"x" * 513],
        [b"Helicone-User-Id:"],
        [b"Helicone-Prompt-Id:"],
        [b"Helicone-Model-Override: a\tb"],
        [b"Helicone-Omit-Request: please"],
        [b"Helicone-Omit-Response:"],
        [b"x-portkey-metadata: {"],
        [b"x-portkey-metadata: []"],
        [b"x-portkey-metadata: 1"],
        [b"x-portkey-metadata:"],
        [b'x-portkey-metadata: {"a": \xff}'],
        [b'x-portkey-metadata: {"a": NaN}'],
        [b'x-portkey-config: {"retry": {}}'],
    ],
)
def test_a_header_that_cannot_be_read_is_refused_by_name_before_anything_is_sent(
    gateway: RunningGateway, upstream: UpstreamProcess, fields: list[bytes]
) -> None:
    upstream.take()
    answer = answered(gateway, *fields)
    assert answer.status == 400
    error = json.loads(answer.body)["error"]
    name = fields[0].partition(b":")[0].decode().lower()
    assert error["type"] == "invalid_request_error"
    assert error["param"].partition(".")[0] == name
    assert name in error["message"]
    assert upstream.take() == []


def test_a_header_that_says_the_same_twice_is_taken(gateway: RunningGateway) -> None:
    assert logged(gateway, b"x-portkey-trace-id: same", b"x-portkey-trace-id: same")["trace_id"] == "same"


@pytest.mark.parametrize(
    ("value", "retry"), [(b"0", 0), (b"2", 2), (b"", 0), (b"-1", 0), (b"two", 0), (b"9" * 30, 0)]
)
def test_which_try_of_its_client_s_a_request_is_is_logged_and_goes_on(
    gateway: RunningGateway, upstream: UpstreamProcess, value: bytes, retry: int
) -> None:
    upstream.take()
    found = logged(gateway, b"X-Stainless-Retry-Count: " + value)
    assert (found["client_retry"], found["attempt"]) == (retry, 0)
    [received] = upstream.take()
    assert (b"X-Stainless-Retry-Count", value) in received.fields


def test_a_trace_id_is_made_where_none_comes(gateway: RunningGateway) -> None:
    traces = {logged(gateway)["trace_id"] for _ in range(5)}
    assert len(traces) == 5
    assert {uuid.UUID(trace).version for trace in traces} == {7}


@pytest.mark.parametrize(
    ("fields", "trace"),
    [
        ([TRACEPARENT], "0af7651916cd43dd8448eb211c80319c"),
        ([b"Helicone-Session-Id: session"], "session"),
        ([b"Helicone-Session-Id: session", TRACEPARENT], "0af7651916cd43dd8448eb211c80319c"),
        ([b"Helicone-Session-Id: session", TRACEPARENT, b"X-Portkey-Trace-Id: mine"], "mine"),
        ([b"Helicone-Session-Id: session", b"traceparent: nonsense"], "session"),
        (
            [b"Helicone-Session-Id: session", b"traceparent: 00-" + b"0" * 32 + b"-" + b"1" * 16 + b"-00"],
            "session",
        ),
    ],
)
def test_the_trace_id_is_looked_for_in_the_documented_order(
    gateway: RunningGateway, fields: list[bytes], trace: str
) -> None:
    assert logged(gateway, *fields)["trace_id"] == trace


def test_the_caller_s_request_id_is_taken(gateway: RunningGateway) -> None:
    assert logged(gateway, b"Helicone-Request-Id: my-request")["request_id"] == "my-request"


@pytest.mark.parametrize(
    ("fields", "span"),
    [
        (
            [b"x-portkey-span-id: s", b"x-portkey-parent-span-id: p", b"x-portkey-span-name: n"],
            ("s", "p", "n"),
        ),
        ([b"Helicone-Session-Path: /a/b", b"Helicone-Session-Name: agent"], ("/a/b", None, "agent")),
        ([TRACEPARENT], (None, "b7ad6b7169203331", None)),
        ([TRACEPARENT, b"x-portkey-parent-span-id: p"], (None, "p", None)),
        ([], (None, None, None)),
    ],
)
def test_spans_are_logged(
    gateway: RunningGateway, fields: list[bytes], span: tuple[str | None, str | None, str | None]
) -> None:
    found = logged(gateway, *fields)
    assert (found["span_id"], found["parent_span_id"], found["span_name"]) == span


def test_metadata_is_logged_and_its_known_keys_are_columns(gateway: RunningGateway) -> None:
    metadata = {
        "_user": "u1",
        "_organisation": "o1",
        "_prompt": "p1",
        "_environment": "prod",
        "_session": "s1",
        "team": "blü",
        "n": [1],
    }
    found = logged(gateway, b"x-portkey-metadata: " + json.dumps(metadata, ensure_ascii=False).encode())
    assert json.loads(found["metadata"]) == metadata
    assert (found["user"], found["organisation"]) == ("u1", "o1")
    assert (found["prompt"], found["environment"], found["session"]) == ("p1", "prod", "s1")


def test_helicone_s_headers_land_in_the_metadata_too(gateway: RunningGateway) -> None:
    fields = [b"Helicone-User-Id: u2", b"Helicone-Property-Team: blue", b"helicone-property-Plan: pro"]
    found = logged(gateway, *fields)
    assert found["user"] == "u2"
    assert json.loads(found["metadata"]) == {"_user": "u2", "Team": "blue", "Plan": "pro"}


def test_a_prompt_has_a_column_and_is_a_property_too(gateway: RunningGateway) -> None:
    found = logged(gateway, b"Helicone-Prompt-Id: greet")
    assert found["prompt"] == "greet"
    assert json.loads(found["metadata"]) == {"_prompt": "greet", "Helicone-Prompt-Id": "greet"}


def test_a_session_has_a_column_and_its_parts_are_properties_too(gateway: RunningGateway) -> None:
    fields = [b"Helicone-Session-Id: s", b"Helicone-Session-Path: /a", b"helicone-session-name: chat"]
    found = logged(gateway, *fields, b"x-portkey-trace-id: t")
    assert (found["trace_id"], found["span_id"], found["span_name"]) == ("t", "/a", "chat")
    assert found["session"] == "s"
    assert json.loads(found["metadata"]) == {
        "_session": "s",
        "Helicone-Session-Id": "s",
        "Helicone-Session-Path": "/a",
        "Helicone-Session-Name": "chat",
    }


def test_portkey_s_metadata_stands_over_helicone_s(gateway: RunningGateway) -> None:
    fields = [
        b"Helicone-User-Id: u2",
        b"Helicone-Property-a: 2",
        b'x-portkey-metadata: {"_user": "u1", "a": 1}',
    ]
    assert json.loads(logged(gateway, *fields)["metadata"]) == {"_user": "u1", "a": 1}


@pytest.mark.parametrize(
    "metadata",
    [
        b"{}",
        b'{"_user": null}',
        b'{"_user": {"id": 1}}',
        b'{"_user": 12345678901234567890123}',
        b'{"a": "\\u0000"}',
        b'{"a": 1e308, "a": 2}',
        b'{"' + b"k" * 30_000 + b'": 1}',
        b'{"a": ' + b"[" * 400 + b"]" * 400 + b"}",
    ],
)
def test_odd_metadata_is_logged_and_holds_up_nobody(gateway: RunningGateway, metadata: bytes) -> None:
    found = logged(gateway, b"x-portkey-metadata: " + metadata)
    assert isinstance(json.loads(found["metadata"]), dict)


def test_no_header_of_the_gateway_s_reaches_the_provider(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    ours = [
        b"x-portkey-trace-id: t", b"X-Portkey-Metadata: {}", b"x-portkey-provider: up", b"X-PORTKEY-anything: x",
        b"x-portkey-api-key: k", b"Helicone-Auth: Bearer k", b"helicone-property-a: b", b"Helicone-Anything: x",
    ]  # fmt: skip
    upstream.take()
    assert answered(gateway, *ours, b"x-portkeyed: stays").status == 200
    [received] = upstream.take()
    assert [name for name, _ in received.fields] == [b"host", b"x-portkeyed", b"Content-Length"]
