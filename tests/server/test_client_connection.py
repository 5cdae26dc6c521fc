"""A client's connection gives the same whether its own parser reads a request or aiohttp's does."""

from __future__ import annotations

import asyncio
import re

import pytest
from aiohttp import web

from gateway.proxy.request import IncomingRequest
from gateway.proxy.response import RelayedResponse
from gateway.server.client_connection import ClientConnection

HOST = b"Host: gateway.localhost\r\n"
PLAIN = (
    b"POST /v1/chat/completions?a=%C3%BC HTTP/1.1\r\n"
    + HOST
    + b"X-Blank: \t padded \t\r\nX-None:\r\nX-8: \xff\xc3\xbc\r\n"
)
WIRE = (
    PLAIN + b"Content-Length: 11\r\n\r\nhello world"
    b"GET /openai/v1/models HTTP/1.1\r\n" + HOST + b"connection: Keep-Alive\r\n\r\n"
    b"PUT /v1/x HTTP/1.1\r\n" + HOST + b"content-length: 3\r\n\r\nend"
)

ODD = {
    "two hosts": b"GET /v1/x HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "no host": b"GET /v1/x HTTP/1.1\r\nX: 1\r\n\r\n",
    "field twice": b"GET /v1/x HTTP/1.1\r\n" + HOST + b"A: 1\r\na: 2\r\n\r\n",
    "two lengths": b"POST /v1/x HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length that is none": b"POST /v1/x HTTP/1.1\r\n" + HOST + b"Content-Length: +1\r\n\r\na",
    "chunked": b"POST /v1/x HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "NUL": b"GET /v1/x HTTP/1.1\r\n" + HOST + b"A: \0\r\n\r\n",
    "control": b"GET /v1/x HTTP/1.1\r\n" + HOST + b"A: \x01\r\n\r\n",
    "LF": b"GET /v1/x HTTP/1.1\n" + HOST + b"\r\n",
    "CR": b"GET /v1/x HTTP/1.1\r\n" + HOST + b"A: b\rc\r\n\r\n",
    "folded": b"GET /v1/x HTTP/1.1\r\n" + HOST + b"A: 1\r\n 2\r\n\r\n",
    "blank before the colon": b"GET /v1/x HTTP/1.1\r\n" + HOST + b"A : 1\r\n\r\n",
    "method": b"get /v1/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/1.0": b"GET /v1/x HTTP/1.0\r\n" + HOST + b"\r\n",
    "HTTP/1.2": b"GET /v1/x HTTP/1.2\r\n" + HOST + b"\r\n",
    "close": b"GET /v1/x HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n",
    "two slashes": b"GET //v1/x HTTP/1.1\r\n" + HOST + b"\r\n",
    "fragment": b"GET /v1/x#y?z HTTP/1.1\r\n" + HOST + b"\r\n",
    "not ASCII": b"GET /v1/\xff HTTP/1.1\r\n" + HOST + b"\r\n",
    "old web socket": b"GET /v1/x HTTP/1.1\r\n" + HOST + b"Sec-WebSocket-Key1: 1\r\n\r\n",
    "many fields": b"GET /v1/x HTTP/1.1\r\n" + HOST + b"".join(b"A%d: 1\r\n" % at for at in range(128)) + b"\r\n",
    "long field": b"GET /v1/x HTTP/1.1\r\n" + HOST + b"A: " + b"a" * 8190 + b"\r\n\r\n",
    "own path": b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n",
}  # fmt: skip


_DATE = re.compile(rb"(?m)^Date: .*\r\n")


class Written(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.data += data

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def resume_reading(self) -> None: ...


async def _echo(request: IncomingRequest) -> web.StreamResponse:
    body = b""
    while piece := await request.content.readany():
        body += piece
    host, missing = request.headers.get("host"), request.headers.get("X-Missing", "none")
    seen = (
        request.method,
        request.raw_path,
        request.raw_headers,
        request.content_length,
        host,
        missing,
        body,
    )
    response = RelayedResponse(request, 200, is_last=False)
    text = repr(seen).encode()
    head = response.head(b"OK", [(b"Content-Length", b"%d" % len(text))], b"X-Own: 1", needs_framing=False)
    response.finish(head + text)
    return response


async def _echo_of_aiohttp(request: web.BaseRequest) -> web.StreamResponse:
    return await _echo(IncomingRequest.of(request))


async def exchange(*segments: bytes, by_aiohttp: bool = False) -> tuple[bytes, bool]:
    """Return what a connection writes, and whether it is closed then, for what comes in these segments."""
    loop = asyncio.get_running_loop()
    server = web.Server(_echo_of_aiohttp, auto_decompress=False, access_log=None)
    connection = ClientConnection(server, _echo, loop=loop, **server._kwargs)
    if by_aiohttp:
        connection._head_parser = None
    transport = Written()
    connection.connection_made(transport)
    for segment in segments:
        connection.data_received(segment)
        for _ in range(12):
            await asyncio.sleep(0)
    written = _DATE.sub(b"", transport.data), transport.is_closed
    connection.connection_lost(None)
    await asyncio.sleep(0)
    return written


async def test_requests_are_read_the_same_however_their_bytes_are_cut() -> None:
    whole, _ = await exchange(WIRE)
    assert whole == (await exchange(WIRE, by_aiohttp=True))[0]
    assert whole.count(b"HTTP/1.1 200 OK") == 3
    for cut in range(1, len(WIRE)):
        assert (await exchange(WIRE[:cut], WIRE[cut:]))[0] == whole
    each = [WIRE[at : at + 1] for at in range(len(WIRE))]
    assert (await exchange(*each))[0] == whole


async def test_bodies_in_pieces_stay_with_the_short_way() -> None:
    head = PLAIN + b"Content-Length: 4\r\n\r\n"
    assert await exchange(head, b"ab", b"cd", head + b"abc", b"d") == await exchange(
        head + b"abcd", head + b"abcd"
    )


@pytest.mark.parametrize("head", ODD.values(), ids=ODD.keys())
async def test_what_is_odd_is_answered_as_aiohttp_has_it(head: bytes) -> None:
    assert await exchange(head) == await exchange(head, by_aiohttp=True)
    # Also behind one that was read here.
    first = b"GET /v1/y HTTP/1.1\r\n" + HOST + b"\r\n"
    assert await exchange(first, head) == await exchange(first, head, by_aiohttp=True)
    # aiohttp would not answer the first of these where the second is no request.
    assert await exchange(first + head) == await exchange(first, head)
