"""One connection to an upstream: sends a request, reads its response, is kept for the next."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from math import inf
from typing import Protocol, cast

from gateway.upstream.errors import (
    ExchangeFailed,
    ExchangeTimedOut,
    Phase,
    StaleConnection,
    peer_name,
    timeout_failure,
)
from gateway.upstream.message import Alarm, Deadlines, Origin, OutgoingRequest, Timeouts, has_chunked_coding
from gateway.upstream.parser import MalformedResponse, ResponseHead, ResponseParser
from gateway.upstream.response import UpstreamResponse

MAX_JOINED_BYTES = 64 * 1024
"""Up to this size a body is copied behind its head, so that both leave in one write."""
LAST_CHUNK = b"0\r\n\r\n"


def encode_chunk(piece: bytes) -> bytes:
    """Return a piece of a body as a chunk (RFC 9112, section 7.1); nothing for nothing, as that ends it."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


class RequestSender:
    """Sends the requests of one connection, one at a time. `is_sent` once all of one has been written.

    A body at hand is written at once. One that comes in pieces is sent by a task, so that an answer can
    arrive meanwhile. `is_stalled` while the upstream takes too little for more to be written.

    Args:
        transport: where to write; its owner passes on the transport's `pause` and `resume`.
        on_turn: called whenever it becomes the upstream's turn to take bytes or to answer, or ours to send.
        on_error: called when the iterator of a body raises; with CancelledError if it was cancelled.
    """

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        on_state_change: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.is_sent = True
        self.is_stalled = False
        self._transport = transport
        self._on_state_change = on_state_change
        self._on_error = on_error
        self._unsent_bytes = 0
        self._upload: asyncio.Task[None] | None = None
        self._is_upload_started = False
        self._write_resumed: asyncio.Future[None] | None = None

    @property
    def is_uploading(self) -> bool:
        """It is ours to send more of the body."""
        return self._upload is not None and not self.is_sent and not self.is_stalled

    @property
    def can_repeat(self) -> bool:
        """Nothing of the request is gone: it can be sent again elsewhere."""
        return self._upload is None or not self._is_upload_started

    def send(self, head: bytes, body: bytes | AsyncIterator[bytes], *, is_chunked: bool) -> None:
        """Send a request, its body framed as chunks or as it is."""
        self.is_sent = False
        if isinstance(body, bytes):
            self._write(head, encode_chunk(body) + LAST_CHUNK if is_chunked else body)
            self.is_sent = True
        else:
            self._is_upload_started = False
            self._upload = asyncio.get_running_loop().create_task(self._send_pieces(head, body, is_chunked))
            self._upload.add_done_callback(self._on_uploaded)
        self._on_state_change()

    def stop(self) -> None:
        """Send nothing more of the current request."""
        if self._upload is not None:
            self._upload.cancel()
            self._upload = None

    def pause(self) -> None:
        """Write nothing more for now."""
        self.is_stalled = True
        self._write_resumed = asyncio.get_running_loop().create_future()
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self._on_state_change()

    def resume(self) -> None:
        """Go on writing."""
        self.is_stalled = False
        if self._write_resumed is not None and not self._write_resumed.done():
            self._write_resumed.set_result(None)
        self._write_resumed = None
        self._on_state_change()

    def has_progressed(self) -> bool:
        """Tell whether the upstream has taken anything since the last call or pause."""
        before, self._unsent_bytes = self._unsent_bytes, self._transport.get_write_buffer_size()
        return self._unsent_bytes < before

    def _write(self, head: bytes, body: bytes) -> None:
        if len(body) <= MAX_JOINED_BYTES:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)

    async def _send_pieces(self, head: bytes, pieces: AsyncIterator[bytes], is_chunked: bool) -> None:
        self._is_upload_started = True
        await self._write_piece(head)
        async for piece in pieces:
            await self._write_piece(encode_chunk(piece) if is_chunked else piece)
        if is_chunked:
            await self._write_piece(LAST_CHUNK)

    async def _write_piece(self, data: bytes) -> None:
        if self._write_resumed is not None:
            await self._write_resumed
        self._transport.write(data)

    def _on_uploaded(self, upload: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if upload.cancelled() else upload.exception()
        if upload is not self._upload:
            return
        if error is not None:
            self._on_error(error)
        else:
            self.is_sent = True
            self._on_state_change()


class ConnectionOwner(Protocol):
    """Who has connections between exchanges."""

    def release(self, connection: Connection) -> None:
        """The exchange is over, and the connection may carry another."""

    def on_closed(self, connection: Connection) -> None:
        """The connection's socket is gone."""


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 over one socket; its user must not start an exchange before the last one is over.

    An exchange is under way as long as `_answer` is set, which is its identity. It ends in one of three ways:
    `_settle` (the response is complete), `_fail` (it never will be) or `drop` (nobody wants it any more).

    `is_open` tells whether it may be used, `has_socket` whether it still holds a socket, if only to close it.
    """

    _transport: asyncio.Transport
    _sender: RequestSender

    def __init__(self, origin: Origin, owner: ConnectionOwner) -> None:
        self.is_open = False
        self.has_socket = False
        self._origin = origin
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._loop, self._on_alarm)
        self._parser = ResponseParser()
        self._is_used = False
        self._deadlines = Deadlines(Timeouts(), inf, inf)
        self._phase: Phase = "request"
        self._answer: asyncio.Future[UpstreamResponse] | None = None
        self._response: UpstreamResponse | None = None
        self._is_paused = False

    async def exchange(self, request: OutgoingRequest, head: bytes, deadlines: Deadlines) -> UpstreamResponse:
        """Send a request, whose encoded head is `head`, and return the response when its final head is there.

        Raises:
            StaleConnection: the connection had died while it was kept; nothing of an answer came, and the
                request can be sent again.
            ExchangeFailed: the upstream closed the connection or did not answer with HTTP.
            ExchangeTimedOut: it took too long to take the request or to answer.
            Exception: whatever the iterator of the request's body raised.
        """
        self._phase = "request"
        self._parser.expect(request.method)
        if not self.is_open:
            raise self._early_close_error()
        answer: asyncio.Future[UpstreamResponse] = self._loop.create_future()
        self._answer = answer
        self._deadlines = deadlines
        self._sender.send(head, request.body, is_chunked=has_chunked_coding(request.headers))
        try:
            return await answer
        except asyncio.CancelledError:
            # Unless the whole response was here already: then the connection may be another's by now.
            if self._answer is answer:
                self.drop()
            raise

    def keep(self, seconds: float) -> None:
        """Wait for the next exchange, but no longer than this."""
        self._alarm.set(self._loop.time() + seconds)

    def close(self) -> None:
        """Close the connection; an exchange that is under way fails."""
        if self._answer is not None:
            message = f"the connection to {peer_name(self._origin)} was closed here."
            self._fail(ExchangeFailed(message, self._phase))
        elif self.is_open:
            self.is_open = False
            self._transport.close()

    def drop(self) -> None:
        """Forget the exchange that is under way, and the connection with it."""
        self._end()
        self._abort()

    def resume(self) -> None:
        """Read on from the upstream, if it had been made to wait."""
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
            self._set_deadline("body", self._deadlines.timeouts.idle)

    # Receiving

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self._abort()
            return
        malformed: MalformedResponse | None = None
        try:
            self._parser.feed(data)
        except MalformedResponse as error:
            malformed = error
        self._deliver()
        if self._parser.is_complete:
            self._complete()
        elif malformed is not None:
            self._fail(self._malformed_error(malformed))

    def _deliver(self) -> None:
        """Hand on what the parser has read, be it followed by an error or not."""
        parser, response = self._parser, self._response
        if response is None:
            if parser.head is None:
                return
            response = self._respond(parser.head)
        elif not parser.body:
            return
        self._set_deadline("body", self._deadlines.timeouts.idle)
        if parser.body:
            response.add(parser.body)
            parser.body = []
            if response.is_full and not self._is_paused and not parser.is_complete:
                self._is_paused = True
                self._transport.pause_reading()

    def _respond(self, head: ResponseHead) -> UpstreamResponse:
        response = self._response = UpstreamResponse(head, self)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(response)
        if head.status >= 400:
            # An error that comes early says that the rest is not wanted (RFC 9112, section 9.3).
            self._sender.stop()
        return response

    def eof_received(self) -> None:
        self._on_end(None)

    def _on_end(self, error: Exception | None) -> None:
        """Nothing more will come: the upstream closed its side (None), or the connection broke."""
        if self._answer is None:
            self._abort()
        elif error is None and self._parser.finish_at_close():
            self._complete()
        elif self._response is not None:
            self._fail(ExchangeFailed(f"{peer_name(self._origin)} broke off the body.", "body"))
        else:
            self._fail(self._early_close_error())

    # How exchanges end

    def _complete(self) -> None:
        """The response is complete, though maybe not read: hand the connection back if it is fit for more."""
        response = cast(UpstreamResponse, self._response)
        is_sent = self._sender.is_sent and not self._transport.get_write_buffer_size()
        is_reusable = is_sent and self._parser.is_reusable
        self._end()
        response.finish()
        if is_reusable:
            self._is_used = True
            self._owner.release(self)
        else:
            self._abort()

    def _fail(self, error: Exception) -> None:
        answer, response = self._answer, self._response
        self.drop()
        if response is not None:
            response.fail(error)
        elif answer is not None and not answer.done():
            answer.set_exception(error)

    def _end(self) -> None:
        self._answer = self._response = None
        self._alarm.set(inf)
        self._sender.stop()

    def _on_upload_error(self, error: BaseException) -> None:
        if not isinstance(error, Exception):
            error = ExchangeFailed("the request's body was cancelled.", "request")
        self._fail(error)

    def _early_close_error(self) -> Exception:
        if self._is_used and self._parser.is_unstarted and self._sender.can_repeat:
            return StaleConnection()
        message = f"{peer_name(self._origin)} closed the connection before answering."
        return ExchangeFailed(message, self._phase)

    def _malformed_error(self, malformed: MalformedResponse) -> ExchangeFailed:
        peer = peer_name(self._origin)
        if self._response is None:
            return ExchangeFailed(f"{peer} answered with something that is not HTTP: {malformed}.", "head")
        return ExchangeFailed(
            f"{peer} broke off the body with something that is not HTTP: {malformed}.", "body"
        )

    # Time

    def _set_deadline(self, phase: Phase, seconds: float) -> None:
        self._phase = phase
        self._alarm.set(min(self._loop.time() + seconds, self._deadlines.total_at))

    def _set_request_deadline(self) -> None:
        """Until there is an answer, set the alarm by whose turn it is: to take bytes, to answer, or ours."""
        if self._answer is None or self._response is not None:
            return
        if self._sender.is_stalled:
            self._set_deadline("request", self._deadlines.timeouts.idle)
        elif self._sender.is_sent:
            self._set_deadline("head", self._deadlines.timeouts.first_byte)
        else:
            self._set_deadline("request", inf)

    def _on_alarm(self) -> None:
        if self._answer is None:
            self.close()
        elif self._loop.time() >= self._deadlines.total_at:
            total = cast(float, self._deadlines.timeouts.total)
            message = f"{peer_name(self._origin)} was not done within {total:g} s."
            self._fail(ExchangeTimedOut(message, self._phase))
        elif self._may_wait_longer():
            self._set_deadline(self._phase, self._deadlines.timeouts.idle)
        else:
            self._fail(timeout_failure(self._phase, self._origin, self._deadlines.timeouts))

    def _may_wait_longer(self) -> bool:
        """The upstream does take the request, if slowly; or it has to wait for us."""
        if self._response is None:
            return self._phase == "request" and self._sender.has_progressed()
        return self._response.is_unread or self._sender.is_uploading

    # The socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._sender = RequestSender(self._transport, self._set_request_deadline, self._on_upload_error)
        self.is_open = self.has_socket = True

    def pause_writing(self) -> None:
        self._sender.pause()

    def resume_writing(self) -> None:
        self._sender.resume()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = self.has_socket = False
        if self._answer is not None:
            self._on_end(error)
        self._alarm.stop()
        self._owner.on_closed(self)

    def _abort(self) -> None:
        if self.is_open:
            self.is_open = False
            self._transport.abort()
