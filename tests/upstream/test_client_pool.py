from __future__ import annotations

import asyncio

import pytest

from gateway.upstream.client import Pool, Upstream
from gateway.upstream.connection import Connection
from gateway.upstream.errors import ExchangeFailed, ExchangeTimedOut
from gateway.upstream.request import Deadlines, Origin, Timeouts
from gateway.upstream.response import UpstreamResponse
from tests.upstream.conftest import Serve
from tests.upstream.scripted_server import (
    OK,
    PATIENT,
    Peer,
    ScriptedServer,
    answering,
    eventually,
    read_all,
    request,
    saying,
)

OPEN = OK[:-1]
"""An answer of which the last byte is missing."""


class Gate:
    """A script that finishes each answer only when asked to, and keeps the order in which requests came."""

    def __init__(self) -> None:
        self.order: list[bytes] = []
        self.finish = asyncio.Semaphore(0)

    async def __call__(self, peer: Peer) -> None:
        while True:
            self.order.append((await peer.request()).rpartition(b"\r\n")[2])
            await self.finish.acquire()
            await peer.send(OK)


def calls(upstream: Upstream, server: ScriptedServer, *bodies: bytes) -> list[asyncio.Task[UpstreamResponse]]:
    return [asyncio.create_task(upstream.send(request(body), server.origin, PATIENT)) for body in bodies]


async def test_there_are_never_more_connections_than_allowed(serve: Serve, upstream: Upstream) -> None:
    most = 0

    async def script(peer: Peer) -> None:
        nonlocal most
        while True:
            await peer.request()
            most = max(most, server.connected)
            await asyncio.sleep(0.001)
            await peer.send(OK)

    server = await serve(script, max_connections=3)
    for response in await asyncio.gather(*calls(upstream, server, *[b"x"] * 30)):
        assert await read_all(response) == b"ok"
    assert most == 3
    assert server.accepted == 3


async def test_who_waits_is_served_in_order(serve: Serve, upstream: Upstream) -> None:
    gate = Gate()
    server = await serve(gate, max_connections=1)
    bodies = [b"%d" % number for number in range(5)]
    tasks = calls(upstream, server, *bodies)
    await eventually(lambda: upstream.stats().waiting_requests == 4)
    for _ in bodies:
        gate.finish.release()
    await asyncio.gather(*tasks)
    assert gate.order == bodies


async def test_who_waits_gets_a_new_connection_when_the_old_one_is_lost(
    serve: Serve, upstream: Upstream
) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))

    server = await serve(script, max_connections=1)
    for response in await asyncio.gather(*calls(upstream, server, *[b"x"] * 4)):
        assert await read_all(response) == b"ok"
    assert server.accepted == 4


async def test_who_waits_too_long_times_out_and_leaves_the_line(serve: Serve, upstream: Upstream) -> None:
    gate = Gate()
    server = await serve(gate, max_connections=1)
    first = calls(upstream, server, b"first")[0]
    await eventually(lambda: gate.order == [b"first"])
    with pytest.raises(ExchangeTimedOut, match=r"none of the 1 connections .* within 0\.05 s") as caught:
        await upstream.send(request(), server.origin, Timeouts(connect=0.05))
    assert caught.value.phase == "connect"
    assert upstream.stats().waiting_requests == 0
    gate.finish.release()
    await first
    assert upstream.stats().idle_connections == 1


async def test_a_cancelled_waiter_leaves_the_line(serve: Serve, upstream: Upstream) -> None:
    gate = Gate()
    server = await serve(gate, max_connections=1)
    first, second, third = calls(upstream, server, b"0", b"1", b"2")
    await eventually(lambda: upstream.stats().waiting_requests == 2)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    assert upstream.stats().waiting_requests == 1
    gate.finish.release()
    gate.finish.release()
    await asyncio.gather(first, third)
    assert gate.order == [b"0", b"2"]


async def crowded(server: ScriptedServer) -> tuple[Pool, Connection, list[asyncio.Task[Connection]]]:
    """A pool whose only connection is taken, and two who wait for it."""
    pool = Pool(server.origin, lambda: None)
    deadlines = Deadlines.from_now(asyncio.get_running_loop().time(), PATIENT)
    connection = await pool.acquire(deadlines)
    waiters = [asyncio.create_task(pool.acquire(deadlines)) for _ in range(2)]
    await asyncio.sleep(0)
    assert pool.stats().waiting_requests == 2
    return pool, connection, waiters


async def test_a_waiter_cancelled_with_a_connection_in_hand_passes_it_on(serve: Serve) -> None:
    pool, connection, (first, second) = await crowded(await serve(answering(), max_connections=1))
    pool.release(connection)
    first.cancel()
    assert await second is connection
    pool.release(connection)
    assert pool.stats().idle_connections == 1
    await pool.close()


async def test_a_waiter_cancelled_with_a_slot_in_hand_passes_it_on(serve: Serve) -> None:
    server = await serve(answering(), max_connections=1)
    pool, connection, (first, second) = await crowded(server)
    connection.close()
    pool.on_closed(connection)
    first.cancel()
    assert await second is not connection
    assert pool.stats().open_connections == 1
    await pool.close()


async def test_waiters_are_turned_away_when_the_pool_closes(serve: Serve) -> None:
    pool, _, waiters = await crowded(await serve(answering(), max_connections=1))
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    waiters[0].cancel()  # has been failed by the closing, but is not awake yet
    await closing
    ends = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(end) for end in ends] == [asyncio.CancelledError, ExchangeFailed]


async def test_a_connection_that_died_idle_is_not_counted_as_idle(serve: Serve, upstream: Upstream) -> None:
    both, leave = asyncio.Barrier(2), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await both.wait()
        await peer.send(OK)
        if peer.number == 0:
            await leave.wait()
        else:
            await peer.gone()

    server = await serve(script)
    await asyncio.gather(*calls(upstream, server, b"a", b"b"))
    assert upstream.stats().idle_connections == 2
    leave.set()
    await eventually(lambda: upstream.stats().open_connections == 1)
    assert upstream.stats().idle_connections == 1


async def test_origins_that_are_not_used_any_more_are_forgotten(serve: Serve, upstream: Upstream) -> None:
    server = await serve(saying(OK.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)))
    await read_all(await upstream.send(request(), server.origin, PATIENT))
    await eventually(lambda: not upstream._pools)


async def test_failing_to_connect_frees_the_slot_for_the_next(
    upstream: Upstream, unused_tcp_port: int
) -> None:
    origin = Origin("127.0.0.1", unused_tcp_port)
    tasks = [asyncio.create_task(upstream.send(request(), origin, PATIENT)) for _ in range(5)]
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(end, ExchangeFailed) and end.phase == "connect" for end in ends)


async def test_the_connection_used_last_is_used_first(serve: Serve, upstream: Upstream) -> None:
    used: list[int] = []
    both = asyncio.Barrier(2)

    async def script(peer: Peer) -> None:
        await peer.request()
        await both.wait()
        await peer.send(OK)
        while True:
            await peer.answer(OK)
            used.append(peer.number)

    server = await serve(script)
    for response in await asyncio.gather(*calls(upstream, server, b"a", b"b")):
        await read_all(response)
    assert upstream.stats().idle_connections == 2
    for _ in range(4):
        await read_all(await upstream.send(request(), server.origin, PATIENT))
    await eventually(lambda: len(used) == 4)
    assert len(set(used)) == 1


async def test_an_idle_connection_expires(serve: Serve, upstream: Upstream) -> None:
    server = await serve(answering(), keepalive_seconds=0.05)
    await read_all(await upstream.send(request(), server.origin, PATIENT))
    assert upstream.stats().idle_connections == 1
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


async def test_a_connection_in_use_does_not_expire(serve: Serve, upstream: Upstream) -> None:

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            if peer.reader.at_eof():
                return
            await peer.send(OPEN)
            await asyncio.sleep(0.2)
            await peer.send(b"k")

    server = await serve(script, keepalive_seconds=0.05)
    for _ in range(2):
        assert await read_all(await upstream.send(request(), server.origin, PATIENT)) == b"ok"
    assert server.accepted == 1


async def test_origins_do_not_share_connections(serve: Serve, upstream: Upstream) -> None:
    one, other = await serve(answering()), await serve(answering())
    for server in (one, other, one, other):
        await read_all(await upstream.send(request(), server.origin, PATIENT))
    assert (one.accepted, other.accepted) == (1, 1)
    assert upstream.stats().idle_connections == 2


async def test_closing_while_connecting_leaves_no_socket(serve: Serve, upstream: Upstream) -> None:
    server = await serve(answering())
    call = calls(upstream, server, b"x")[0]
    await asyncio.sleep(0)
    await upstream.close()
    with pytest.raises(ExchangeFailed, match="closed here"):
        await call
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)
