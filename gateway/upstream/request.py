"""Requests to providers: where they go, how long they may take, their bytes, and sending these."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from operator import itemgetter
from typing import NamedTuple

from gateway.errors import BadInput
from gateway.models.exchange import RawHeaders, value_class


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to connect. Equal origins share a pool of connections."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    max_connections: int = 1000
    keepalive_seconds: float = 30.0
    # Tells of the host and one of its addresses whether it may be connected to; None: to all.
    allows: Callable[[str, str], bool] | None = None
    # Once for all requests that look for their pool.
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        fields = (self.host, self.port, self.tls, self.max_connections, self.keepalive_seconds, self.allows)
        object.__setattr__(self, "_hash", hash(fields))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds by phase."""

    # Waiting for a free connection, name lookup, TCP and TLS handshake.
    connect: float = 10.0
    # From the whole request sent to the response's head.
    first_byte: float = 300.0
    # Between two pieces of either body.
    idle: float = 300.0
    total: float | None = None


@value_class()
class OutgoingRequest:
    """A request as it will be on the wire: its headers include `host` and the framing of its body."""

    method: str
    target: str
    headers: RawHeaders
    body: bytes | AsyncIterator[bytes]


_CONTROLS = frozenset(b"\r\n\0")
_NAME = itemgetter(0)
_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def encode_head(request: OutgoingRequest) -> bytes:
    """Return request line and header fields (RFC 9112, sections 3 and 5). Raises BadInput."""
    # Those with a query may hold a key, which no cache should.
    encode_line = _encode_line.__wrapped__ if "?" in request.target else _encode_line
    line = encode_line(request.method, request.target)
    fields = request.headers
    head = b"\r\n".join([line, *map(b": ".join, fields), b"\r\n"])
    # One line break too many, or a space in the target, would let one part of the head pass for another.
    line_ends = len(fields) + 2
    if head.count(b"\n") != line_ends or head.count(b"\r") != line_ends or b"\0" in head:
        raise BadInput("there is a line break or NUL in it.", field=_field_with_control(fields))
    if b"\r\n: " in head or b"".join(map(_NAME, fields)).translate(None, _TOKEN):
        raise BadInput("there is a name that is not one of a header field.", field="headers")
    return head


def has_chunked_coding(headers: RawHeaders) -> bool:
    codings = [value for name, value in headers if len(name) == 17 and name.lower() == b"transfer-encoding"]
    return bool(codings) and codings[-1].rpartition(b",")[2].strip().lower() == b"chunked"


@lru_cache(maxsize=512)
def _encode_line(method: str, target: str) -> bytes:
    encoded = {"method": _encode(method, "method"), "target": _encode(target, "target")}
    for name, part in encoded.items():
        if not _CONTROLS.isdisjoint(part):
            raise BadInput("there is a line break or NUL in it.", field=name)
    if not target or " " in target:
        raise BadInput("is empty or holds a space.", field="target")
    if not method or encoded["method"].translate(None, _TOKEN):
        raise BadInput("is not an HTTP method.", field="method")
    return b"%b %b HTTP/1.1" % (encoded["method"], encoded["target"])


def _encode(text: str, field: str) -> bytes:
    # A caller's bytes that are not UTF-8 came as surrogate escapes, and go out as they came.
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadInput("holds a character that has no encoding.", field=field) from None


def _field_with_control(fields: RawHeaders) -> str:
    parts = {f"headers[{index}]": name + value for index, (name, value) in enumerate(fields)}
    return next(name for name, part in parts.items() if not _CONTROLS.isdisjoint(part))


class Deadlines(NamedTuple):
    """The timeouts of one exchange, and when they end by the loop's clock."""

    timeouts: Timeouts
    connect_at: float
    total_at: float

    @classmethod
    def from_now(cls, now: float, timeouts: Timeouts) -> Deadlines:
        if timeouts.total is None:
            return cls(timeouts, now + timeouts.connect, inf)
        total_at = now + timeouts.total
        return cls(timeouts, min(now + timeouts.connect, total_at), total_at)

    def from_retry(self, now: float) -> Deadlines:
        return self._replace(connect_at=min(now + self.timeouts.connect, self.total_at))

    @property
    def connect_seconds(self) -> float:
        return min(self.timeouts.connect, self.timeouts.total or inf)


class Alarm:
    """Calls `callback` once its time has come."""

    # The loop's timer stays where it was and looks, when it fires, whether the time has been moved meanwhile:
    # once in a while on a busy connection, instead of several timer operations an exchange.

    __slots__ = ("_callback", "_loop", "_timer", "due", "timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._callback = callback
        # It may be moved back, and anywhere behind `timer_at`, without a call of `set`.
        self.due = self.timer_at = inf
        self._timer: asyncio.TimerHandle | None = None

    def set(self, due: float) -> None:
        self.due = due
        if due < self.timer_at:
            self._start_timer()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.due = self.timer_at = inf

    def _start_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.timer_at = self.due
        self._timer = self._loop.call_at(self.due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self.timer_at = inf
        if self.due <= self._loop.time():
            self.due = inf
            self._callback()
        elif self.due != inf:
            self._start_timer()


MAX_JOINED_BYTES = 64 * 1024

LAST_CHUNK = b"0\r\n\r\n"


def encode_chunk(piece: bytes) -> bytes:
    """Return a piece of a body as a chunk (RFC 9112, section 7.1)."""
    # An empty chunk would end the body.
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


class RequestSender:
    """Sends the requests of one connection, one at a time; `on_error` gets what a body's iterator raises."""

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        on_state_change: Callable[[], None],
        on_error: Callable[[BaseException], None],
    ) -> None:
        self.is_sent = True
        # While the provider takes too little for more to be written.
        self.is_stalled = False
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._transport = transport
        self._on_state_change = on_state_change
        self._on_error = on_error
        self._unsent_bytes = 0
        self._upload: asyncio.Task[None] | None = None
        self._is_upload_started = False

    @property
    def is_uploading(self) -> bool:
        return self._upload is not None and not self.is_sent and not self.is_stalled

    @property
    def can_repeat(self) -> bool:
        # What was taken from an iterator is gone.
        return self._upload is None or not self._is_upload_started

    def send(self, request: OutgoingRequest, head: bytes) -> None:
        body = request.body
        # Nearly all heads are without it, which is seen at once.
        is_chunked = b"\r\ntransfer-encoding:" in head.lower() and has_chunked_coding(request.headers)
        self.is_sent = False
        if isinstance(body, bytes):
            data = encode_chunk(body) + LAST_CHUNK if is_chunked else body
            # In one write, unless to copy the body behind its head would cost more than another one.
            for piece in (head + data,) if len(data) <= MAX_JOINED_BYTES else (head, data):
                self._transport.write(piece)
            self.is_sent = True
        else:
            # By a task, so that a response can arrive meanwhile.
            self._is_upload_started = False
            self._upload = asyncio.get_running_loop().create_task(self._send_pieces(head, body, is_chunked))
            self._upload.add_done_callback(self._on_uploaded)
        self._on_state_change()

    def stop(self) -> None:
        if self._upload is not None:
            self._upload.cancel()
            self._upload = None

    def pause(self) -> None:
        self.is_stalled = True
        self._may_write.clear()
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self._on_state_change()

    def resume(self) -> None:
        self.is_stalled = False
        self._may_write.set()
        self._on_state_change()

    def has_progressed(self) -> bool:
        before, self._unsent_bytes = self._unsent_bytes, self._transport.get_write_buffer_size()
        return self._unsent_bytes < before

    async def _send_pieces(self, head: bytes, pieces: AsyncIterator[bytes], is_chunked: bool) -> None:
        self._is_upload_started = True
        await self._write_piece(head)
        async for piece in pieces:
            await self._write_piece(encode_chunk(piece) if is_chunked else piece)
        if is_chunked:
            await self._write_piece(LAST_CHUNK)

    async def _write_piece(self, data: bytes) -> None:
        await self._may_write.wait()
        self._transport.write(data)

    def _on_uploaded(self, upload: asyncio.Task[None]) -> None:
        error = asyncio.CancelledError() if upload.cancelled() else upload.exception()
        if upload is self._upload and error is not None:
            self._on_error(error)
        elif upload is self._upload:
            self.is_sent = True
            self._on_state_change()
