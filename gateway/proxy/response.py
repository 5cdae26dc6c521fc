"""Response to the caller: head, framing, and the relay of the provider's bytes."""

import socket
import struct
from collections.abc import Iterable, Sequence

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from gateway.models.exchange import declares_stream
from gateway.proxy.request_head import response_headers
from gateway.recording.capture import BodyCapture
from gateway.upstream.request import LAST_CHUNK, encode_chunk
from gateway.upstream.response import Response
from gateway.wire.stream_usage import UsageChunkFilter

# Linger for no time at all: what is unsent is dropped, and the other side sees a reset (socket(7)).
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class RelayedResponse(web.StreamResponse):
    """A response that writes its own head and framing; after one that `is_last` the connection is closed."""

    # aiohttp's own response adds fields (Date, Server, Content-Type) and cannot carry values that are not UTF-8;
    # the bytes of a provider's head go out as they are.

    def __init__(self, request: web.BaseRequest, status: int, *, is_last: bool) -> None:
        super().__init__(status=status)
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

    def head(self, reason: bytes, fields: Iterable[tuple[bytes, bytes]], *, needs_framing: bool) -> bytes:
        """Return the encoded head; `needs_framing` if a body follows whose end the fields do not tell."""
        lines = [b"HTTP/1.1 %d %s" % (self.status, reason)]
        lines += [name + b": " + value for name, value in fields]
        if needs_framing and self._request.version >= (1, 1):
            self.is_chunked = True
            lines.append(b"Transfer-Encoding: chunked")
        elif needs_framing:
            self._ends_with_close = True
            self._keeps_alive = False
        if not self._keeps_alive:
            lines.append(b"Connection: close")
        elif self._request.version < (1, 1):
            lines.append(b"Connection: keep-alive")
        lines.append(b"\r\n")
        return b"\r\n".join(lines)

    def encode_piece(self, piece: bytes) -> bytes:
        return encode_chunk(piece) if self.is_chunked else piece

    def send(self, data: bytes) -> None:
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the caller has gone")
        self.has_started = True
        transport.write(data)

    def finish(self, end: bytes) -> None:
        if end:
            self.send(end)
        self._is_finished = True

    @property
    def is_write_paused(self) -> bool:
        """Whether `wait_for_drain` should be awaited before more is sent."""
        return self._connection.writing_paused

    async def wait_for_drain(self) -> None:
        await self._request.writer.drain()

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
    own_fields: Sequence[tuple[bytes, bytes]],
    usage_filter: UsageChunkFilter | None = None,
) -> bytes:
    """Send each piece of a response as it comes, but return the end: the last piece or the last chunk.

    Raises UpstreamError, and ConnectionResetError if the caller has gone.
    """
    fields = response_headers(response.headers)
    fields += own_fields
    if usage_filter is not None:
        fields = [field for field in fields if field[0].lower() != b"content-length"]
    has_body = response.content_length != 0
    needs_framing = has_body and (response.content_length is None or usage_filter is not None)
    if needs_framing or declares_stream(response.headers):
        fields.append((b"X-Accel-Buffering", b"no"))
    unsent = relayed.head(response.reason, fields, needs_framing=needs_framing)

    def encode(piece: bytes) -> bytes:
        # The row has what the provider sent, the caller what the filter leaves of it.
        capture.add(piece)
        return relayed.encode_piece(piece if usage_filter is None else usage_filter.feed(piece))

    def forward(piece: bytes) -> bool:
        relayed.send(encode(piece))
        return not relayed.is_write_paused

    if has_body and not response.is_unread and not response.is_finished():
        # The provider has answered but is still thinking: the caller should see the head already.
        relayed.send(unsent)
        unsent = b""
    while piece := await response.read():
        unsent += encode(piece)
        if response.is_finished() and not (needs_framing and relayed.has_started):
            break
        relayed.send(unsent)
        unsent = b""
        if needs_framing:
            await response.forward_to(forward)
        if relayed.is_write_paused:
            await relayed.wait_for_drain()
    if usage_filter is not None:
        unsent += relayed.encode_piece(usage_filter.flush())
    return unsent + LAST_CHUNK if relayed.is_chunked else unsent
