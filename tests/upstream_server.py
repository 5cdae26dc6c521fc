"""A scripted provider: a process of its own that plays a script to each request.

It speaks HTTP/1.1 over bare TCP, so it can send what no HTTP library would, and tells what it received byte for
byte. A request names its script in `x-script`; one that names none gets the default. On a second port it takes
orders, one JSON object a line, each answered by one line. `tests/scripted_upstream.py` writes both.

    python -m tests.upstream_server [CERTIFICATE KEY]
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import socket
import ssl
import struct
import sys
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

Step = list[Any]

MAX_SHOWN_BYTES = 256 * 1024
"""Longest body of which more than size and digest is reported."""

BLOCK = bytes(range(256)) * 4096
"""What `fill` sends, over and over: 1 MiB in which a lost, doubled or moved byte shows."""

ECHO: list[Step] = [["read", None], ["echo"]]


@dataclass
class Received:
    """One request as it was on the wire."""

    connection: int
    method: str
    target: str
    version: str
    fields: list[str]
    digest: Any = field(default_factory=hashlib.sha256)
    body: bytearray = field(default_factory=bytearray)
    size: int = 0

    def add(self, piece: bytes) -> None:
        self.digest.update(piece)
        self.size += len(piece)
        if self.size <= MAX_SHOWN_BYTES:
            self.body += piece

    def value(self, name: str) -> str | None:
        """The value of a field by its lower-case name."""
        for line in self.fields:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return None

    def shown(self) -> dict[str, object]:
        return {
            "connection": self.connection,
            "method": self.method,
            "target": self.target,
            "version": self.version,
            "fields": self.fields,
            "sha256": self.digest.hexdigest(),
            "size": self.size,
            "body": self.body.decode("latin-1") if self.size <= MAX_SHOWN_BYTES else None,
        }


class Body:
    """The body of one request, read only as far as the script asks."""

    def __init__(self, reader: asyncio.StreamReader, request: Received) -> None:
        self._reader = reader
        self._request = request
        self._is_chunked = (request.value("transfer-encoding") or "").lower() == "chunked"
        self._left = 0 if self._is_chunked else int(request.value("content-length") or 0)
        self._is_over = not self._is_chunked and not self._left

    async def read(self, size: int | None) -> None:
        """Read this much more of it; all of it for None."""
        while not self._is_over and (size is None or size > 0):
            if self._is_chunked and not self._left:
                await self._next_chunk()
                continue
            piece = await self._reader.read(min(self._left, 65536, size or 65536))
            if not piece:
                raise asyncio.IncompleteReadError(b"", self._left)
            self._request.add(piece)
            self._left -= len(piece)
            size = None if size is None else size - len(piece)
            if not self._left:
                await self._end_piece()

    async def _next_chunk(self) -> None:
        line = await self._reader.readuntil(b"\r\n")
        self._left = int(line.split(b";")[0], 16)
        if not self._left:
            while await self._reader.readuntil(b"\r\n") != b"\r\n":
                pass
            self._is_over = True

    async def _end_piece(self) -> None:
        if self._is_chunked:
            await self._reader.readexactly(2)
        else:
            self._is_over = True


class Hangup(Exception):
    """The script has ended the connection."""


class Provider:
    """The requests that came, the scripts to play to them, and the gates at which scripts wait."""

    def __init__(self) -> None:
        self.scripts: dict[str, list[Step]] = {}
        self.default = ECHO
        self.received: list[Received] = []
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.accepted = 0
        self.connected = 0
        self.sent_bytes = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = self.accepted
        self.accepted += 1
        self.connected += 1
        try:
            while True:
                await self._answer(number, reader, writer)
        except (Hangup, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.connected -= 1
            writer.close()

    async def _answer(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
        method, _, rest = head[0].partition(" ")
        target, _, version = rest.rpartition(" ")
        request = Received(number, method, target, version, head[1:])
        self.received.append(request)
        body = Body(reader, request)
        for step in self.scripts.get(request.value("x-script") or "", self.default):
            await self._play(step, request, body, reader, writer)

    async def _play(
        self,
        step: Step,
        request: Received,
        body: Body,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        match step:
            case ["read", size]:
                await body.read(size)
            case ["send", text]:
                await self._send(writer, text.encode("latin-1"))
            case ["fill", size]:
                for start in range(0, size, len(BLOCK)):
                    await self._send(writer, BLOCK[: size - start])
            case ["echo"]:
                shown = json.dumps(request.shown()).encode()
                await self._send(
                    writer, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(shown) + shown
                )
            case ["wait", gate]:
                await self.gates[gate].wait()
            case ["note", gate]:
                self.gates[gate].set()
            case ["gone"]:
                await _wait_for_end(reader)
            case ["close"]:
                raise Hangup
            case ["reset"]:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
                raise Hangup
            case _:
                raise ValueError(f"no such step: {step}")

    async def _send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        await writer.drain()
        self.sent_bytes += len(data)

    async def take_orders(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(json.dumps(await self._obey(json.loads(line))).encode() + b"\n")
        writer.close()

    async def _obey(self, order: dict[str, Any]) -> object:
        match order:
            case {"script": name, "steps": steps}:
                self.scripts[name] = steps
            case {"default": steps}:
                self.default = steps
            case {"open": gate}:
                self.gates[gate].set()
            case {"await": gate}:
                await self.gates[gate].wait()
            case {"take": _}:
                taken, self.received = self.received, []
                return [request.shown() for request in taken]
            case {"state": _}:
                return {"connected": self.connected, "accepted": self.accepted, "sent": self.sent_bytes}
        return None


async def _wait_for_end(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65536):
            pass


async def main(tls: ssl.SSLContext | None) -> None:
    provider = Provider()
    async with (
        await asyncio.start_server(provider.serve, "127.0.0.1", 0, limit=2**20, ssl=tls) as served,
        await asyncio.start_server(provider.take_orders, "127.0.0.1", 0, limit=2**26) as ordered,
    ):
        ports = [server.sockets[0].getsockname()[1] for server in (served, ordered)]
        sys.stdout.write(f"{ports[0]} {ports[1]}\n")
        sys.stdout.flush()
        # The starter holds our standard input, and ends us by closing it.
        await asyncio.to_thread(sys.stdin.read)


def _tls(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


if __name__ == "__main__":
    asyncio.run(main(_tls(*sys.argv[1:3]) if len(sys.argv) > 1 else None))
