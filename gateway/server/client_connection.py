"""A client's connection: proxied requests on a short way of their own, all others and what is odd on aiohttp's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, cast

import httptools
import structlog
from aiohttp import web
from aiohttp.http import StreamWriter
from aiohttp.http_exceptions import BadHttpMethod, HttpProcessingError, InvalidURLError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import ERROR

from gateway.errors import BadInput, HeadTooLarge
from gateway.models.exchange import RawHeaders
from gateway.proxy.request import HeaderFields, IncomingRequest, WholeBody
from gateway.proxy.response import RelayedResponse
from gateway.routes import is_own_path
from gateway.web.bodies import BodyReader

log = structlog.get_logger("gateway.server")

# aiohttp raises no class of its own for this.
_TOO_MANY_HEADERS_MESSAGE = "Too many headers received"

# Answers a request that is not on one of the gateway's own paths.
Forward = Callable[[IncomingRequest], Awaitable[web.StreamResponse]]

# Fields of requests that are left to aiohttp.
_LEFT_TO_AIOHTTP = frozenset({b"transfer-encoding", b"expect", b"upgrade", b"sec-websocket-key1"})
_KEEP_ALIVE = b"keep-alive"
_MAX_CACHED_BYTES = 256


@lru_cache(maxsize=1024)
def _read_line(line: bytes) -> tuple[str, str] | None:
    # Method and path of a request to a provider.
    words = line.split(b" ")
    if len(words) != 3 or words[2] != b"HTTP/1.1" or words[1][:2] == b"//":
        return None
    raw_path = words[1].decode("utf-8", "surrogateescape")
    return None if is_own_path(raw_path) else (words[0].decode("latin-1"), raw_path)


class HeadParser:
    """Reads heads of requests to providers, of the plain kind that nearly all of them are."""

    def __init__(self, max_bytes: int, max_fields: int) -> None:
        self._max_bytes = max_bytes
        self._max_fields = max_fields
        self._fields: list[tuple[bytes, bytes]] = []
        # llhttp, which aiohttp has too, refuses what is not HTTP.
        self._parser = httptools.HttpRequestParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name, value.rstrip(b" \t")))

    def read(self, data: bytes) -> tuple[str, str, RawHeaders, dict[bytes, bytes], bytes] | None:
        """Return method, path, fields, values by lower-case name, and the rest; None: it is left to aiohttp."""
        head, end, body = data.partition(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        # A query may hold a key, which no cache should.
        is_cached = len(line) <= _MAX_CACHED_BYTES and b"?" not in line
        asked = _read_line(line) if is_cached else _read_line.__wrapped__(line)
        if asked is None or not end or len(head) > self._max_bytes:
            return None
        fields = self._fields = []
        try:
            self._parser.feed_data(head + end)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return None
        values = {name.lower(): value for name, value in fields}
        # aiohttp refuses more than llhttp does: no host, fields that may not come twice, NUL, too many of them.
        is_plain = (
            len(values) == len(fields) == rest.count(b"\n") + 1 <= self._max_fields
            and b"host" in values
            and b"\0" not in head
            and values.get(b"connection", _KEEP_ALIVE).lower() == _KEEP_ALIVE
            and _LEFT_TO_AIOHTTP.isdisjoint(values)
        )
        return (*asked, tuple(fields), values, body) if is_plain else None

    def skip(self, body: bytes) -> None:
        """Take note of a part of the body."""
        self._parser.feed_data(body)


class ClientConnection(web.RequestHandler):
    """A client's connection. aiohttp reads and answers what is not a plain request to a provider, and from then
    on all that comes on the connection; until then requests are forwarded without its objects and tasks."""

    __slots__ = (
        "_forward",
        "_head_parser",
        "_is_answering",
        "_missing_bytes",
        "_next",
        "_surplus",
        "_upload",
    )

    def __init__(
        self, manager: web.Server, forward: Forward, *, loop: asyncio.AbstractEventLoop, **options: Any
    ) -> None:
        super().__init__(manager, loop=loop, **options)
        self._forward = forward
        # None once aiohttp has taken over.
        self._head_parser: HeadParser | None = HeadParser(
            min(self.max_line_size, self.max_field_size), self.max_headers
        )
        self._next: IncomingRequest | None = None
        self._is_answering = False
        # A body that is not all here yet, and how much of it is missing.
        self._upload: StreamReader | None = None
        self._missing_bytes = 0
        # What came after the request that is being answered.
        self._surplus = b""

    # Reading

    def data_received(self, data: bytes) -> None:
        if self._head_parser is None:
            super().data_received(data)
        elif self._force_close or self._close:
            return
        elif self._upload is not None:
            self._feed(self._head_parser, self._upload, data)
        elif self._is_answering:
            self._hold(data)
        else:
            self._begin(self._head_parser, data)

    def _begin(self, parser: HeadParser, data: bytes) -> None:
        head = parser.read(data)
        if head is None:
            self._head_parser = None
            super().data_received(data)
            return
        method, raw_path, fields, values, body = head
        length = values.get(b"content-length")
        size = 0 if length is None else int(length)
        content: BodyReader = WholeBody(body)
        if len(body) < size:
            content = self._upload = StreamReader(self, self._read_bufsize, loop=self._loop)
            self._missing_bytes = size
        self._next = IncomingRequest(
            self, method, raw_path, fields, HeaderFields(values), content,
            None if length is None else size, size > 0, self._task_handler,
        )  # fmt: skip
        self._request_count += 1
        self._is_answering = True
        if self._upload is not None:
            self._feed(parser, self._upload, body)
        elif body:
            if len(body) > size:
                body, surplus = body[:size], body[size:]
                self._next.content = WholeBody(body)
                self._hold(surplus)
            parser.skip(body)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _feed(self, parser: HeadParser, upload: StreamReader, data: bytes) -> None:
        piece, surplus = data[: self._missing_bytes], data[self._missing_bytes :]
        parser.skip(piece)
        self._missing_bytes -= len(piece)
        upload.feed_data(piece)
        if not self._missing_bytes:
            self._upload = None
            upload.feed_eof()
        if surplus:
            self._hold(surplus)

    def _hold(self, data: bytes) -> None:
        self._surplus += data
        if len(self._surplus) > self._read_bufsize and not self._buffer_paused:
            self._pause_reading_for_buffer()

    def pause_reading(self) -> None:
        if self._head_parser is None:
            super().pause_reading()
        else:
            self._reading_paused = True
            self._pause_transport_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        # aiohttp would have its parser look for more, and the transport resumed, after each body that it reads.
        if not self._reading_paused:
            return
        if self._head_parser is None:
            super().resume_reading(resume_parser)
        else:
            self._reading_paused = False
            if not self._buffer_paused:
                self._resume_transport_reading()

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        if self._upload is not None:
            self._upload.set_exception(exc or ConnectionResetError("Connection lost"))

    # Answering

    async def start(self) -> None:
        """Answer requests, one after the other, until the connection is to be closed or aiohttp takes over."""
        try:
            while not self._force_close:
                if self._next is None and self._head_parser is not None:
                    self._waiter = self._loop.create_future()
                    try:
                        await self._waiter
                    finally:
                        self._waiter = None
                request, self._next = self._next, None
                if request is None:
                    await super().start()
                    return
                if not await self._answer(request):
                    break
                self._prepare_for_next()
        except asyncio.CancelledError:
            self.force_close()
            raise
        except Exception as error:
            self.log_exception("Unhandled exception", exc_info=error)
            self.force_close()
        if not self._force_close:
            self._task_handler = None
            if self.transport is not None:
                self.transport.close()

    async def _answer(self, request: IncomingRequest) -> bool:
        """Answer a request; tell whether another may follow."""
        if self._manager is not None:
            self._manager.requests_count += 1
        self._request_in_progress = True
        try:
            response: web.StreamResponse | Exception
            try:
                response = await self._forward(request)
            except Exception as error:
                response = error
            if not isinstance(response, RelayedResponse):
                response, is_reset = await self._handle_request(
                    self._for_aiohttp(request), None, _giving(response)
                )
                if is_reset:
                    return False
        except ConnectionError:
            return False
        finally:
            self._request_in_progress = False
            if self._handler_waiter is not None and not self._handler_waiter.done():
                self._handler_waiter.set_result(None)
        if self._upload is not None:
            await self._discard(self._upload)
        self._keepalive = bool(response.keep_alive)
        return self._keepalive and not self._close and not self._force_close

    def _prepare_for_next(self) -> None:
        self._is_answering = False
        # As aiohttp does after each response.
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(
                self._next_keepalive_close_time, self._process_keepalive
            )
        if self._surplus and self._head_parser is not None:
            surplus, self._surplus = self._surplus, b""
            if self._buffer_paused:
                self._resume_reading_for_buffer()
            self._begin(self._head_parser, surplus)

    async def _discard(self, upload: StreamReader) -> None:
        # Unread bytes would have the connection reset before the client has read the response.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._lingering_time):
                while not upload.is_eof() and not self._force_close:
                    await upload.readany()
        if not upload.is_eof() and not self._force_close:
            self.close()

    def _for_aiohttp(self, request: IncomingRequest) -> web.BaseRequest:
        # All that its responses look at.
        message = ERROR._replace(
            method=request.method,
            path=request.raw_path,
            version=request.version,
            headers=cast(Any, request.headers),
            raw_headers=request.raw_headers,
            should_close=False,
        )
        writer = StreamWriter(self, self._loop)
        task = cast("asyncio.Task[None]", self._task_handler)
        return web.BaseRequest(message, EMPTY_PAYLOAD, self, writer, task, self._loop)

    # Errors

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Render the error for a request that cannot be parsed."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        error = self._to_error(exc)
        # Without any of its text, which may hold a key.
        log.info("unreadable request refused", status=error.status, reason=str(error), remote=request.remote)
        if request.writer.output_size:
            raise ConnectionError("the response has already started")
        body = {"error": {"code": error.code, "message": str(error)}}
        response = web.json_response(body, status=error.status)
        response.force_close()
        return response

    def _to_error(self, error: HttpProcessingError) -> BadInput:
        if isinstance(error, LineTooLong):
            fault = f"the request line or a header field is longer than {self.max_field_size:,} bytes."
            return HeadTooLarge(fault, hint="The limit is server.max_head_bytes.")
        if error.message == _TOO_MANY_HEADERS_MESSAGE:
            return HeadTooLarge(f"there are more than {self.max_headers} header fields.")
        if isinstance(error, BadHttpMethod):
            return BadInput("this is not HTTP/1.1; HTTP/2 and TLS are not supported on this port.")
        if isinstance(error, InvalidURLError):
            return BadInput("the request line has no valid URL.", hint="Percent-encode what is not ASCII.")
        return BadInput("the request is not valid HTTP/1.1.")


def _giving(
    outcome: web.StreamResponse | Exception,
) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    async def give(_: web.BaseRequest) -> web.StreamResponse:
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return give
