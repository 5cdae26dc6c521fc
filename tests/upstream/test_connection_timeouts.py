from __future__ import annotations

import asyncio

import pytest

from gateway.upstream.client import Upstream
from gateway.upstream.errors import ExchangeTimedOut
from gateway.upstream.request import Timeouts
from tests.upstream.conftest import Serve
from tests.upstream.scripted_server import (
    OK,
    PATIENT,
    Peer,
    answering,
    eventually,
    pieces_of,
    read_all,
    request,
    saying,
    upload,
)

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
HALF_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"


async def test_an_upstream_that_does_not_answer_times_out(serve: Serve, upstream: Upstream) -> None:
    server = await serve(saying(b"HTTP/1.1 102 Processing\r\n\r\n"))
    with pytest.raises(ExchangeTimedOut, match=r"did not answer within 0\.05 s") as caught:
        await upstream.send(request(), server.origin, Timeouts(first_byte=0.05))
    assert caught.value.phase == "head"
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


async def test_a_kept_connection_that_does_not_answer_times_out_and_is_not_repeated(
    serve: Serve, upstream: Upstream
) -> None:
    server = await serve(saying(OK, b""))
    await upstream.send(request(), server.origin, PATIENT)
    with pytest.raises(ExchangeTimedOut):
        await upstream.send(request(), server.origin, Timeouts(first_byte=0.05))
    assert server.accepted == 1


@pytest.mark.parametrize("more", [b"", b"5;" + b"x" * 1000])
async def test_a_body_that_stops_coming_times_out(serve: Serve, upstream: Upstream, more: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(HALF_CHUNKED)
        while more:
            await peer.send(more)
            await asyncio.sleep(0.01)
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(request(), server.origin, Timeouts(idle=0.05))
    assert await response.read() == b"half"
    with pytest.raises(ExchangeTimedOut, match=r"sent nothing of the body for 0\.05 s") as caught:
        await response.read()
    assert caught.value.phase == "body"
    await eventually(lambda: not upstream.stats().open_connections)


async def test_a_body_that_keeps_coming_may_take_longer_than_idle(serve: Serve, upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            await asyncio.sleep(0.05)
            await peer.send(b"x")
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(request(), server.origin, Timeouts(idle=0.4))
    assert await read_all(response) == b"x" * 10


@pytest.mark.parametrize(("answer", "phase"), [(b"", "head"), (HALF, "body")])
async def test_the_whole_call_has_a_limit(
    serve: Serve, upstream: Upstream, answer: bytes, phase: str
) -> None:
    server = await serve(saying(answer))
    with pytest.raises(ExchangeTimedOut, match=r"was not done within 0\.1 s") as caught:
        await read_all(await upstream.send(request(), server.origin, Timeouts(total=0.1)))
    assert caught.value.phase == phase
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


async def test_a_reader_that_takes_its_time_is_not_the_upstreams_fault(
    serve: Serve, upstream: Upstream
) -> None:
    size = 4 * 1024 * 1024

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(request(), server.origin, Timeouts(idle=0.05))
    await asyncio.sleep(0.3)
    assert len(await read_all(response)) == size


async def test_limits_start_anew_with_each_exchange_of_a_connection(serve: Serve, upstream: Upstream) -> None:
    server = await serve(answering())
    short = Timeouts(first_byte=0.2, idle=0.2, total=0.2)
    for _ in range(6):
        await read_all(await upstream.send(request(), server.origin, short))
        await asyncio.sleep(0.05)
    assert server.accepted == 1


async def test_an_empty_upload_is_an_exchange_like_any_other(serve: Serve, upstream: Upstream) -> None:
    server = await serve(answering())
    for _ in range(2):
        response = await upstream.send(upload(pieces_of()), server.origin, PATIENT)
        assert await read_all(response) == b"ok"
    assert server.accepted == 1
