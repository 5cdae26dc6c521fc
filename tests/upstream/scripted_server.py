"""A TCP server that plays a script to each connection, and what tests say to it."""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

from gateway.upstream.request import Origin, OutgoingRequest, Timeouts
from gateway.upstream.response import UpstreamResponse

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PATIENT = Timeouts(connect=20.0, first_byte=20.0, idle=20.0)
"""Limits that no test should ever reach."""


class Peer:
    """The server's side of one connection. `number` counts connections from 0."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def request(self) -> bytes:
        """Read one request, head and body, as it is on the wire."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        if b"transfer-encoding: chunked" in head.lower():
            return head + await self.reader.readuntil(b"0\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        return head + await self.reader.readexactly(int(length[1]) if length else 0)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, data: bytes) -> bytes:
        """Read a request, send `data` and return the request."""
        request = await self.request()
        await self.send(data)
        return request

    async def gone(self) -> None:
        """Wait until the client has closed its side."""
        while await self.reader.read(65536):
            pass

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class ScriptedServer:
    """Listens on loopback and plays `script` to each connection, then closes it."""

    def __init__(
        self, script: Script, *, max_connections: int = 1000, keepalive_seconds: float = 30.0
    ) -> None:
        self.accepted = 0
        self.connected = 0
        self._max_connections = max_connections
        self._keepalive_seconds = keepalive_seconds
        self._script = script
        self._server: asyncio.Server

    async def start(self, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._play, host, 0, ssl=tls)
        self.host = host
        self.port: int = self._server.sockets[0].getsockname()[1]

    @property
    def origin(self) -> Origin:
        return Origin(
            self.host,
            self.port,
            max_connections=self._max_connections,
            keepalive_seconds=self._keepalive_seconds,
        )

    async def stop(self) -> None:
        self._server.close()
        await self._server.wait_closed()
        await eventually(lambda: not self.connected)

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(self.accepted, reader, writer)
        self.accepted += 1
        self.connected += 1
        try:
            await self._script(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.connected -= 1


def saying(*answers: bytes) -> Script:
    """A script that gives these answers to the requests of a connection, then waits for its end."""

    async def play(peer: Peer) -> None:
        for answer in answers:
            await peer.answer(answer)
        await peer.gone()

    return play


def answering(answer: bytes = OK) -> Script:
    """A script that gives the same answer to every request."""

    async def play(peer: Peer) -> None:
        while True:
            await peer.answer(answer)

    return play


def request(body: bytes = b"{}", *fields: tuple[bytes, bytes], method: str = "POST") -> OutgoingRequest:
    framing = (b"content-length", str(len(body)).encode())
    return OutgoingRequest(method, "/v1/chat", ((b"host", b"upstream"), framing, *fields), body)


def upload(
    pieces: AsyncIterator[bytes], framing: tuple[bytes, bytes] = (b"transfer-encoding", b"chunked")
) -> OutgoingRequest:
    return OutgoingRequest("POST", "/v1/files", ((b"host", b"upstream"), framing), pieces)


async def pieces_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def endless(first: bytes = b"first") -> AsyncIterator[bytes]:
    """A body of which nothing comes after the first piece."""
    yield first
    await asyncio.get_running_loop().create_future()


async def read_all(response: UpstreamResponse) -> bytes:
    pieces = []
    while piece := await response.read():
        pieces.append(piece)
    return b"".join(pieces)


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; fail if it does not within ten seconds."""
    for _ in range(5000):
        if condition():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it never happened")
