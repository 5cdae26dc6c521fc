"""Call: a proxied request that was admitted, and its attempt under way."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.models.cached_answer import CacheStatus
from gateway.models.quota import QuotaStatus
from gateway.models.route import Route
from gateway.proxy.body import RequestBody
from gateway.proxy.incoming import IncomingRequest
from gateway.proxy.request_head import SortedHeaders
from gateway.proxy.response import RelayedResponse
from gateway.recording.capture import Capture
from gateway.routing.plan import Plan
from gateway.routing.walk import RouteWalk
from gateway.upstream.websocket import UpstreamWebSocket


@dataclass(slots=True)
class CacheUse:
    """What a cache does for an attempt.

    Args:
        keeps_answer: whether the answer, if it is good, is kept under the key.
    """

    status: CacheStatus
    key: str = ""
    max_age_seconds: int = 0
    keeps_answer: bool = False


@dataclass(slots=True)
class Call:
    """A request that was admitted, and its attempt under way.

    Args:
        plan: where it goes; with a route a target for each of its leaves.
        content: the body as the next attempt sends it.
        adds_usage: whether the provider is asked for token counts that the caller did not ask for.
        walk: the way along the route, once it began.
        cache: of the attempt under way; None: its target has none.
    """

    request: IncomingRequest
    head: SortedHeaders
    plan: Plan
    may_name_provider: bool
    quota: QuotaStatus | None
    capture: Capture
    body: RequestBody
    route: Route | None = None
    content: bytes | AsyncIterator[bytes] = b""
    is_edited: bool = False
    adds_usage: bool = False
    relayed: RelayedResponse | None = None
    walk: RouteWalk | None = None
    cache: CacheUse | None = None
    # Of a request for a WebSocket, once the provider has switched to it.
    websocket: UpstreamWebSocket | None = None

    @property
    def wants_websocket(self) -> bool:
        return self.head.wants_websocket and self.request.method == "GET"
