"""WebSocket to a provider: a connection that carries raw bytes once the provider has switched protocols."""

from __future__ import annotations

import asyncio
import socket
from http import HTTPStatus
from typing import Protocol, cast

from gateway.models.exchange import first_value
from gateway.upstream import errors
from gateway.upstream.client import dial
from gateway.upstream.errors import ExchangeFailed
from gateway.upstream.request import Deadlines, Origin, OutgoingRequest, Timeouts, encode_head
from gateway.upstream.response import (
    MAX_HEAD_BYTES,
    MalformedResponse,
    ResponseHead,
    ResponseParser,
    UpstreamResponse,
)

# A refusal is kept no further.
MAX_REFUSAL_BYTES = 1024 * 1024

# How long a connection that is closed may take to send what was written.
LINGER_SECONDS = 5.0

_STATUS_LINE = b"HTTP/1.1 "


class TunnelEnd(Protocol):
    """Gets what the provider sends, and how its connection goes."""

    def on_provider_data(self, data: bytes) -> None: ...
    def on_provider_writable(self) -> None: ...
    def on_provider_closed(self) -> None: ...


class _NoSource:
    # A refusal was read whole before anybody reads it.

    def resume(self) -> None: ...
    def drop(self) -> None: ...


class UpstreamWebSocket(asyncio.Protocol):
    """A connection on which an upgrade is asked for; after `start` it is the tunnel's."""

    _transport: asyncio.Transport

    def __init__(self, origin: Origin, idle_seconds: float) -> None:
        self.idle_seconds = idle_seconds
        self.is_writing_paused = False
        self.is_open = False
        self._peer = errors.peer_name(origin)
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._answer: asyncio.Future[UpstreamResponse] = self._loop.create_future()
        self._refusal: ResponseParser | None = None
        self._refusal_bytes = 0
        self._end: TunnelEnd | None = None
        self._is_reading = True
        self._linger: asyncio.TimerHandle | None = None

    async def ask(self, head: bytes, deadlines: Deadlines) -> UpstreamResponse:
        """Send the head of an upgrade, and return the answer: a switch of protocols, or a refusal read whole.

        Raises ExchangeFailed, ExchangeTimedOut.
        """
        self._transport.write(head)
        timeouts = deadlines.timeouts
        due = min(self._loop.time() + timeouts.first_byte, deadlines.total_at)
        try:
            async with asyncio.timeout_at(due):
                return await self._answer
        except TimeoutError:
            raise errors.ExchangeTimedOut(
                f"{self._peer} did not answer within {timeouts.first_byte:g} s.", "head"
            ) from None

    def start(self, end: TunnelEnd) -> None:
        """Hand over to a tunnel what has come behind the head, and all that comes."""
        self._end = end
        if received := bytes(self._received):
            self._received.clear()
            end.on_provider_data(received)
        if not self.is_open:
            end.on_provider_closed()

    def write(self, data: bytes) -> None:
        if self.is_open:
            self._transport.write(data)

    def set_reading(self, *, wants_more: bool) -> None:
        if self.is_open and wants_more is not self._is_reading:
            self._is_reading = wants_more
            (self._transport.resume_reading if wants_more else self._transport.pause_reading)()

    def close(self) -> None:
        """Close once all is sent, or after a while where nothing is taken any more."""
        if self.is_open and self._linger is None:
            self._transport.close()
            self._linger = self._loop.call_later(LINGER_SECONDS, self._transport.abort)

    def abort(self) -> None:
        if self.is_open:
            self._transport.abort()

    # The socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        if self._end is not None:
            self._end.on_provider_data(data)
            return
        if self._refusal is not None:
            self._read_refusal(data)
            return
        self._received += data
        if self._answer.done():
            # Until the tunnel begins.
            return
        try:
            self._read_head()
        except (MalformedResponse, ValueError) as error:
            self._fail(f"{self._peer} answered with something that is not HTTP: {error}.")

    def eof_received(self) -> None:
        if self._refusal is not None and self._refusal.finish_at_close():
            self._end_refusal()

    def pause_writing(self) -> None:
        self.is_writing_paused = True

    def resume_writing(self) -> None:
        self.is_writing_paused = False
        if self._end is not None:
            self._end.on_provider_writable()

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self._linger is not None:
            self._linger.cancel()
        if self._end is not None:
            self._end.on_provider_closed()
        elif not self._answer.done():
            self._fail(f"{self._peer} closed the connection before answering.")

    # The answer

    def _read_head(self) -> None:
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            if len(self._received) > MAX_HEAD_BYTES:
                raise MalformedResponse("its head is too long")
            return
        status_line, *lines = bytes(self._received[:end]).split(b"\r\n")
        if not status_line.startswith(_STATUS_LINE):
            raise MalformedResponse("its first line is no status")
        status_text, _, reason = status_line.removeprefix(_STATUS_LINE).partition(b" ")
        status = int(status_text)
        if status != HTTPStatus.SWITCHING_PROTOCOLS:
            # Interim answers included, which the parser passes over.
            self._refusal = ResponseParser()
            self._refusal.expect("GET")
            received = bytes(self._received)
            self._received.clear()
            self._read_refusal(received)
            return
        del self._received[: end + 4]
        fields = tuple(_split_field(line) for line in lines)
        if first_value(fields, b"upgrade").lower() != b"websocket":
            raise MalformedResponse("it switches to another protocol")
        head = ResponseHead(status, reason, fields, 0)
        # What follows may come at once, and long before somebody reads it.
        self.set_reading(wants_more=False)
        self._resolve(head, b"")

    def _read_refusal(self, data: bytes) -> None:
        parser = self._refusal
        assert parser is not None
        try:
            parser.feed(data)
        except MalformedResponse as error:
            self._fail(f"{self._peer} answered with something that is not HTTP: {error}.")
            return
        self._refusal_bytes += len(data)
        if parser.is_complete or self._refusal_bytes > MAX_REFUSAL_BYTES:
            self._end_refusal()

    def _end_refusal(self) -> None:
        assert self._refusal is not None
        if self._refusal.head is not None:
            body = b"".join(self._refusal.body)
            self._resolve(self._refusal.head._replace(content_length=len(body)), body)
        self.abort()

    def _resolve(self, head: ResponseHead, body: bytes) -> None:
        if not self._answer.done():
            response = UpstreamResponse(head, _NoSource())
            if body:
                response.add(body)
            response.finish()
            self._answer.set_result(response)

    def _fail(self, message: str) -> None:
        if not self._answer.done():
            self._answer.set_exception(ExchangeFailed(message, "head"))
        self.abort()


async def open_websocket(
    request: OutgoingRequest, origin: Origin, timeouts: Timeouts
) -> tuple[UpstreamWebSocket, UpstreamResponse]:
    """Ask a provider for a WebSocket. Raises BadInput for the head, ExchangeFailed, ExchangeTimedOut."""
    head = encode_head(request)
    deadlines = Deadlines.from_now(asyncio.get_running_loop().time(), timeouts)
    connection = await dial(origin, deadlines, lambda: UpstreamWebSocket(origin, timeouts.idle))
    try:
        return connection, await connection.ask(head, deadlines)
    except BaseException:
        connection.abort()
        raise


def set_user_timeout(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Have the kernel end a connection whose other side acknowledges nothing for so long (RFC 5482)."""
    sock = transport.get_extra_info("socket")
    option = getattr(socket, "TCP_USER_TIMEOUT", None)
    if sock is not None and option is not None:
        sock.setsockopt(socket.IPPROTO_TCP, option, max(1, round(seconds * 1000)))


def _split_field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not name or name != name.strip():
        raise MalformedResponse("it has a line that is no header field")
    return name, value.strip()
