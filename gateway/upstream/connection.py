"""One connection to an upstream: one exchange at a time, then kept for the next."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Protocol, cast

from gateway.upstream.failures import (
    ExchangeFailed,
    ExchangeTimedOut,
    Phase,
    StaleConnection,
    peer_name,
    silence,
)
from gateway.upstream.head import says_chunked
from gateway.upstream.message import Origin, OutgoingRequest, Timeouts
from gateway.upstream.parsing import Malformed, ResponseHead, ResponseParser
from gateway.upstream.response import UpstreamResponse
from gateway.upstream.sending import RequestSender
from gateway.upstream.timing import Alarm, Limits


class Keeper(Protocol):
    """Who has connections between exchanges."""

    def take_back(self, connection: Connection) -> None:
        """The exchange is over, and the connection may carry another."""

    def forget(self, connection: Connection) -> None:
        """The connection's socket is gone."""


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 over one socket; its user must not start an exchange before the last one is over.

    An exchange is under way as long as `_answer` is set, which is its identity. It ends in one of three ways:
    `_settle` (the response is complete), `_fail` (it never will be) or `drop` (nobody wants it any more).

    `is_open` tells whether it may be used, `has_socket` whether it still holds a socket, if only to close it.
    """

    _transport: asyncio.Transport
    _sender: RequestSender

    def __init__(self, origin: Origin, keeper: Keeper) -> None:
        self.is_open = False
        self.has_socket = False
        self._origin = origin
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._alarm = Alarm(self._loop, self._on_alarm)
        self._parser = ResponseParser()
        self._is_used = False
        self._limits = Limits(Timeouts(), inf, inf)
        self._phase: Phase = "request"
        self._answer: asyncio.Future[UpstreamResponse] | None = None
        self._response: UpstreamResponse | None = None
        self._is_paused = False

    async def exchange(self, request: OutgoingRequest, head: bytes, limits: Limits) -> UpstreamResponse:
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
            raise self._closed_early()
        answer: asyncio.Future[UpstreamResponse] = self._loop.create_future()
        self._answer = answer
        self._limits = limits
        self._sender.send(head, request.body, is_chunked=says_chunked(request.headers))
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
            self._watch("body", self._limits.timeouts.idle)

    # Receiving

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self._abort()
            return
        fault: Malformed | None = None
        try:
            self._parser.feed(data)
        except Malformed as error:
            fault = error
        self._deliver()
        if self._parser.is_complete:
            self._settle()
        elif fault is not None:
            self._fail(self._garbled(fault))

    def _deliver(self) -> None:
        """Hand on what the parser has read, be it followed by an error or not."""
        parser, response = self._parser, self._response
        if response is None:
            if parser.head is None:
                return
            response = self._respond(parser.head)
        elif not parser.body:
            return
        self._watch("body", self._limits.timeouts.idle)
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
        elif error is None and self._parser.ends_here():
            self._settle()
        elif self._response is not None:
            self._fail(ExchangeFailed(f"{peer_name(self._origin)} broke off the body.", "body"))
        else:
            self._fail(self._closed_early())

    # How exchanges end

    def _settle(self) -> None:
        """The response is complete, though maybe not read: hand the connection back if it is fit for more."""
        response = cast(UpstreamResponse, self._response)
        is_sent = self._sender.is_sent and not self._transport.get_write_buffer_size()
        is_reusable = is_sent and self._parser.is_reusable
        self._end()
        response.finish()
        if is_reusable:
            self._is_used = True
            self._keeper.take_back(self)
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

    def _closed_early(self) -> Exception:
        if self._is_used and self._parser.is_untouched and self._sender.can_repeat:
            return StaleConnection()
        message = f"{peer_name(self._origin)} closed the connection before answering."
        return ExchangeFailed(message, self._phase)

    def _garbled(self, fault: Malformed) -> ExchangeFailed:
        peer = peer_name(self._origin)
        if self._response is None:
            return ExchangeFailed(f"{peer} answered with something that is not HTTP: {fault}.", "head")
        return ExchangeFailed(f"{peer} broke off the body with something that is not HTTP: {fault}.", "body")

    # Time

    def _watch(self, phase: Phase, seconds: float) -> None:
        self._phase = phase
        self._alarm.set(min(self._loop.time() + seconds, self._limits.total_at))

    def _watch_request(self) -> None:
        """Until there is an answer, set the alarm by whose turn it is: to take bytes, to answer, or ours."""
        if self._answer is None or self._response is not None:
            return
        if self._sender.is_stalled:
            self._watch("request", self._limits.timeouts.idle)
        elif self._sender.is_sent:
            self._watch("head", self._limits.timeouts.first_byte)
        else:
            self._watch("request", inf)

    def _on_alarm(self) -> None:
        if self._answer is None:
            self.close()
        elif self._loop.time() >= self._limits.total_at:
            total = cast(float, self._limits.timeouts.total)
            message = f"{peer_name(self._origin)} was not done within {total:g} s."
            self._fail(ExchangeTimedOut(message, self._phase))
        elif self._is_excused():
            self._watch(self._phase, self._limits.timeouts.idle)
        else:
            self._fail(silence(self._phase, self._origin, self._limits.timeouts))

    def _is_excused(self) -> bool:
        """The upstream does take the request, if slowly; or it has to wait for us."""
        if self._response is None:
            return self._phase == "request" and self._sender.has_progressed()
        return self._response.is_unread or self._sender.is_uploading

    # The socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._sender = RequestSender(self._transport, self._watch_request, self._on_upload_error)
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
        self._keeper.forget(self)

    def _abort(self) -> None:
        if self.is_open:
            self.is_open = False
            self._transport.abort()
