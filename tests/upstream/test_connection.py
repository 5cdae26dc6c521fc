from __future__ import annotations

import asyncio

import pytest

from gateway.upstream.client import Upstream, dial
from gateway.upstream.connection import Connection
from gateway.upstream.errors import ExchangeFailed
from gateway.upstream.request import Deadlines, encode_head
from gateway.upstream.response import UpstreamResponse
from tests.upstream.conftest import Serve
from tests.upstream.scripted_server import PATIENT, Peer, answering, eventually, read_all, request, saying

HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"
HALF_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 O", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_connection_closed_before_its_answer_is_an_error(
    serve: Serve, upstream: Upstream, start: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(start)

    server = await serve(script)
    with pytest.raises(ExchangeFailed, match="closed the connection before answering") as caught:
        await upstream.send(request(), server.origin, PATIENT)
    assert caught.value.phase == "head"
    assert f"127.0.0.1:{server.port}" in caught.value.message
    assert server.accepted == 1


async def test_a_reset_before_the_answer_is_an_error(serve: Serve, upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    server = await serve(script)
    with pytest.raises(ExchangeFailed, match="before answering"):
        await upstream.send(request(), server.origin, PATIENT)


@pytest.mark.parametrize("answer", [HALF, HALF_CHUNKED, HALF_CHUNKED + b"9\r\nend", HALF_CHUNKED + b"0\r\n"])
@pytest.mark.parametrize("is_reset", [False, True])
async def test_a_body_that_breaks_off_gives_what_came_and_then_an_error(
    serve: Serve, upstream: Upstream, answer: bytes, is_reset: bool
) -> None:
    has_read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(answer)
        await has_read.wait()
        if is_reset:
            peer.reset()

    server = await serve(script)
    response = await upstream.send(request(), server.origin, PATIENT)
    assert (await response.read())[:4] == b"half"
    has_read.set()
    with pytest.raises(ExchangeFailed, match="broke off the body") as caught:
        await read_all(response)
    assert caught.value.phase == "body"
    assert not response.is_finished()
    await eventually(lambda: not upstream.stats().open_connections)


async def test_a_close_delimited_body_that_is_reset_is_an_error(serve: Serve, upstream: Upstream) -> None:
    has_read = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await has_read.wait()
        peer.reset()

    server = await serve(script)
    response = await upstream.send(request(), server.origin, PATIENT)
    assert await response.read() == b"half"
    has_read.set()
    with pytest.raises(ExchangeFailed, match="broke off the body"):
        await response.read()


async def test_what_arrived_before_the_connection_broke_can_still_be_read(
    serve: Serve, upstream: Upstream
) -> None:
    server = await serve(saying(HALF_CHUNKED + b"zz\r\n"))
    response = await upstream.send(request(), server.origin, PATIENT)
    await eventually(lambda: not upstream.stats().open_connections)
    assert await response.read() == b"half"
    with pytest.raises(ExchangeFailed, match="not HTTP"):
        await response.read()


async def test_something_that_is_not_http_is_an_error(serve: Serve, upstream: Upstream) -> None:
    server = await serve(saying(b"220 smtp.example ESMTP\r\n"))
    with pytest.raises(ExchangeFailed, match="answered with something that is not HTTP") as caught:
        await upstream.send(request(), server.origin, PATIENT)
    assert caught.value.phase == "head"
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


async def test_a_server_that_speaks_first_gets_no_request_answered(serve: Serve, upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"220 smtp.example ESMTP\r\n")
        await peer.gone()

    server = await serve(script)
    with pytest.raises(ExchangeFailed):
        await upstream.send(request(), server.origin, PATIENT)
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


async def test_responses_survive_a_segment_border_at_any_byte(serve: Serve, upstream: Upstream) -> None:
    wire = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n1\r\n!\r\n0\r\nT: t\r\n\r\n"

    async def script(peer: Peer) -> None:
        for position in range(1, len(wire)):
            await peer.answer(wire[:position])
            await asyncio.sleep(0)
            await peer.send(wire[position:])
        await peer.gone()

    server = await serve(script)
    for _ in range(1, len(wire)):
        response = await upstream.send(request(), server.origin, PATIENT)
        assert response.headers == ((b"Transfer-Encoding", b"chunked"),)
        assert await read_all(response) == b"ok!"
    assert server.accepted == 1


async def test_cancelling_a_call_that_waits_for_its_answer_drops_the_connection(
    serve: Serve, upstream: Upstream
) -> None:
    server = await serve(saying(b"HTTP/1.1 100 Continue\r\n\r\n"))
    call = asyncio.create_task(upstream.send(request(), server.origin, PATIENT))
    await eventually(lambda: server.connected == 1 and upstream.stats().open_connections == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


async def test_cancelling_a_read_drops_the_connection(serve: Serve, upstream: Upstream) -> None:
    server = await serve(saying(HALF))
    response = await upstream.send(request(), server.origin, PATIENT)
    await response.read()
    reading = asyncio.create_task(response.read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


class Canceller:
    """Cancels a call in the moment in which its connection comes back."""

    call: asyncio.Task[UpstreamResponse]

    def release(self, connection: Connection) -> None:
        self.call.cancel()

    def on_closed(self, connection: Connection) -> None:
        pass


async def test_a_call_cancelled_after_its_whole_answer_came_leaves_the_connection_alone(serve: Serve) -> None:
    server = await serve(answering())
    deadlines = Deadlines.from_now(asyncio.get_running_loop().time(), PATIENT)
    owner = Canceller()
    connection = await dial(server.origin, deadlines, lambda: Connection(server.origin, owner))
    owner.call = asyncio.create_task(connection.exchange(request(), encode_head(request()), deadlines))
    with pytest.raises(asyncio.CancelledError):
        await owner.call
    assert connection.is_open
    connection.close()
