"""HTTP/1.1 client for providers: passes heads and bodies on byte for byte, and keeps connections."""

from __future__ import annotations

from gateway.upstream.client import PoolStats, Upstream
from gateway.upstream.errors import ExchangeFailed, ExchangeTimedOut
from gateway.upstream.request import Origin, OutgoingRequest, Timeouts
from gateway.upstream.response import Response, UpstreamResponse

__all__ = [
    "ExchangeFailed",
    "ExchangeTimedOut",
    "Origin",
    "OutgoingRequest",
    "PoolStats",
    "Response",
    "Timeouts",
    "Upstream",
    "UpstreamResponse",
]
