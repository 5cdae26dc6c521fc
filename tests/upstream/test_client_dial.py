from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Any

import pytest
import trustme

from gateway.upstream.client import Upstream
from gateway.upstream.errors import ExchangeFailed, ExchangeTimedOut
from gateway.upstream.request import Origin, Timeouts
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

AUTHORITY = trustme.CA()
"""Signs the servers' certificates; making a key is slow, so there is one for all tests."""


def server_tls(*names: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert(*names).configure_cert(context)
    return context


def client_tls(authority: trustme.CA = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_a_refused_connection_names_host_and_port(upstream: Upstream, unused_tcp_port: int) -> None:
    origin = Origin("127.0.0.1", unused_tcp_port)
    with pytest.raises(ExchangeFailed) as caught:
        await upstream.send(request(), origin, PATIENT)
    assert caught.value.message == f"connection refused by 127.0.0.1:{unused_tcp_port}."
    assert caught.value.phase == "connect"
    assert caught.value.status == 502


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "x" * 70 + ".invalid", "a\0b"])
async def test_a_name_that_leads_nowhere_is_an_error(upstream: Upstream, host: str) -> None:
    with pytest.raises(ExchangeFailed) as caught:
        await upstream.send(request(), Origin(host, 80), Timeouts(connect=10))
    assert caught.value.phase == "connect"
    assert host in caught.value.message


async def test_a_name_that_is_not_found_is_called_that(upstream: Upstream) -> None:
    with pytest.raises(ExchangeFailed, match=r"^name not found: no-such-host\.invalid"):
        await upstream.send(request(), Origin("no-such-host.invalid", 80), PATIENT)


async def test_a_port_that_takes_no_more_connections_times_out(upstream: Upstream) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with pytest.raises(ExchangeTimedOut, match=r"took longer than 0\.1 s") as caught:
            await upstream.send(request(), Origin("127.0.0.1", port), Timeouts(connect=0.1))
        for filler in fillers:
            filler.close()
    assert caught.value.phase == "connect"
    assert caught.value.status == 504
    assert upstream.stats().open_connections == 0


async def test_an_ipv6_address_is_a_host(serve: Serve, upstream: Upstream, unused_tcp_port: int) -> None:
    server = await serve(answering(), host="::1")
    assert await read_all(await upstream.send(request(), server.origin, PATIENT)) == b"ok"
    with pytest.raises(ExchangeFailed, match=rf"refused by \[::1\]:{unused_tcp_port}"):
        await upstream.send(request(), Origin("::1", unused_tcp_port), PATIENT)


async def test_a_name_with_two_addresses_is_reached_by_the_one_that_answers(
    serve: Serve, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve(answering())

    loop_type = type(asyncio.get_running_loop())
    look_up = loop_type.getaddrinfo

    async def look_up_two(loop: asyncio.AbstractEventLoop, host: str, port: int, **options: Any) -> list[Any]:
        if host != "two.invalid":
            return list(await look_up(loop, host, port, **options))
        kind = (socket.SOCK_STREAM, socket.IPPROTO_TCP, "")
        return [
            (socket.AF_INET6, *kind, ("::1", port, 0, 0)),
            (socket.AF_INET, *kind, ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(loop_type, "getaddrinfo", look_up_two)
    response = await upstream.send(request(), Origin("two.invalid", server.port), PATIENT)
    assert await read_all(response) == b"ok"


async def test_small_writes_are_not_held_back(serve: Serve, upstream: Upstream) -> None:
    server = await serve(answering())
    await read_all(await upstream.send(request(), server.origin, PATIENT))
    pool = next(iter(upstream._pools.values()))
    sock = pool._idle[0]._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


# TLS


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_exchanges_over_tls(serve: Serve, upstream: Upstream, host: str) -> None:
    size = 1024 * 1024
    large = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    server = await serve(saying(OK, large, OK), tls=server_tls("localhost", "127.0.0.1"))
    origin = Origin(host, server.port, client_tls())
    assert await read_all(await upstream.send(request(), origin, PATIENT)) == b"ok"
    assert len(await read_all(await upstream.send(request(b"y" * size), origin, PATIENT))) == size
    assert await read_all(await upstream.send(upload(pieces_of(b"a", b"b")), origin, PATIENT)) == b"ok"
    assert server.accepted == 1


async def test_a_certificate_of_an_unknown_authority_is_refused(serve: Serve, upstream: Upstream) -> None:
    server = await serve(answering(), tls=server_tls("localhost"))
    origin = Origin("localhost", server.port, client_tls(trustme.CA()))
    with pytest.raises(ExchangeFailed, match=r"^certificate verify failed: .*localhost:") as caught:
        await upstream.send(request(), origin, PATIENT)
    assert caught.value.phase == "tls"
    await eventually(lambda: not upstream.stats().open_connections and not server.connected)


async def test_a_certificate_of_another_host_is_refused(serve: Serve, upstream: Upstream) -> None:
    server = await serve(answering(), tls=server_tls("elsewhere.example"))
    with pytest.raises(ExchangeFailed, match=r"^certificate verify failed: .*localhost"):
        await upstream.send(request(), Origin("localhost", server.port, client_tls()), PATIENT)


async def test_tls_with_a_server_that_has_none_is_an_error(serve: Serve, upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readexactly(1)
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    server = await serve(script)
    with pytest.raises(ExchangeFailed, match=r"^TLS handshake with 127") as caught:
        await upstream.send(request(), Origin("127.0.0.1", server.port, client_tls()), PATIENT)
    assert caught.value.phase == "tls"


async def test_a_server_that_leaves_during_the_handshake_is_an_error(
    serve: Serve, upstream: Upstream
) -> None:
    async def script(peer: Peer) -> None:
        await peer.reader.readexactly(1)

    server = await serve(script)
    with pytest.raises(ExchangeFailed) as caught:
        await upstream.send(request(), Origin("127.0.0.1", server.port, client_tls()), PATIENT)
    assert caught.value.phase == "tls"


async def test_a_handshake_that_does_not_come_times_out(serve: Serve, upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.gone()

    server = await serve(script)
    with pytest.raises(ExchangeTimedOut, match=r"TLS handshake .* longer than 0\.1 s") as caught:
        await upstream.send(request(), Origin("127.0.0.1", server.port, client_tls()), Timeouts(connect=0.1))
    assert caught.value.phase == "tls"
    await eventually(lambda: not server.connected)


async def test_a_body_that_breaks_off_over_tls_is_an_error(serve: Serve, upstream: Upstream) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf")

    server = await serve(script, tls=server_tls("localhost"))
    response = await upstream.send(request(), Origin("localhost", server.port, client_tls()), PATIENT)
    with pytest.raises(ExchangeFailed, match="broke off the body"):
        await read_all(response)


async def test_an_idle_tls_connection_that_the_server_closes_is_let_go(
    serve: Serve, upstream: Upstream
) -> None:
    async def script(peer: Peer) -> None:
        await peer.answer(OK)

    server = await serve(script, tls=server_tls("localhost"))
    origin = Origin("localhost", server.port, client_tls())
    for _ in range(2):
        assert await read_all(await upstream.send(request(), origin, PATIENT)) == b"ok"
        await eventually(lambda: not upstream.stats().open_connections and not server.connected)
