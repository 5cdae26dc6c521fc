"""What goes to a provider and what it is allowed to take."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.domain.exchange import RawHeaders
from gateway.domain.value import value


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


@value()
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
