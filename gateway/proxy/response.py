"""Response to the caller: head, framing, and the relay of the provider's bytes."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Sequence
from functools import partial

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.models.exchange import Outcome, declares_stream
from gateway.models.principal import FeedbackScope
from gateway.proxy.request_head import REQUEST_ID_FIELDS, TOKEN_FIELD, TRACE_ID_FIELDS, response_headers
from gateway.recording.capture import Capture
from gateway.recording.recorder import Recorder
from gateway.upstream import UpstreamResponse
from gateway.wire.stream_usage import UsageChunkFilter

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""Linger for no time at all: what is unsent is dropped, and the other side is told (socket(7))."""


class RelayedResponse(web.StreamResponse):
    """A response that writes its own head and framing.

    aiohttp's own would add fields (Date, Server, Content-Type) and cannot carry values that are not UTF-8; here
    the bytes of the provider's head go out as they are.

    Args:
        is_last: no further request is wanted on this connection.
    """

    def __init__(self, request: web.BaseRequest, status: int, *, is_last: bool) -> None:
        super().__init__(status=status)
        self._request = request
        self._connection = request.protocol
        self._keeps_alive = request.keep_alive and not is_last
        self._is_chunked = False
        self._ends_with_close = False
        self.has_started = False

    @property
    def keep_alive(self) -> bool:
        """Whether the connection can take another request after this answer."""
        return self._keeps_alive

    def head(self, reason: bytes, fields: Iterable[tuple[bytes, bytes]], *, needs_framing: bool) -> bytes:
        """Return the head as it goes out.

        Args:
            needs_framing: a body follows whose end its head does not tell.
        """
        lines = [b"HTTP/1.1 %d %s" % (self.status, reason)]
        lines += [name + b": " + value for name, value in fields]
        if needs_framing and self._request.version >= (1, 1):
            self._is_chunked = True
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
        self.has_started = True
        transport.write(data)

    @property
    def is_write_paused(self) -> bool:
        """Whether the caller takes less than is sent, so that `drained` should be awaited before more is."""
        return self._connection.writing_paused

    async def wait_for_drain(self) -> None:
        """Return once the caller has taken enough of what was written for more to be sent."""
        await self._request.writer.drain()

    def close_incomplete(self) -> None:
        """Close the connection so that the caller sees that the answer is not whole."""
        self._keeps_alive = False
        transport = self._request.transport
        if transport is None:
            return
        if self._ends_with_close:
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


async def relay_response(
    response: UpstreamResponse,
    answer: RelayedResponse,
    capture: Capture,
    recorder: Recorder,
    tokens: FeedbackTokens,
    quota_fields: Sequence[tuple[bytes, bytes]] = (),
    usage_filter: UsageChunkFilter | None = None,
) -> None:
    """Bring a provider's answer to the caller.

    Every piece goes out when it comes, but the end of the answer (the last piece of a body of known length, the
    last chunk of any other) only after the exchange is recorded. A caller therefore has everything at once, and
    knows that it has everything only when it is logged.

    Args:
        limit_fields: what the caller is told of its limits.
        usage_filter: takes out what the caller did not ask for; what is noted is what the provider sent.

    Raises:
        UpstreamError: the provider broke off, or took too long.
        ConnectionResetError: the caller has gone.
    """
    fields = response_headers(response.headers)
    fields += _gateway_fields(capture)
    fields += quota_fields
    if tokens.is_on:
        fields.append((TOKEN_FIELD, _issue_token(tokens, capture)))
    if usage_filter is not None:
        fields = [field for field in fields if field[0].lower() != b"content-length"]
    needs_framing = response.has_body and (response.content_length is None or usage_filter is not None)
    if needs_framing or declares_stream(response.headers):
        fields.append((b"X-Accel-Buffering", b"no"))
    unsent = answer.head(response.reason, fields, needs_framing=needs_framing)
    if response.has_body and not response.is_unread and not response.is_finished():
        # The provider has answered but is still thinking: the caller should know the one without the other.
        answer.send(unsent)
        unsent = b""
    while piece := await response.read():
        capture.response_body.add(piece)
        unsent += answer.encode_piece(piece if usage_filter is None else usage_filter.feed(piece))
        if response.is_finished() and not (needs_framing and answer.has_started):
            break
        answer.send(unsent)
        unsent = b""
        if needs_framing:
            await response.forward_to(partial(_relay_piece, answer, capture, usage_filter))
        if answer.is_write_paused:
            await answer.wait_for_drain()
    await recorder.record(capture.close(Outcome.COMPLETE))
    if usage_filter is not None:
        unsent += answer.encode_piece(usage_filter.flush())
    if end := unsent + answer.terminator:
        answer.send(end)


def _relay_piece(
    answer: RelayedResponse, capture: Capture, usage_filter: UsageChunkFilter | None, piece: bytes
) -> bool:
    """Pass a piece on at once; tell whether the caller can take more."""
    capture.response_body.add(piece)
    if usage_filter is not None:
        piece = usage_filter.feed(piece)
    answer.send(answer.encode_piece(piece))
    return not answer.is_write_paused


def _gateway_fields(capture: Capture) -> list[tuple[bytes, bytes]]:
    trace_id, request_id = capture.identity.trace_id.encode(), capture.identity.request_id.encode()
    return [
        *((name, trace_id) for name in TRACE_ID_FIELDS),
        *((name, request_id) for name in REQUEST_ID_FIELDS),
        (b"x-portkey-provider", capture.provider.encode()),
    ]


def _issue_token(tokens: FeedbackTokens, capture: Capture) -> bytes:
    scope = FeedbackScope(capture.identity.trace_id, capture.identity.request_id)
    return tokens.issue(scope, capture.tenant, capture.key_name)
