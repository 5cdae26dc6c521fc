"""Answer: a provider's answer on the caller's connection, as the bytes it came in."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""Linger for no time at all: what is unsent is dropped, and the other side is told (socket(7))."""


class Answer(web.StreamResponse):
    """A response that writes its own head and framing.

    aiohttp's own would add fields (Date, Server, Content-Type) and cannot carry values that are not UTF-8; here
    the bytes of the provider's head go out as they are.

    Args:
        is_last: no further request is wanted on this connection.
    """

    def __init__(self, request: web.BaseRequest, status: int, *, is_last: bool) -> None:
        super().__init__(status=status)
        self._caller = request
        self._connection = request.protocol
        self._stays_open = request.keep_alive and not is_last
        self._is_chunked = False
        self._is_ended_by_close = False
        self.has_begun = False

    @property
    def keep_alive(self) -> bool:
        """Whether the connection can take another request after this answer."""
        return self._stays_open

    def head(self, reason: bytes, fields: Iterable[tuple[bytes, bytes]], *, needs_framing: bool) -> bytes:
        """Return the head as it goes out.

        Args:
            needs_framing: a body follows whose end its head does not tell.
        """
        lines = [b"HTTP/1.1 %d %s" % (self.status, reason)]
        lines += [name + b": " + value for name, value in fields]
        if needs_framing and self._caller.version >= (1, 1):
            self._is_chunked = True
            lines.append(b"Transfer-Encoding: chunked")
        elif needs_framing:
            self._is_ended_by_close = True
            self._stays_open = False
        if not self._stays_open:
            lines.append(b"Connection: close")
        elif self._caller.version < (1, 1):
            lines.append(b"Connection: keep-alive")
        lines.append(b"\r\n")
        return b"\r\n".join(lines)

    def framed(self, piece: bytes) -> bytes:
        """Return a piece of the body as it goes out; nothing for nothing, as that ends it."""
        return b"%x\r\n%b\r\n" % (len(piece), piece) if self._is_chunked and piece else piece

    @property
    def terminator(self) -> bytes:
        """What goes out after the last piece."""
        return b"0\r\n\r\n" if self._is_chunked else b""

    def send(self, data: bytes) -> None:
        """Write to the caller. Raises ConnectionResetError if it has gone."""
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the caller has gone")
        self.has_begun = True
        transport.write(data)

    @property
    def is_backed_up(self) -> bool:
        """Whether the caller takes less than is sent, so that `drained` should be awaited before more is."""
        return self._connection.writing_paused

    async def drained(self) -> None:
        """Return once the caller has taken enough of what was written for more to be sent."""
        await self._caller.writer.drain()

    def break_off(self) -> None:
        """Close the connection so that the caller sees that the answer is not whole."""
        self._stays_open = False
        transport = self._caller.transport
        if transport is None:
            return
        if self._is_ended_by_close:
            # Only a reset tells this caller the end of the connection from the end of the body.
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        else:
            transport.close()

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Do nothing: the head has been written."""
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the end has been written."""
