from __future__ import annotations

import asyncio

import pytest

from gateway.errors import BadInput
from gateway.upstream.client import Upstream
from gateway.upstream.errors import ExchangeFailed
from gateway.upstream.request import OutgoingRequest, Timeouts
from tests.upstream.conftest import Serve
from tests.upstream.scripted_server import OK, PATIENT, Peer, answering, eventually, read_all, request, saying


async def test_bytes_go_both_ways_as_they_are(serve: Serve, upstream: Upstream) -> None:
    received: list[bytes] = []

    async def script(peer: Peer) -> None:
        received.append(
            await peer.answer(
                b"HTTP/1.1 418 I'm  a teapot\r\nX-B: 1\r\nx-b: \xff\r\nContent-Length: 4\r\n\r\n\x00\r\n\xff"
            )
        )
        await peer.gone()

    server = await serve(script)
    fields = ((b"Host", b"h"), (b"X-Z", b"1"), (b"x-z", b"\xe9"), (b"content-length", b"3"))
    response = await upstream.send(
        OutgoingRequest("POST", "/a?b=%20", fields, b"\x00\xff\n"), server.origin, PATIENT
    )

    assert received == [
        b"POST /a?b=%20 HTTP/1.1\r\nHost: h\r\nX-Z: 1\r\nx-z: \xe9\r\ncontent-length: 3\r\n\r\n\x00\xff\n"
    ]
    assert (response.status, response.reason) == (418, b"I'm  a teapot")
    assert response.headers == ((b"X-B", b"1"), (b"x-b", b"\xff"), (b"Content-Length", b"4"))
    assert response.content_length == 4
    assert await read_all(response) == b"\x00\r\n\xff"


async def test_exchanges_one_after_the_other_share_a_connection(serve: Serve, upstream: Upstream) -> None:
    server = await serve(
        saying(
            OK,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK,
        )
    )
    bodies = []
    for method in ("POST", "POST", "POST", "HEAD", "POST"):
        response = await upstream.send(request(method=method), server.origin, PATIENT)
        bodies.append(await read_all(response))
        assert upstream.stats().idle_connections == 1
    assert bodies == [b"ok", b"abc", b"", b"", b"ok"]
    assert server.accepted == 1


async def test_a_connection_is_free_before_its_response_has_been_read(
    serve: Serve, upstream: Upstream
) -> None:
    server = await serve(answering())
    first = await upstream.send(request(), server.origin, PATIENT)
    second = await upstream.send(request(), server.origin, PATIENT)
    assert await read_all(first) == await read_all(second) == b"ok"
    assert server.accepted == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok?",
    ],
)
async def test_a_connection_that_must_not_be_used_again_is_closed(
    serve: Serve, upstream: Upstream, answer: bytes
) -> None:
    server = await serve(saying(answer))
    for _ in range(2):
        response = await upstream.send(request(), server.origin, PATIENT)
        assert await read_all(response) == b"ok"
    assert server.accepted == 2
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


async def test_a_close_delimited_body_is_complete_at_the_end_of_the_connection(
    serve: Serve, upstream: Upstream
) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.0 200 OK\r\n\r\nall of ")
        await peer.send(b"it")

    server = await serve(script)
    response = await upstream.send(request(), server.origin, PATIENT)
    assert response.content_length is None
    assert await read_all(response) == b"all of it"
    assert response.is_finished()
    await eventually(lambda: not upstream.stats().open_connections)


async def test_a_request_that_cannot_be_sent_opens_no_connection(serve: Serve, upstream: Upstream) -> None:
    server = await serve(answering())
    with pytest.raises(BadInput):
        await upstream.send(OutgoingRequest("GET", "/\r\nx: y", (), b""), server.origin, PATIENT)
    assert upstream.stats().open_connections == 0
    assert server.accepted == 0


async def test_stats_count_open_idle_and_waiting(serve: Serve, upstream: Upstream) -> None:
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 1:
            await release.wait()
        await peer.send(OK)
        await peer.gone()

    server = await serve(script, max_connections=2)
    await read_all(await upstream.send(request(), server.origin, PATIENT))
    stats = upstream.stats()
    assert (stats.open_connections, stats.idle_connections, stats.waiting_requests) == (1, 1, 0)

    tasks = [asyncio.create_task(upstream.send(request(), server.origin, PATIENT)) for _ in range(3)]
    await eventually(lambda: upstream.stats().waiting_requests == 1)
    assert upstream.stats().idle_connections == 0
    await upstream.close()
    release.set()
    assert all(
        isinstance(end, ExchangeFailed) for end in await asyncio.gather(*tasks, return_exceptions=True)
    )
    stats = upstream.stats()
    assert (stats.open_connections, stats.idle_connections, stats.waiting_requests) == (0, 0, 0)


async def test_closing_fails_what_is_under_way_and_refuses_what_comes_later(
    serve: Serve, upstream: Upstream
) -> None:
    server = await serve(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"))
    response = await upstream.send(request(), server.origin, PATIENT)
    await upstream.close()
    assert await response.read() == b"half"
    with pytest.raises(ExchangeFailed, match="closed here"):
        await response.read()
    with pytest.raises(ExchangeFailed, match="closed"):
        await upstream.send(request(), server.origin, PATIENT)
    await eventually(lambda: not server.connected)


async def test_many_exchanges_at_once_do_not_mix(serve: Serve, upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        while True:
            body = (await peer.request()).partition(b"\r\n\r\n")[2]
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            await peer.send(body)

    server = await serve(script)

    async def talk(name: int) -> None:
        for turn in range(20):
            body = b"%d.%d" % (name, turn)
            response = await upstream.send(request(body), server.origin, Timeouts())
            assert await read_all(response) == body

    await asyncio.gather(*[talk(name) for name in range(20)])
    assert server.accepted <= 20
