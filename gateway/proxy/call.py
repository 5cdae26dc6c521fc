"""Call: a proxied request that was admitted, and its attempt under way."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from gateway.models.cached_answer import CacheStatus
from gateway.models.guardrails import CheckedMessage, GuardrailResult, GuardrailStage
from gateway.models.quota import QuotaStatus
from gateway.models.route import Route, RouteSettings
from gateway.proxy.body import RequestBody
from gateway.proxy.request import IncomingRequest
from gateway.proxy.request_head import SortedHeaders
from gateway.proxy.response import RelayedResponse
from gateway.recording.capture import Capture
from gateway.routing.guardrails import GuardedRequest
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
class GuardedAttempt:
    """An attempt whose target has guardrails, and what they have said."""

    request: GuardedRequest
    input: CheckedMessage
    settings: RouteSettings
    shows_results: bool
    results: dict[GuardrailStage, list[GuardrailResult]] = field(default_factory=dict)

    @property
    def has_failed(self) -> bool:
        return any(not result.holds for results in self.results.values() for result in results)


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
    # Of the attempt under way, where its target has guardrails.
    guarded: GuardedAttempt | None = None
    # The body as it came, where the mirror of the route gets it too.
    mirrored: bytes | None = None
    # Of a request for a WebSocket, once the provider has switched to it.
    websocket: UpstreamWebSocket | None = None

    @property
    def wants_websocket(self) -> bool:
        return self.head.wants_websocket and self.request.method == "GET"
