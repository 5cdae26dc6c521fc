"""Callers that leave: the provider is let go at once, and the row says what happened."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.gateway_process import RunningGateway
from tests.log_reader import eventually, payload, read_metrics, wait_for_row
from tests.raw_http import Connection, chunk, request
from tests.scripted_upstream import EVENT_STREAM, GONE, READ, UpstreamProcess, head, note, read, send
from tests.upstream_server import Step

CHUNKED = b"Transfer-Encoding: chunked"

Leave = Callable[[Connection], None]
LEAVING = pytest.mark.parametrize("leave", [Connection.close, Connection.reset], ids=["closes", "resets"])


@LEAVING
def test_a_caller_that_leaves_before_the_head(
    gateway: RunningGateway, upstream: UpstreamProcess, leave: Leave
) -> None:
    trace, started, let_go = (upstream.name() for _ in range(3))
    script = upstream.script(READ, note(started), GONE, note(let_go))
    caller = Connection(gateway.port)
    caller.send(request(b"POST", b"/v1/chat/completions", script, _traced(trace), body=b"{}"))
    upstream.reached(started)
    leave(caller)
    upstream.reached(let_go)
    logged = _client_closed(gateway, trace)
    assert logged["status"] is None
    assert logged["request_size"] == 2


@LEAVING
def test_a_caller_that_leaves_in_the_middle_of_a_stream(
    gateway: RunningGateway, upstream: UpstreamProcess, leave: Leave
) -> None:
    trace, let_go = upstream.name(), upstream.name()
    stream = head(b"200 OK", EVENT_STREAM, CHUNKED)
    script = upstream.script(READ, stream, send(chunk(b"data: one\n\n")), GONE, note(let_go))
    caller = Connection(gateway.port)
    caller.send(request(b"POST", b"/v1/chat/completions", script, _traced(trace), body=b"{}"))
    caller.head()
    assert caller.chunk() == b"data: one\n\n"
    leave(caller)
    upstream.reached(let_go)
    logged = _client_closed(gateway, trace)
    assert logged["status"] == 200
    kept = payload(gateway.database, logged["seq"])
    assert kept is not None
    assert kept.response_body == b"data: one\n\n"


@LEAVING
def test_a_caller_that_leaves_while_much_is_on_its_way_to_it(
    gateway: RunningGateway, upstream: UpstreamProcess, leave: Leave
) -> None:
    trace = upstream.name()
    endless: list[Step] = [["fill", 2**30]]
    script = upstream.script(READ, head(b"200 OK", b"Content-Length: %d" % 2**30), *endless)
    caller = Connection(gateway.port)
    caller.send(request(b"GET", b"/v1/files/1/content", script, _traced(trace)))
    caller.head()
    caller.read(100_000)
    leave(caller)
    assert _client_closed(gateway, trace)["status"] == 200


@LEAVING
@pytest.mark.parametrize("framing", [CHUNKED, b"Content-Length: 1000000"])
def test_a_caller_that_leaves_in_the_middle_of_its_upload(
    gateway: RunningGateway, upstream: UpstreamProcess, leave: Leave, framing: bytes
) -> None:
    trace, started, let_go = (upstream.name() for _ in range(3))
    script = upstream.script(read(1000), note(started), GONE, note(let_go))
    caller = Connection(gateway.port)
    piece = b"x" * 1000
    caller.send(request(b"POST", b"/v1/files", script, _traced(trace), framing))
    caller.send(chunk(piece) if framing == CHUNKED else piece)
    upstream.reached(started)
    leave(caller)
    upstream.reached(let_go)
    logged = _client_closed(gateway, trace)
    assert logged["status"] is None
    assert logged["request_size"] == 1000


@LEAVING
def test_a_caller_that_leaves_before_its_short_body_is_whole_never_reaches_the_provider(
    gateway: RunningGateway, upstream: UpstreamProcess, leave: Leave
) -> None:
    trace = upstream.name()
    upstream.take()
    caller = Connection(gateway.port)
    caller.send(request(b"POST", b"/v1/chat/completions", _traced(trace), b"Content-Length: 10") + b"half")
    eventually(lambda: read_metrics(gateway.url)["gateway_in_flight"] == 1)
    leave(caller)
    assert _client_closed(gateway, trace)["request_size"] == 4
    assert upstream.take() == []


@LEAVING
def test_a_caller_that_leaves_after_it_broke_the_framing_of_its_upload(
    gateway: RunningGateway, upstream: UpstreamProcess, leave: Leave
) -> None:
    trace, started, let_go = (upstream.name() for _ in range(3))
    script = upstream.script(read(5), note(started), GONE, note(let_go))
    caller = Connection(gateway.port)
    caller.send(request(b"POST", b"/v1/files", script, _traced(trace), CHUNKED) + chunk(b"12345"))
    upstream.reached(started)
    caller.send(b"this is no chunk\r\n")
    leave(caller)
    upstream.reached(let_go)
    assert _client_closed(gateway, trace)["request_size"] == 5


def _client_closed(gateway: RunningGateway, trace: str):  # type: ignore[no-untyped-def]
    """The row of a request whose caller left; by then nothing else is left of it."""
    logged = wait_for_row(gateway.database, trace)
    assert logged["outcome"] == "client_closed"
    eventually(lambda: read_metrics(gateway.url)["gateway_in_flight"] == 0)
    assert "Traceback" not in gateway.log()
    return logged


def _traced(trace: str) -> bytes:
    return b"x-portkey-trace-id: " + trace.encode()
