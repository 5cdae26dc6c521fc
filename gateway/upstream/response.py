"""A provider's response: parsed from bytes as they arrive, and read by one reader."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol

import httptools

from gateway.models.exchange import RawHeaders
from gateway.upstream.errors import ExchangeFailed

# Longest head taken, interim responses included; also the longest run of trailers or chunk extensions.
MAX_HEAD_BYTES = 256 * 1024

# How much of a body may lie unread before the provider is made to wait.
MAX_UNREAD_BYTES = 256 * 1024

# Takes a piece of a body; tells whether it wants more now.
BodySink = Callable[[bytes], bool]


class MalformedResponse(Exception):
    """What arrived is not a response; the text is the reason, as half a sentence."""


class ResponseHead(NamedTuple):
    """The head of a final response; its length is None if it is chunked or ends with the connection."""

    status: int
    reason: bytes
    headers: RawHeaders
    content_length: int | None


class ResponseParser:
    """Parses the responses on one connection: `expect` each, then `feed` it (RFC 9112, sections 4 to 8)."""

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        # Emptied by its reader, and never another list: httptools appends to it without a call of Python's.
        self.body: list[bytes] = []
        self.on_body = self.body.append
        self.is_complete = False
        self._answers_head = False
        self._is_persistent = False
        self._ends_with_connection = False
        self._bytes_without_body = 0
        self._reason = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._parser = httptools.HttpResponseParser(self)

    @property
    def is_unstarted(self) -> bool:
        return self.head is None and not self._bytes_without_body

    @property
    def is_reusable(self) -> bool:
        return self.is_complete and self._is_persistent

    def expect(self, method: str) -> None:
        if self._answers_head:
            # The old parser still waits for the body that the answer to HEAD announced.
            self._parser = httptools.HttpResponseParser(self)
        self._answers_head = method == "HEAD"
        self.head = None
        self.body.clear()
        self.is_complete = False
        self._bytes_without_body = 0

    def feed(self, data: bytes) -> None:
        """Parse more bytes into `head` and `body`, also if it raises MalformedResponse then."""
        if self._answers_head and len(lines := data.splitlines(keepends=True)) > 1:
            # httptools has no setting for a head without its body, and must see nothing after the blank line.
            for line in lines:
                self.feed(line)
            return
        if self.is_complete:
            self._is_persistent = False
            return
        self._bytes_without_body += len(data)
        before = len(self.body)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._is_persistent = False
            if not self.is_complete:
                context = error.__context__
                reason = context if isinstance(context, MalformedResponse) else error
                raise MalformedResponse(str(reason)) from None
        if len(self.body) > before:
            self._bytes_without_body = 0
        elif self._bytes_without_body > MAX_HEAD_BYTES and not self.is_complete:
            part = "head" if self.head is None else "run of trailers or chunk extensions"
            raise MalformedResponse(_too_long(part))

    def finish_at_close(self) -> bool:
        if self.head is not None and self._ends_with_connection:
            self.is_complete = True
        return self.is_complete

    # Called by httptools. An exception raised here stops it, and is the context of the one from feed_data.

    def on_message_begin(self) -> None:
        if self.is_complete:
            raise MalformedResponse("there is more after its end")
        self._reason = b""
        self._fields = []

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.head is None:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status == 101:
            raise MalformedResponse("it switches protocols, which was not asked for")
        if status < 100:
            raise MalformedResponse("its status is not one")
        if status < 200:
            return
        if self._bytes_without_body > MAX_HEAD_BYTES:
            # Some of that may be body.
            size = sum(len(name) + len(value) + 4 for name, value in self._fields)
            if size > MAX_HEAD_BYTES:
                raise MalformedResponse(_too_long("head"))
        length = _body_length(self._fields)
        if self._answers_head or status in (204, 304):
            length = 0
        self.head = ResponseHead(status, self._reason, tuple(self._fields), length if length >= 0 else None)
        self._bytes_without_body = 0
        self._ends_with_connection = length == UNTIL_CLOSE
        self._is_persistent = self._parser.should_keep_alive()
        self.is_complete = self._answers_head

    def on_message_complete(self) -> None:
        self.is_complete = self.head is not None


CHUNKED = -1
UNTIL_CLOSE = -2


def _body_length(fields: list[tuple[bytes, bytes]]) -> int:
    """Return the body's length in bytes, CHUNKED or UNTIL_CLOSE."""
    # httptools has refused a head that says both.
    length = UNTIL_CLOSE
    for name, value in fields:
        if len(name) == 14 and name.lower() == b"content-length":
            length = int(value)
        elif len(name) == 17 and name.lower() == b"transfer-encoding":
            if length == CHUNKED or value.strip().lower() != b"chunked":
                raise MalformedResponse("its transfer coding is not one that was asked for")
            length = CHUNKED
    return length


def _too_long(part: str) -> str:
    return f"its {part} is longer than {MAX_HEAD_BYTES // 1024} KiB"


class BodySource(Protocol):
    """Where a response's body comes from while there is more of it."""

    def resume(self) -> None: ...
    def drop(self) -> None: ...


class Response(Protocol):
    """What the proxy relays, from a provider or a cache: a head, and a body to be read once."""

    status: int
    reason: bytes
    headers: RawHeaders
    content_length: int | None

    @property
    def is_unread(self) -> bool: ...
    def is_finished(self) -> bool: ...
    async def read(self) -> bytes: ...
    async def forward_to(self, sink: BodySink) -> None: ...
    def close(self) -> None: ...


class UpstreamResponse:
    """The response of a provider, from a connection to one reader."""

    __slots__ = (
        "_arrival", "_failure", "_is_ended", "_pieces", "_sink", "_source", "_unread_bytes",
        "content_length", "headers", "reason", "status",
    )  # fmt: skip

    def __init__(self, head: ResponseHead, source: BodySource) -> None:
        self.status, self.reason, self.headers, self.content_length = head
        self._source: BodySource | None = source
        self._pieces: list[bytes] = []
        self._unread_bytes = 0
        self._is_ended = False
        self._failure: Exception | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._sink: BodySink | None = None

    async def read(self) -> bytes:
        """Return what has arrived of the body, b"" at its end. Raises ExchangeFailed or ExchangeTimedOut."""
        if not self._pieces and not self._is_ended:
            await self._wait()
        if self._pieces:
            return self._take()
        if self._failure is not None:
            raise self._failure
        return b""

    async def forward_to(self, sink: BodySink) -> None:
        """Pass the body on until its end, or until the sink wants no more."""
        # Straight from the socket: a wake-up of the reader's task for each piece would cost more than the piece.
        if self._pieces and not sink(self._take()):
            return
        if not self._is_ended:
            self._sink = sink
            try:
                await self._wait()
            finally:
                self._sink = None
        if self._failure is not None and not self._pieces:
            raise self._failure

    def is_finished(self) -> bool:
        return self._is_ended and self._failure is None and not self._pieces

    def close(self) -> None:
        source = self._source
        if source is not None:
            self.fail(ExchangeFailed("the response was closed before its end.", "body"))
            source.drop()

    async def _wait(self) -> None:
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        except asyncio.CancelledError:
            self.close()
            raise
        finally:
            self._arrival = None

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._unread_bytes = 0
        if self._source is not None:
            self._source.resume()
        return data

    # For the connection

    @property
    def is_unread(self) -> bool:
        return bool(self._pieces)

    def add(self, piece: bytes) -> bool:
        # Tells whether no more should come until some is read.
        sink = self._sink
        if sink is None or self._pieces:
            self._pieces.append(piece)
            self._unread_bytes += len(piece)
            self._wake()
            return self._unread_bytes > MAX_UNREAD_BYTES
        try:
            if sink(piece):
                return False
        except Exception as error:
            if self._arrival is not None and not self._arrival.done():
                self._arrival.set_exception(error)
        self._sink = None
        self._wake()
        return False

    def finish(self) -> None:
        self._is_ended = True
        self._source = None
        self._wake()

    def fail(self, failure: Exception) -> None:
        """End the body, which is not complete. What has arrived can still be read."""
        self._failure = failure
        self.finish()

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)
