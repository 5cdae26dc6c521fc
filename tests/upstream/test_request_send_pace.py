from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

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
    upload,
)

MEBIBYTE = 1024 * 1024


async def test_an_upload_goes_no_faster_than_it_is_taken(serve: Serve, upstream: Upstream) -> None:
    taken, go_on = 0, asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal taken
        for _ in range(64):
            taken += 1
            yield b"x" * MEBIBYTE

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await go_on.wait()
        await peer.reader.readuntil(b"0\r\n\r\n")
        await peer.send(OK)
        await peer.gone()

    server = await serve(script)
    call = asyncio.create_task(upstream.send(upload(pieces()), server.origin, PATIENT))
    await eventually(lambda: taken > 0)
    await asyncio.sleep(0.1)
    assert taken < 32
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    go_on.set()


@pytest.mark.parametrize("is_iterator", [False, True])
async def test_an_upstream_that_stops_reading_times_out(
    serve: Serve, upstream: Upstream, is_iterator: bool
) -> None:
    never = asyncio.Event()

    async def script(peer: Peer) -> None:
        await never.wait()

    server = await serve(script)
    body = b"x" * (32 * MEBIBYTE)
    outgoing = upload(pieces_of(body, body)) if is_iterator else request(body)
    with pytest.raises(ExchangeTimedOut, match=r"took nothing of the request for 0\.1 s") as caught:
        await upstream.send(outgoing, server.origin, Timeouts(idle=0.1))
    assert caught.value.phase == "request"
    await eventually(lambda: not upstream.stats().open_connections)
    never.set()


async def test_an_upstream_that_reads_slowly_is_given_time(serve: Serve, upstream: Upstream) -> None:
    size = 24 * MEBIBYTE

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        left = size
        while left:
            await asyncio.sleep(0.005)
            left -= len(await peer.reader.read(128 * 1024))
        await peer.send(OK)
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(request(b"x" * size), server.origin, Timeouts(idle=0.25))
    assert await read_all(response) == b"ok"


async def test_a_caller_that_is_slow_to_send_is_not_the_upstreams_fault(
    serve: Serve, upstream: Upstream
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        await asyncio.sleep(0.2)
        yield b"b"

    server = await serve(answering())
    limits = Timeouts(connect=20, first_byte=0.1, idle=0.1)
    response = await upstream.send(upload(pieces()), server.origin, limits)
    assert await read_all(response) == b"ok"


async def test_the_first_byte_is_waited_for_from_the_end_of_the_upload(
    serve: Serve, upstream: Upstream
) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.gone()

    server = await serve(script)
    with pytest.raises(ExchangeTimedOut, match=r"did not answer within 0\.05 s"):
        await upstream.send(upload(pieces_of(b"a")), server.origin, Timeouts(first_byte=0.05))
