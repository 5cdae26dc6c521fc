"""HTTP/1.1 client for providers: copies bytes, keeps connections, and knows nothing of LLMs or of logging.

Header names and values go out and come back byte for byte; nothing is decoded, followed or retried unasked.
`client` finds a connection in a pool and sends; `connection` carries one exchange at a time; `request` and
`response` are the two messages, as bytes and as what callers handle.
"""

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
