"""What HTTP/1.1 allows on a caller's connection besides one request after the other."""

from __future__ import annotations

import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import rows
from tests.raw_http import LAST_CHUNK, Connection, call, chunk, request
from tests.scripted_upstream import READ, UpstreamProcess, answer, head, send

CHUNKED = b"Transfer-Encoding: chunked"


def test_many_requests_on_one_connection_share_a_connection_to_the_provider(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    script = upstream.script(*answer(b"ok"))
    upstream.take()
    with Connection(gateway.port) as caller:
        for number in range(100):
            body = b"%d" % number
            assert caller.call(request(b"POST", b"/v1/x", script, body=body)).body == b"ok"
    received = upstream.take()
    assert [one.body for one in received] == [b"%d" % number for number in range(100)]
    assert len({one.connection for one in received}) == 1


def test_pipelined_requests_are_answered_in_their_order(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    trace = b"x-portkey-trace-id: pipelined"
    scripts = [upstream.script(*answer(b"answer %d" % number)) for number in range(20)]
    chunked = upstream.script(READ, head(b"200 OK", CHUNKED), send(chunk(b"chunked") + LAST_CHUNK))
    calls = [
        request(b"POST", b"/v1/x", script, trace, body=b"x" * number) for number, script in enumerate(scripts)
    ]
    with Connection(gateway.port) as caller:
        caller.send(b"".join([*calls, request(b"GET", b"/v1/x", chunked, trace)]))
        bodies = [caller.response().body for _ in scripts]
        assert bodies == [b"answer %d" % number for number in range(20)]
        assert caller.response().body == b"chunked"
    sizes = [row["request_size"] for row in rows(gateway.database, "pipelined")]
    assert sizes == [*range(20), 0]


def test_a_caller_that_waits_to_be_told_is_told_to_send_its_body(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    expecting = request(b"POST", b"/v1/files", b"Expect: 100-continue", b"Content-Length: 5")
    upstream.take()
    with Connection(gateway.port) as caller:
        caller.send(expecting)
        assert caller.head().status == 100
        caller.send(b"12345")
        assert caller.response().status == 200
    [received] = upstream.take()
    assert received.body == b"12345"
    assert received.values(b"expect") == []


def test_a_caller_of_http_1_0_is_never_sent_an_interim_answer(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    fields = (b"Expect: 100-continue", b"Content-Length: 5")
    with Connection(gateway.port) as caller:
        caller.send(request(b"POST", b"/v1/files", *fields, version=b"HTTP/1.0") + b"12345")
        got = caller.response()
    assert (got.status, got.interim) == (200, [])


def test_a_caller_that_is_refused_is_not_told_to_send_its_body(gateway: RunningGateway) -> None:
    expecting = request(b"POST", b"/nobody/files", b"Expect: 100-continue", b"Content-Length: 5")
    with Connection(gateway.port) as caller:
        caller.send(expecting)
        got = caller.response()
    assert (got.status, got.interim) == (404, [])


def test_interim_answers_of_the_provider_are_not_passed_on(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    hints = send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
    got = call(gateway.port, request(b"GET", b"/v1/x", upstream.script(hints, *answer(b"ok"))))
    assert (got.status, got.interim, got.body) == (200, [], b"ok")


def test_a_request_to_upgrade_is_forwarded_without_the_wish(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    upstream.take()
    wish = (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk")
    got = call(gateway.port, request(b"GET", b"/v1/models", *wish))
    assert got.status == 200
    [received] = upstream.take()
    assert received.values(b"upgrade") == received.values(b"connection") == []


def test_the_host_that_the_provider_sees_is_its_own(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    upstream.take()
    call(gateway.port, request(b"GET", b"/v1/models"))
    [received] = upstream.take()
    assert received.fields[0] == (b"host", b"127.0.0.1:%d" % upstream.port)


@pytest.mark.parametrize(
    "wrong",
    [
        b"GET /v1/\xfc HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/x y HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v1/x HTTP/1.1\r\nHost: x\r\nX A: 1\r\n\r\n",
        b"GET /v1/x HTTP/1.1\r\nHost: x\r\nX-A: \x00\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /v1/x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"POST /v1/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused_and_reaches_nobody(
    gateway: RunningGateway, upstream: UpstreamProcess, wrong: bytes
) -> None:
    upstream.take()
    assert call(gateway.port, wrong).status == 400
    assert upstream.take() == []


def test_a_target_that_names_a_host_is_not_fetched_for_the_caller(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    upstream.take()
    for target in (b"http://127.0.0.1:%d/v1/models" % upstream.port, b"127.0.0.1:1", b"*"):
        method = {b"*": b"OPTIONS", b"127.0.0.1:1": b"CONNECT"}.get(target, b"GET")
        assert call(gateway.port, request(method, target)).status in (400, 404, 405)
    assert upstream.take() == []


def test_the_unread_rest_of_an_upload_is_not_taken_for_a_request(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    smuggled = request(b"GET", b"/v1/smuggled")
    upstream.take()
    with Connection(gateway.port) as caller:
        refused = request(b"POST", b"/nobody/files", b"Content-Length: %d" % len(smuggled))
        assert caller.call(refused + smuggled).status == 404
        assert caller.call(request(b"GET", b"/v1/next")).status == 200
    assert [received.target for received in upstream.take()] == ["/v1/next"]
