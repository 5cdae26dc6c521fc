from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.upstream.client import Upstream
from gateway.upstream.errors import ExchangeFailed, ExchangeTimedOut
from gateway.upstream.request import OutgoingRequest, Timeouts
from tests.upstream.conftest import Serve
from tests.upstream.scripted_server import (
    OK,
    PATIENT,
    Peer,
    answering,
    endless,
    eventually,
    pieces_of,
    read_all,
    request,
    upload,
)

TOO_LARGE = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno"
MEBIBYTE = 1024 * 1024


async def received(serve: Serve, upstream: Upstream, outgoing: OutgoingRequest) -> bytes:
    """The body of a request as it was on the wire."""
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.answer(OK))
        await peer.gone()

    server = await serve(script)
    assert await read_all(await upstream.send(outgoing, server.origin, PATIENT)) == b"ok"
    return seen[0].partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("name", [b"transfer-encoding", b"Transfer-Encoding"])
async def test_each_piece_goes_out_as_a_chunk(serve: Serve, upstream: Upstream, name: bytes) -> None:
    pieces = pieces_of(b"hello", b"", b"x" * 17)
    body = await received(serve, upstream, upload(pieces, (name, b"Chunked")))
    assert body == b"5\r\nhello\r\n11\r\n" + b"x" * 17 + b"\r\n0\r\n\r\n"


async def test_pieces_go_out_as_they_are_under_a_content_length(serve: Serve, upstream: Upstream) -> None:
    outgoing = upload(pieces_of(b"hel", b"", b"lo"), (b"content-length", b"5"))
    assert await received(serve, upstream, outgoing) == b"hello"


@pytest.mark.parametrize(("body", "wire"), [(b"abc", b"3\r\nabc\r\n0\r\n\r\n"), (b"", b"0\r\n\r\n")])
async def test_a_body_at_hand_is_framed_as_the_headers_say(
    serve: Serve, upstream: Upstream, body: bytes, wire: bytes
) -> None:
    outgoing = OutgoingRequest("POST", "/", ((b"transfer-encoding", b"chunked"),), body)
    assert await received(serve, upstream, outgoing) == wire


@pytest.mark.parametrize("size", [64 * 1024, 64 * 1024 + 1, 8 * MEBIBYTE])
async def test_bodies_of_any_size_arrive_whole(serve: Serve, upstream: Upstream, size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    assert await received(serve, upstream, request(body)) == body
    assert upstream.stats().idle_connections == 1


async def test_the_answer_may_begin_before_the_request_is_over(serve: Serve, upstream: Upstream) -> None:
    has_answered = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"ping"
        await has_answered.wait()
        yield b"pong"

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"ping\r\n")
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        await peer.send((await peer.reader.readuntil(b"0\r\n\r\n"))[3:7])
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(upload(pieces()), server.origin, Timeouts(idle=0.05))
    await asyncio.sleep(0.2)
    has_answered.set()
    assert await read_all(response) == b"pong"
    assert upstream.stats().idle_connections == 1


async def test_an_early_error_is_delivered_and_ends_the_sending(serve: Serve, upstream: Upstream) -> None:
    is_closed = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            async for piece in endless():
                yield piece
        finally:
            is_closed.set()

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"first\r\n")
        await peer.send(TOO_LARGE)
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(upload(pieces()), server.origin, PATIENT)
    assert response.status == 413
    assert await read_all(response) == b"no"
    await asyncio.wait_for(is_closed.wait(), 10)
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


async def test_an_early_error_without_end_times_out_although_the_body_is_not_sent(
    serve: Serve, upstream: Upstream
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"first\r\n")
        await peer.send(TOO_LARGE[:-1])
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(upload(endless()), server.origin, Timeouts(idle=0.05, total=10))
    with pytest.raises(ExchangeTimedOut, match="sent nothing of the body"):
        await read_all(response)
    await eventually(lambda: not server.connected)


async def test_an_answer_complete_before_its_request_ends_the_sending(
    serve: Serve, upstream: Upstream
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"first\r\n")
        await peer.send(OK)
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(upload(endless()), server.origin, PATIENT)
    assert await read_all(response) == b"ok"
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


async def test_a_large_body_that_was_not_taken_costs_the_connection(serve: Serve, upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"\r\n\r\n")
        await peer.send(TOO_LARGE)
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(request(b"x" * (32 * MEBIBYTE)), server.origin, PATIENT)
    assert await read_all(response) == b"no"
    assert upstream.stats().idle_connections == 0
    await eventually(lambda: not upstream.stats().open_connections)


class ClientGone(Exception):
    pass


async def broken() -> AsyncIterator[bytes]:
    yield b"first"
    raise ClientGone


async def test_an_error_of_the_bodys_iterator_comes_out_as_it_is(serve: Serve, upstream: Upstream) -> None:
    server = await serve(answering())
    with pytest.raises(ClientGone):
        await upstream.send(upload(broken()), server.origin, PATIENT)
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


async def test_an_error_of_the_bodys_iterator_after_the_head_comes_out_of_read(
    serve: Serve, upstream: Upstream
) -> None:
    has_answered = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        await has_answered.wait()
        raise ClientGone

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"first\r\n")
        await peer.send(OK[:-2])
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(upload(pieces()), server.origin, PATIENT)
    has_answered.set()
    with pytest.raises(ClientGone):
        await response.read()
    await eventually(lambda: not server.connected)


async def test_a_body_whose_iterator_is_cancelled_ends_the_call(serve: Serve, upstream: Upstream) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        raise asyncio.CancelledError

    server = await serve(answering())
    with pytest.raises(ExchangeFailed, match="body was cancelled"):
        await upstream.send(upload(pieces()), server.origin, PATIENT)
    await eventually(lambda: not server.connected)


async def test_cancelling_a_call_cancels_its_upload(serve: Serve, upstream: Upstream) -> None:
    has_begun, is_closed = asyncio.Event(), asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            has_begun.set()
            yield b"first"
            await asyncio.get_running_loop().create_future()
        finally:
            is_closed.set()

    server = await serve(answering())
    call = asyncio.create_task(upstream.send(upload(pieces()), server.origin, PATIENT))
    await asyncio.wait_for(has_begun.wait(), 10)
    await eventually(lambda: server.connected == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(is_closed.wait(), 10)
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)
