from __future__ import annotations

import asyncio

import pytest

from gateway.upstream.client import Upstream
from gateway.upstream.errors import ExchangeFailed
from gateway.upstream.response import MAX_UNREAD_BYTES
from tests.upstream.conftest import Serve
from tests.upstream.scripted_server import OK, PATIENT, Peer, answering, eventually, read_all, request, saying


async def test_read_returns_all_that_has_arrived(serve: Serve, upstream: Upstream) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n")
        await go_on.wait()
        await peer.send(b"1\r\nd\r\n0\r\n\r\n")
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(request(), server.origin, PATIENT)
    assert await response.read() == b"abc"
    go_on.set()
    assert await response.read() == b"d"
    assert await response.read() == b""
    assert await response.read() == b""


async def test_the_last_piece_is_known_to_be_the_last(serve: Serve, upstream: Upstream) -> None:
    server = await serve(answering())
    response = await upstream.send(request(), server.origin, PATIENT)
    assert not response.is_finished()
    assert await response.read() == b"ok"
    assert response.is_finished()


async def test_a_piece_is_not_the_last_while_the_end_is_open(serve: Serve, upstream: Upstream) -> None:
    server = await serve(saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"))
    response = await upstream.send(request(), server.origin, PATIENT)
    assert await response.read() == b"ok"
    assert not response.is_finished()
    response.close()


async def test_a_response_without_body_is_finished_at_once(serve: Serve, upstream: Upstream) -> None:
    server = await serve(saying(b"HTTP/1.1 204 No Content\r\n\r\n"))
    response = await upstream.send(request(), server.origin, PATIENT)
    assert response.content_length == 0
    assert response.is_finished()
    assert await response.read() == b""


async def test_closing_early_drops_the_connection(serve: Serve, upstream: Upstream) -> None:
    server = await serve(saying(OK[:-1]))
    response = await upstream.send(request(), server.origin, PATIENT)
    response.close()
    response.close()
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)
    with pytest.raises(ExchangeFailed, match="closed before its end"):
        await read_all(response)


async def test_closing_a_complete_response_keeps_its_connection_and_what_it_holds(
    serve: Serve, upstream: Upstream
) -> None:
    server = await serve(answering())
    first = await upstream.send(request(), server.origin, PATIENT)
    await eventually(lambda: upstream.stats().idle_connections == 1)
    second = await upstream.send(request(), server.origin, PATIENT)
    first.close()
    assert await read_all(first) == await read_all(second) == b"ok"
    assert server.accepted == 1


async def test_an_upstream_must_wait_for_a_slow_reader(serve: Serve, upstream: Upstream) -> None:
    piece, count, sent = b"x" * 65536, 1024, 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(piece) * count))
        for _ in range(count):
            await peer.send(piece)
            sent += 1
        await peer.gone()

    server = await serve(script)
    response = await upstream.send(request(), server.origin, PATIENT)
    await eventually(lambda: sent > 0)
    await asyncio.sleep(0.2)
    assert sent < count // 2
    first = await response.read()
    assert len(first) <= 4 * MAX_UNREAD_BYTES
    assert len(first) + len(await read_all(response)) == len(piece) * count
    assert upstream.stats().idle_connections == 1


async def test_a_connection_reused_while_its_last_response_lies_unread_still_reads(
    serve: Serve, upstream: Upstream
) -> None:
    size = 2 * MAX_UNREAD_BYTES
    large = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    server = await serve(saying(large, OK))
    first = await upstream.send(request(), server.origin, PATIENT)
    got = b""
    while upstream.stats().idle_connections == 0:
        got += await first.read()
    second = await upstream.send(request(), server.origin, PATIENT)
    assert await read_all(second) == b"ok"
    assert len(got + await read_all(first)) == size


async def test_forwarding_hands_each_piece_on_as_it_arrives(serve: Serve, upstream: Upstream) -> None:
    forwarded: list[bytes] = []
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        await go_on.wait()
        await peer.send(b"1\r\nb\r\n")
        await eventually(lambda: forwarded == [b"a", b"b"])
        await peer.send(b"1\r\nc\r\n0\r\n\r\n")
        await peer.gone()

    def sink(piece: bytes) -> bool:
        forwarded.append(piece)
        go_on.set()
        return True

    server = await serve(script)
    response = await upstream.send(request(), server.origin, PATIENT)
    await response.forward_to(sink)
    assert forwarded == [b"a", b"b", b"c"]
    assert response.is_finished()


async def test_forwarding_stops_when_the_sink_has_enough_and_nothing_is_lost(
    serve: Serve, upstream: Upstream
) -> None:
    server = await serve(saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"))
    response = await upstream.send(request(), server.origin, PATIENT)
    taken: list[bytes] = []

    def sink(piece: bytes) -> bool:
        taken.append(piece)
        return False

    await response.forward_to(sink)
    assert taken == [b"ok"]
    assert not response.is_finished()
    response.close()


async def test_what_a_sink_raises_comes_out_of_forwarding(serve: Serve, upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.send(b"2\r\nok\r\n")
        await peer.gone()

    def sink(piece: bytes) -> bool:
        raise ConnectionResetError("the caller has gone")

    server = await serve(script)
    response = await upstream.send(request(), server.origin, PATIENT)
    with pytest.raises(ConnectionResetError):
        await response.forward_to(sink)
    response.close()
    await eventually(lambda: not upstream.stats().open_connections)


async def test_a_body_that_breaks_off_is_forwarded_as_far_as_it_came(
    serve: Serve, upstream: Upstream
) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")

    server = await serve(script)
    response = await upstream.send(request(), server.origin, PATIENT)
    taken: list[bytes] = []

    def sink(piece: bytes) -> bool:
        taken.append(piece)
        return True

    with pytest.raises(ExchangeFailed):
        await response.forward_to(sink)
    assert taken == [b"ok"]
