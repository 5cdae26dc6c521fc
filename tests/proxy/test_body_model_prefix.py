"""A provider that is named by the model that a request asks for."""

from __future__ import annotations

import gzip

import pytest

from gateway.proxy.body import MAX_INSPECTED_BYTES, provider_in_model, without_model_prefix
from tests.gateway_process import RunningGateway
from tests.log_reader import payload, row, wait_for_row, wait_until_interpreted
from tests.raw_http import Connection, call, request
from tests.scripted_upstream import UpstreamProcess

JSON = b"Content-Type: application/json"
LONG = b'{"messages":[{"role":"user","content":"' + b"x" * 100_000 + b'"}],"model":"@deep/gpt"}'


@pytest.mark.parametrize(
    ("body", "provider", "sent"),
    [
        (b'{"model":"@deep/gpt","n":1}', "deep", b'{"model":"gpt","n":1}'),
        (b'{ "n" : 1, "model" : "@deep/meta/llama" }', "deep", b'{ "n" : 1, "model" : "meta/llama" }'),
        (rb'{"model":"@deep\/gpt"}', "deep", b'{"model":"gpt"}'),
        (
            rb'{"messages":[{"content":"\"model\":\"@up/x\"","model":"@up/y"}],"model":"@deep/z"}',
            "deep",
            rb'{"messages":[{"content":"\"model\":\"@up/x\"","model":"@up/y"}],"model":"z"}',
        ),
        (b'{"user":"model","model":"@deep/gpt"}', "deep", b'{"user":"model","model":"gpt"}'),
        (b'{"model":"gpt","model":"@deep/gpt"}', "deep", b'{"model":"gpt","model":"gpt"}'),
        (LONG, "deep", LONG.replace(b"@deep/", b"")),
    ],
)
def test_a_request_goes_to_the_provider_that_its_model_names_without_that_name(
    gateway: RunningGateway, upstream: UpstreamProcess, body: bytes, provider: str, sent: bytes
) -> None:
    upstream.take()
    trace = upstream.name() + "-prefix"
    answer = call(
        gateway.port,
        request(b"POST", b"/v1/chat/completions", JSON, b"x-portkey-trace-id: " + trace.encode(), body=body),
    )
    assert answer.status == 200
    assert answer.value(b"x-portkey-provider") == provider.encode()
    [received] = upstream.take()
    assert (received.target, received.body) == ("/some/where/v2/chat/completions", sent)
    assert received.values(b"content-length") == [b"%d" % len(sent)]
    wait_until_interpreted(gateway.database)
    found = row(gateway.database, trace)
    assert (found["provider"], found["request_size"]) == (provider, len(body))
    assert "@" not in found["requested_model"]


@pytest.mark.parametrize(
    ("path", "is_kept"), [(b"/v1/chat/completions", False), (b"/up/v1/chat/completions", True)]
)
def test_of_a_body_that_breaks_off_no_more_is_kept_than_any_provider_that_it_may_name_allows(
    gateway: RunningGateway, upstream: UpstreamProcess, path: bytes, is_kept: bool
) -> None:
    trace = upstream.name() + "-broken-off"
    body = b'{"messages":[{"role":"user","content":"private"}],"model":"@quiet/gpt"}'
    with Connection(gateway.port) as caller:
        caller.send(request(b"POST", path, JSON, b"x-portkey-trace-id: " + trace.encode(), body=body)[:-9])
    logged = wait_for_row(gateway.database, trace)
    assert (logged["outcome"], logged["request_size"]) == ("client_closed", len(body) - 9)
    assert (payload(gateway.database, logged["seq"]) is not None) == is_kept


@pytest.mark.parametrize(
    ("path", "fields", "body"),
    [
        (b"/v1/chat/completions", (), b'{"model":"@cf/meta/llama"}'),
        (b"/v1/chat/completions", (), b'{"model":"@deep"}'),
        (b"/v1/chat/completions", (), b'{"model":"@deep/"}'),
        (b"/v1/chat/completions", (), b'{"model":"gpt","metadata":{"model":"@deep/gpt"}}'),
        (b"/v1/chat/completions", (), b'[{"model":"@deep/gpt"}]'),
        (b"/v1/chat/completions", (), b'{"model":"@deep/gpt"'),
        (
            b"/v1/chat/completions",
            (b"Content-Encoding: gzip",),
            gzip.compress(b'{"model":"@deep/gpt"}', mtime=0),
        ),
        (b"/up/v1/chat/completions", (), b'{"model":"@deep/gpt"}'),
    ],
)
def test_all_other_bodies_go_on_as_they_are(
    gateway: RunningGateway, upstream: UpstreamProcess, path: bytes, fields: tuple[bytes, ...], body: bytes
) -> None:
    upstream.take()
    answer = call(gateway.port, request(b"POST", path, JSON, *fields, body=body))
    assert answer.value(b"x-portkey-provider") == b"up"
    [received] = upstream.take()
    assert received.body == body


def test_a_body_in_chunks_is_not_looked_into(gateway: RunningGateway, upstream: UpstreamProcess) -> None:
    upstream.take()
    body = b'{"model":"@deep/gpt"}'
    answer = call(gateway.port, request(b"POST", b"/v1/chat/completions", JSON, body=body, is_chunked=True))
    assert answer.value(b"x-portkey-provider") == b"up"
    [received] = upstream.take()
    assert received.body == body


def test_what_may_be_kept_is_what_the_provider_that_is_called_allows(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    trace = upstream.name() + "-quiet"
    body = b'{"model":"@quiet/gpt"}'
    fields = (JSON, b"x-portkey-trace-id: " + trace.encode())
    assert call(gateway.port, request(b"POST", b"/v1/chat/completions", *fields, body=body)).status == 200
    found = row(gateway.database, trace)
    assert (found["provider"], found["payloads"]) == ("quiet", "off")


def test_what_holds_too_much_names_nobody() -> None:
    body = b'{"model":"@deep/gpt","a":[' + b"1," * (MAX_INSPECTED_BYTES // 2) + b"1]}"
    assert provider_in_model(body) is None


def test_an_escaped_name_of_the_key_leaves_the_body_as_it_is() -> None:
    body = rb'{"mod\u0065l":"@deep/gpt"}'
    assert without_model_prefix(body) == body
