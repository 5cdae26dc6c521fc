"""The hop to a provider: a small HTTP/1.1 client that copies bytes and keeps connections.

Header names and values go out and come back as the bytes they are; nothing is decoded, followed or retried
that the caller did not ask for. Knows nothing of LLMs, logging or the gateway's own HTTP server.

From the outside in: `client` finds a connection and sends; `pool` has the connections of an origin, `dial`
opens one, `connection` carries an exchange over it. `head`, `sending` and `parsing` know the bytes of HTTP,
`response` is what the caller reads, `timing` and `failures` are what takes too long or goes wrong.
"""

from __future__ import annotations

from gateway.upstream.client import PoolStats, Upstream
from gateway.upstream.errors import ExchangeFailed, ExchangeTimedOut, Phase
from gateway.upstream.message import Origin, OutgoingRequest, Timeouts
from gateway.upstream.response import Response, UpstreamResponse

__all__ = [
    "ExchangeFailed",
    "ExchangeTimedOut",
    "Origin",
    "OutgoingRequest",
    "Phase",
    "PoolStats",
    "Response",
    "Timeouts",
    "Upstream",
    "UpstreamResponse",
]
