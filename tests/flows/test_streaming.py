"""What a caller sees, and when: in lock-step with the provider, so that order is proved without a clock."""

from __future__ import annotations

import pytest

from tests.gateway_process import RunningGateway
from tests.raw_http import LAST_CHUNK, Connection, call, chunk, request
from tests.scripted_upstream import (
    ECHO,
    EVENT_STREAM,
    READ,
    UpstreamProcess,
    answer,
    head,
    note,
    read,
    send,
    wait,
)
from tests.scripted_upstream import chunk as send_chunk
from tests.upstream_server import Step

CHUNKED = b"Transfer-Encoding: chunked"


def test_each_event_reaches_the_caller_before_the_provider_sends_the_next(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    events = [b"data: %d\n\n" % number for number in range(5)]
    gates = [upstream.name() for _ in events]
    script = [READ, head(b"200 OK", EVENT_STREAM, CHUNKED)]
    for event, gate in zip(events, gates, strict=True):
        script += [send_chunk(event), wait(gate)]
    with Connection(gateway.port) as caller:
        caller.send(request(b"POST", b"/v1/chat/completions", upstream.script(*script, send_chunk(b""))))
        assert caller.head().status == 200
        for event, gate in zip(events, gates, strict=True):
            assert caller.chunk() == event
            upstream.open(gate)
        assert caller.chunk() == b""


@pytest.mark.parametrize("framing", [CHUNKED, b"Content-Length: 5", b"Connection: close"])
def test_the_head_reaches_the_caller_before_the_provider_begins_the_body(
    gateway: RunningGateway, upstream: UpstreamProcess, framing: bytes
) -> None:
    gate = upstream.name()
    body: list[Step] = [send_chunk(b"later"), send_chunk(b"")] if framing == CHUNKED else [send(b"later")]
    script = upstream.script(READ, head(b"200 OK", framing), wait(gate), *body, ["close"])
    with Connection(gateway.port) as caller:
        caller.send(request(b"GET", b"/v1/models", script))
        answer = caller.head()
        assert answer.status == 200
        upstream.open(gate)
        is_chunked = bool(answer.values(b"transfer-encoding"))
        assert (caller.chunk() if is_chunked else caller.read(5)) == b"later"


def test_only_streams_of_events_tell_proxies_not_to_buffer(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    for content_type, expected in ((EVENT_STREAM, [b"no"]), (b"Content-Type: application/json", [])):
        script = upstream.script(*answer(b"{}", content_type))
        told = call(gateway.port, request(b"POST", b"/v1/chat/completions", script))
        assert told.values(b"x-accel-buffering") == expected


def test_half_an_event_and_half_a_character_go_on_as_they_come(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    pieces = [b"da", b"ta: \xe2\x82", b"\xac\n", b"\n"]
    gates = [upstream.name() for _ in pieces]
    script = [READ, head(b"200 OK", EVENT_STREAM, CHUNKED)]
    for piece, gate in zip(pieces, gates, strict=True):
        script += [send_chunk(piece), wait(gate)]
    with Connection(gateway.port) as caller:
        caller.send(request(b"POST", b"/v1/chat/completions", upstream.script(*script, send_chunk(b""))))
        caller.head()
        for piece, gate in zip(pieces, gates, strict=True):
            assert caller.chunk() == piece
            upstream.open(gate)
        assert caller.chunk() == b""


@pytest.mark.parametrize("is_chunked", [True, False])
def test_an_upload_reaches_the_provider_while_the_caller_still_sends(
    gateway: RunningGateway, upstream: UpstreamProcess, is_chunked: bool
) -> None:
    pieces = [letter * 40_000 for letter in (b"a", b"b", b"c")]
    notes = [upstream.name() for _ in pieces]
    script: list[Step] = []
    for piece, name in zip(pieces, notes, strict=True):
        script += [read(len(piece)), note(name)]
    framing = CHUNKED if is_chunked else b"Content-Length: 120000"
    with Connection(gateway.port) as caller:
        named = upstream.script(*script, READ, ECHO)
        caller.send(request(b"POST", b"/v1/files", named, framing))
        for piece, name in zip(pieces, notes, strict=True):
            caller.send(chunk(piece) if is_chunked else piece)
            upstream.reached(name)
        caller.send(LAST_CHUNK if is_chunked else b"")
        assert caller.response().status == 200
    [received] = upstream.take()[-1:]
    assert received.body == b"".join(pieces)
    assert received.values(b"transfer-encoding") == ([b"chunked"] if is_chunked else [])


def test_an_answer_that_comes_during_the_upload_reaches_the_caller_at_once(
    gateway: RunningGateway, upstream: UpstreamProcess
) -> None:
    script = upstream.script(
        read(10),
        head(b"200 OK", EVENT_STREAM, CHUNKED),
        send_chunk(b"data: early\n\n"),
        READ,
        send_chunk(b""),
    )
    with Connection(gateway.port) as caller:
        caller.send(request(b"POST", b"/v1/files", script, CHUNKED) + chunk(b"0123456789"))
        assert caller.head().status == 200
        assert caller.chunk() == b"data: early\n\n"
        caller.send(LAST_CHUNK)
        assert caller.chunk() == b""
