from __future__ import annotations

import asyncio

import pytest

from gateway.upstream.client import Upstream
from gateway.upstream.errors import ExchangeFailed
from tests.upstream.conftest import Serve
from tests.upstream.scripted_server import OK, PATIENT, Peer, endless, eventually, read_all, request, upload


@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_request_on_a_connection_that_just_died_is_sent_on_another(
    serve: Serve, upstream: Upstream, is_reset: bool
) -> None:
    seen: list[tuple[int, bytes]] = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append((peer.number, await peer.request()))
            if peer.number == 0 and len(seen) == 2:
                if is_reset:
                    peer.reset()
                return
            await peer.send(OK)

    server = await serve(script)
    for _ in range(2):
        response = await upstream.send(request(b"same"), server.origin, PATIENT)
        assert await read_all(response) == b"ok"
    assert [number for number, _ in seen] == [0, 0, 1]
    assert len({data for _, data in seen}) == 1


async def test_every_kept_connection_may_be_dead_before_a_new_one_is_made(
    serve: Serve, upstream: Upstream
) -> None:
    barrier, count = asyncio.Event(), 0

    async def script(peer: Peer) -> None:
        nonlocal count
        await peer.request()
        count += 1
        if peer.number < 3:
            if count == 3:
                barrier.set()
            await barrier.wait()
            await peer.send(OK)
            await peer.reader.readexactly(1)
            return
        await peer.send(OK)
        await peer.gone()

    server = await serve(script)
    await asyncio.gather(*[upstream.send(request(), server.origin, PATIENT) for _ in range(3)])
    assert upstream.stats().idle_connections == 3
    response = await upstream.send(request(), server.origin, PATIENT)
    assert await read_all(response) == b"ok"
    assert server.accepted == 4


async def test_a_new_connection_that_dies_is_not_tried_again(serve: Serve, upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        if peer.number == 0:
            await peer.answer(OK)
        await peer.request()

    server = await serve(script)
    await upstream.send(request(), server.origin, PATIENT)
    with pytest.raises(ExchangeFailed, match="before answering"):
        await upstream.send(request(), server.origin, PATIENT)
    assert server.accepted == 2


async def test_a_request_is_not_repeated_once_a_byte_of_its_answer_came(
    serve: Serve, upstream: Upstream
) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.answer(b"H")

    server = await serve(script)
    await upstream.send(request(), server.origin, PATIENT)
    with pytest.raises(ExchangeFailed, match="before answering"):
        await upstream.send(request(), server.origin, PATIENT)
    assert server.accepted == 1


async def test_a_body_that_was_read_from_its_iterator_is_not_repeated(
    serve: Serve, upstream: Upstream
) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await peer.reader.readuntil(b"first")

    server = await serve(script)
    await upstream.send(request(), server.origin, PATIENT)
    with pytest.raises(ExchangeFailed, match="before answering") as caught:
        await upstream.send(upload(endless()), server.origin, PATIENT)
    assert caught.value.phase == "request"
    assert server.accepted == 1


@pytest.mark.parametrize("farewell", [b"", b"HTTP/1.1 408 Request Timeout\r\n\r\n"])
async def test_an_idle_connection_on_which_anything_happens_is_let_go(
    serve: Serve, upstream: Upstream, farewell: bytes
) -> None:
    is_over = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(OK)
        await is_over.wait()
        await peer.send(farewell)
        if farewell:
            await peer.gone()

    server = await serve(script)
    await upstream.send(request(), server.origin, PATIENT)
    assert upstream.stats().idle_connections == 1
    is_over.set()
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)
    assert upstream.stats().idle_connections == 0
