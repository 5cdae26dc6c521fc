"""Requests to providers: origin, timeouts, deadlines, and the bytes of a request head."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from gateway.errors import BadInput
from gateway.models.exchange import RawHeaders, value_class


@dataclass(frozen=True, slots=True)
class Origin:
    """Where to connect. Equal origins share their pooled connections.

    Args:
        tls: None for plain HTTP.
        max_connections: how many connections there may be at once; further requests wait.
        keepalive_seconds: how long an idle connection is kept.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    max_connections: int = 1000
    keepalive_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Limits in seconds by phase.

    Args:
        connect: name lookup, TCP and TLS handshake, waiting for a free connection included.
        first_byte: from the whole request sent to the response's head.
        idle: between two pieces of the response's body, or of the request's being taken.
        total: the whole call; None for no limit.
    """

    connect: float = 10.0
    first_byte: float = 300.0
    idle: float = 300.0
    total: float | None = None


@value_class()
class OutgoingRequest:
    """A request as it will be on the wire.

    Args:
        method: as the caller wrote it.
        target: origin-form of the request target, path and query, already encoded.
        headers: every field to send, `host` and framing (`content-length` or `transfer-encoding`) included.
        body: all of it, or its pieces as they come; sent as chunks if the headers say chunked, else as it is.
    """

    method: str
    target: str
    headers: RawHeaders
    body: bytes | AsyncIterator[bytes]


_TOKEN = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def encode_head(request: OutgoingRequest) -> bytes:
    """Return request line and fields as they go on the wire (RFC 9112, sections 3 and 5).

    A target may hold bytes that are not UTF-8 as surrogate escapes; they go out as those bytes.

    Raises:
        BadInput: the method or a name is no token, or there is a line break or NUL (in the target, a space)
            that would let one part of the head pass for another.
    """
    method, target = _encode(request.method, "method"), _encode(request.target, "target")
    fields = request.headers
    lines = [b"%b %b HTTP/1.1" % (method, target)]
    lines += [name + b": " + value for name, value in fields]
    head = b"\r\n".join(lines) + b"\r\n\r\n"
    line_ends = len(fields) + 2
    if head.count(b"\n") != line_ends or head.count(b"\r") != line_ends or b"\0" in head:
        raise BadInput(
            "there is a line break or NUL in it.", field=_field_with_control(method, target, fields)
        )
    if not target or b" " in target:
        raise BadInput("is empty or holds a space.", field="target")
    if not method or method.translate(None, _TOKEN):
        raise BadInput("is not an HTTP method.", field="method")
    names = [name for name, _ in fields]
    if b"" in names or b"".join(names).translate(None, _TOKEN):
        raise BadInput("there is a name that is not one of a header field.", field="headers")
    return head


def has_chunked_coding(headers: RawHeaders) -> bool:
    """Tell whether these fields say that the body is sent as chunks (RFC 9112, section 6.1)."""
    codings = [value for name, value in headers if len(name) == 17 and name.lower() == b"transfer-encoding"]
    return bool(codings) and codings[-1].rpartition(b",")[2].strip().lower() == b"chunked"


def _encode(text: str, field: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadInput("holds a character that has no encoding.", field=field) from None


def _field_with_control(method: bytes, target: bytes, fields: RawHeaders) -> str:
    parts = [("method", method), ("target", target)]
    parts += [(f"headers[{index}]", name + value) for index, (name, value) in enumerate(fields)]
    return next(name for name, part in parts if not {*part}.isdisjoint(b"\r\n\0"))


class Deadlines(NamedTuple):
    """The timeouts of one call, and those that run from its start as times on the loop's clock."""

    timeouts: Timeouts
    connect_at: float
    total_at: float

    @classmethod
    def from_now(cls, now: float, timeouts: Timeouts) -> Deadlines:
        """Return the limits of a call that starts at `now`."""
        total_at = inf if timeouts.total is None else now + timeouts.total
        return cls(timeouts, min(now + timeouts.connect, total_at), total_at)

    def from_retry(self, now: float) -> Deadlines:
        """Return the limits of the same call when it starts again to look for a connection."""
        return self._replace(connect_at=min(now + self.timeouts.connect, self.total_at))

    @property
    def connect_seconds(self) -> float:
        """How long reaching the upstream may take."""
        return min(self.timeouts.connect, self.timeouts.total or inf)


class Alarm:
    """Calls `ring` once its time has come. Setting it later than before costs no timer operation.

    The loop's timer stays where it was and looks, when it fires, whether the time has been moved meanwhile.
    On a busy connection that is once in a while instead of several times an exchange.
    """

    __slots__ = ("_due", "_loop", "_ring", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = callback
        self._due = inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf

    def set(self, due: float) -> None:
        """Ring at `due` on the loop's clock instead of any earlier setting; never, if it is infinite."""
        self._due = due
        if due < self._timer_at:
            self._start_timer()

    def stop(self) -> None:
        """Never ring again, and let go of the timer."""
        self._due = self._timer_at = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._due
        self._timer = self._loop.call_at(self._due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = inf
        if self._due <= self._loop.time():
            self._due = inf
            self._ring()
        elif self._due != inf:
            self._start_timer()
