"""Connection to a provider: carries one exchange at a time, and is kept for the next."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Protocol, cast

from gateway.upstream import errors
from gateway.upstream.errors import ExchangeFailed, Phase
from gateway.upstream.request import Alarm, Deadlines, Origin, OutgoingRequest, RequestSender
from gateway.upstream.response import MalformedResponse, ResponseHead, ResponseParser, UpstreamResponse


class ConnectionOwner(Protocol):
    def release(self, connection: Connection) -> None: ...

    def on_closed(self, connection: Connection) -> None: ...


def _join(pieces: list[bytes]) -> bytes:
    # The list stays the parser's.
    joined = b"".join(pieces)
    pieces.clear()
    return joined


class Connection(asyncio.Protocol):
    """Speaks HTTP/1.1 over one socket, one exchange at a time."""

    # An exchange is under way as long as `_answer` is set, which is its identity. It ends in one of three ways:
    # `_complete` (the response is complete), `_fail` (it never will be) or `drop` (it was given up).

    _transport: asyncio.Transport
    _sender: RequestSender
    _deadlines: Deadlines
    _idle_seconds: float
    _total_at: float

    def __init__(self, origin: Origin, owner: ConnectionOwner) -> None:
        self.is_open = False
        # Stays true while a socket that is no longer used is being closed.
        self.has_socket = False
        self._origin = origin
        self._peer = errors.peer_name(origin)
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._now = self._loop.time
        self._alarm = Alarm(self._loop, self._on_alarm)
        self._parser = ResponseParser()
        self._is_used = False
        self._phase: Phase = "request"
        self._answer: asyncio.Future[UpstreamResponse] | None = None
        self._response: UpstreamResponse | None = None
        self._is_paused = False

    async def exchange(self, request: OutgoingRequest, head: bytes, deadlines: Deadlines) -> UpstreamResponse:
        """Do what `Upstream.send` does. Raises StaleConnection if the request can be sent on another one."""
        self._phase = "request"
        self._parser.expect(request.method)
        if not self.is_open:
            raise self._early_close_error()
        answer: asyncio.Future[UpstreamResponse] = self._loop.create_future()
        self._answer = answer
        self._deadlines = deadlines
        self._idle_seconds, self._total_at = deadlines.timeouts.idle, deadlines.total_at
        self._sender.send(request, head)
        try:
            return await answer
        except asyncio.CancelledError:
            # Unless the whole response was here already: then the connection may be another's by now.
            if self._answer is answer:
                self.drop()
            raise

    def keep(self, seconds: float) -> None:
        """Close the connection unless an exchange begins within this time."""
        self._alarm.set(self._loop.time() + seconds)

    def close(self) -> None:
        """Close the connection; an exchange that is under way fails."""
        if self._answer is not None:
            self._fail(ExchangeFailed(f"the connection to {self._peer} was closed here.", self._phase))
        elif self.is_open:
            self.is_open = False
            self._transport.close()

    def drop(self) -> None:
        """Give up the exchange that is under way, and the connection with it."""
        self._end()
        self._abort()

    def resume(self) -> None:
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
        parser = self._parser
        try:
            parser.feed(data)
        except MalformedResponse as error:
            malformed = error
        response, body = self._response, parser.body
        if response is None and parser.head is not None:
            response = self._respond(parser.head)
        if body and response is not None:
            piece = body.pop() if len(body) == 1 else _join(body)
            # As `_set_deadline` does it: each event of a stream would pay for the calls.
            due, alarm = self._now() + self._idle_seconds, self._alarm
            if due < self._total_at and due >= alarm.timer_at:
                alarm.due = due
            else:
                self._set_deadline("body", self._idle_seconds)
            if response.add(piece) and not self._is_paused and not parser.is_complete:
                self._is_paused = True
                self._transport.pause_reading()
        if parser.is_complete:
            self._complete()
        elif malformed is not None:
            self._fail(self._malformed_error(malformed))

    def _respond(self, head: ResponseHead) -> UpstreamResponse:
        response = self._response = UpstreamResponse(head, self)
        if not self._parser.is_complete:
            self._set_deadline("body", self._idle_seconds)
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(response)
        if head.status >= 400:
            # An error that comes early says that the rest is not wanted (RFC 9112, section 9.3).
            self._sender.stop()
        return response

    def eof_received(self) -> None:
        self._on_end(None)

    def _on_end(self, error: Exception | None) -> None:
        # No error: the provider has closed its side.
        if self._answer is None:
            self._abort()
        elif error is None and self._parser.finish_at_close():
            self._complete()
        elif self._response is not None:
            self._fail(ExchangeFailed(f"{self._peer} broke off the body.", "body"))
        else:
            self._fail(self._early_close_error())

    # How exchanges end

    def _complete(self) -> None:
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
            return errors.StaleConnection()
        return ExchangeFailed(f"{self._peer} closed the connection before answering.", self._phase)

    def _malformed_error(self, malformed: MalformedResponse) -> ExchangeFailed:
        has_begun = self._response is not None
        what = "broke off the body" if has_begun else "answered"
        message = f"{self._peer} {what} with something that is not HTTP: {malformed}."
        return ExchangeFailed(message, "body" if has_begun else "head")

    # Time

    def _set_deadline(self, phase: Phase, seconds: float) -> None:
        self._phase = phase
        self._alarm.set(min(self._loop.time() + seconds, self._deadlines.total_at))

    def _set_request_deadline(self) -> None:
        # By whose turn it is: the provider's to take bytes, the provider's to answer, or the gateway's to send.
        if self._answer is None or self._response is not None:
            return
        timeouts = self._deadlines.timeouts
        if self._sender.is_sent and not self._sender.is_stalled:
            self._set_deadline("head", timeouts.first_byte)
        else:
            self._set_deadline("request", timeouts.idle if self._sender.is_stalled else inf)

    def _on_alarm(self) -> None:
        if self._answer is None:
            self.close()
        elif self._loop.time() >= self._deadlines.total_at:
            total = cast(float, self._deadlines.timeouts.total)
            message = f"{self._peer} was not done within {total:g} s."
            self._fail(errors.ExchangeTimedOut(message, self._phase))
        elif self._may_wait_longer():
            self._set_deadline(self._phase, self._deadlines.timeouts.idle)
        else:
            self._fail(errors.timeout_failure(self._phase, self._origin, self._deadlines.timeouts))

    def _may_wait_longer(self) -> bool:
        # It takes the request, if slowly, or has to wait for the gateway itself.
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
