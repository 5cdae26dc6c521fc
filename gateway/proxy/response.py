"""Response to the caller: head, framing, and the relay of the provider's bytes."""

import asyncio
import socket
import struct
from collections.abc import Iterable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import StreamWriter

from gateway.models.exchange import declares_stream
from gateway.proxy.request import IncomingRequest
from gateway.proxy.request_head import response_headers
from gateway.recording.capture import BodyCapture
from gateway.upstream.request import LAST_CHUNK, encode_chunk
from gateway.upstream.response import BodySink, Response
from gateway.wire.stream_usage import UsageChunkFilter

# Linger for no time at all: what is unsent is dropped, and the other side sees a reset (socket(7)).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

_CALLER_GONE = "the caller has gone"


class RelayedResponse(web.StreamResponse):
    """A response that writes its own head and framing; after one that `is_last` the connection is closed."""

    # aiohttp's own response adds fields (Date, Server, Content-Type) and cannot carry values that are not UTF-8;
    # the bytes of a provider's head go out as they are.

    def __init__(self, request: IncomingRequest, status: int, *, is_last: bool) -> None:
        # Not aiohttp's own, which would make fields, cookies and a state that nothing here reads.
        self._status = status
        self._request = request
        self._connection = request.protocol
        self._keeps_alive = request.keep_alive and not is_last
        self.is_chunked = False
        self._ends_with_close = False
        self._is_finished = False
        self.has_started = False

    @property
    def keep_alive(self) -> bool:
        return self._keeps_alive

    def head(
        self, reason: bytes, fields: Iterable[tuple[bytes, bytes]], own_fields: bytes, *, needs_framing: bool
    ) -> bytes:
        """Return the encoded head; `needs_framing` if a body follows whose end the fields do not tell."""
        lines = [b"HTTP/1.1 %d %b" % (self._status, reason), *map(b": ".join, fields), own_fields]
        is_current = self._request.version >= (1, 1)
        if needs_framing and is_current:
            self.is_chunked = True
            lines.append(b"Transfer-Encoding: chunked")
        elif needs_framing:
            self._ends_with_close = True
            self._keeps_alive = False
        if not self._keeps_alive:
            lines.append(b"Connection: close")
        elif not is_current:
            lines.append(b"Connection: keep-alive")
        lines.append(b"\r\n")
        return b"\r\n".join(lines)

    def encode_piece(self, piece: bytes) -> bytes:
        return encode_chunk(piece) if self.is_chunked else piece

    def forwarder(self, capture: BodyCapture, usage_filter: UsageChunkFilter | None) -> BodySink:
        """Return what sends each further piece at once, and tells whether the caller takes more."""
        connection, is_chunked = self._connection, self.is_chunked
        transport = self._open_transport()
        # One call for each event of a stream, so everything is in it.
        write, is_closing = transport.write, transport.is_closing
        keep = capture.add

        def forward(piece: bytes) -> bool:
            keep(piece)
            if usage_filter is not None:
                piece = usage_filter.feed(piece)
            if is_closing():
                raise ConnectionResetError(_CALLER_GONE)
            if piece:
                write(b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked else piece)
            return not connection.writing_paused

        return forward

    def send(self, data: bytes) -> None:
        self._open_transport().write(data)
        self.has_started = True

    def finish(self, end: bytes) -> None:
        if end:
            self.send(end)
        self._is_finished = True

    def _open_transport(self) -> asyncio.Transport:
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError(_CALLER_GONE)
        return transport

    @property
    def is_write_paused(self) -> bool:
        """Whether `wait_for_drain` should be awaited before more is sent."""
        return self._connection.writing_paused

    async def wait_for_drain(self) -> None:
        await StreamWriter(self._connection, asyncio.get_running_loop()).drain()

    def close_incomplete(self) -> None:
        """Close the connection of a response that was begun, so that the caller sees that it is not whole."""
        transport = self._request.transport
        if not self.has_started or self._is_finished or transport is None:
            return
        self._keeps_alive = False
        if self._ends_with_close:
            # Only a reset tells this caller the end of the connection from the end of the body.
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            transport.abort()
        else:
            transport.close()

    # aiohttp calls these two; all that they would write has been written by then.

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        return None

    async def write_eof(self, data: bytes = b"") -> None: ...


async def relay_response(
    response: Response,
    relayed: RelayedResponse,
    capture: BodyCapture,
    own_fields: bytes,
    usage_filter: UsageChunkFilter | None = None,
) -> bytes:
    """Send each piece of a response as it comes, but return the end: the last piece or the last chunk.

    Raises UpstreamError, and ConnectionResetError if the caller has gone.
    """
    length = response.content_length
    fields = response_headers(response.headers)
    if usage_filter is not None:
        fields = [field for field in fields if field[0].lower() != b"content-length"]
    has_body = length != 0
    needs_framing = has_body and (length is None or usage_filter is not None)
    if needs_framing or declares_stream(response.headers):
        own_fields += b"\r\nX-Accel-Buffering: no"
    unsent = relayed.head(response.reason, fields, own_fields, needs_framing=needs_framing)
    if has_body and not response.is_unread and not response.is_finished():
        # The provider has answered but is still thinking: the caller should see the head already.
        relayed.send(unsent)
        unsent = b""
    while piece := await response.read():
        # The row has what the provider sent, the caller what the filter leaves of it.
        capture.add(piece)
        unsent += relayed.encode_piece(piece if usage_filter is None else usage_filter.feed(piece))
        if response.is_finished() and not (needs_framing and relayed.has_started):
            break
        relayed.send(unsent)
        unsent = b""
        if needs_framing:
            await response.forward_to(relayed.forwarder(capture, usage_filter))
        if relayed.is_write_paused:
            await relayed.wait_for_drain()
    if usage_filter is not None:
        unsent += relayed.encode_piece(usage_filter.flush())
    return unsent + LAST_CHUNK if relayed.is_chunked else unsent
