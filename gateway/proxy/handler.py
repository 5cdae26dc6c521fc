"""The life of a proxied request, on one screen."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from aiohttp import web

from gateway.access.allowances import Allowances
from gateway.access.keys import KeyRing
from gateway.access.tokens import FeedbackTokens
from gateway.domain.clock import now_us
from gateway.domain.exchange import (
    Identity,
    Omission,
    Outcome,
    PayloadPolicy,
    RawHeaders,
    first_value,
    is_model_call,
    strictest,
)
from gateway.domain.limit import LimitUsage
from gateway.domain.principal import Principal, Role
from gateway.domain.value import value
from gateway.errors import (
    BadInput,
    CallerTimeout,
    GatewayError,
    NotUpgraded,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.proxy.answer import Answer
from gateway.proxy.body import EDITED_BYTES, WHOLE_BYTES, allow_body, read_request_body
from gateway.proxy.credentials import GatewayCredentials, headers_to_keep, path_to_keep, upstream_target
from gateway.proxy.errors import draw_error
from gateway.proxy.headers import (
    RequestHead,
    headers_of_edited,
    read_choice,
    read_request_head,
    upstream_headers,
    with_length,
)
from gateway.proxy.identity import read_identity
from gateway.proxy.in_flight import InFlight
from gateway.proxy.model_prefix import MAX_BYTES, is_worth_holding, provider_named, without_prefix
from gateway.proxy.omission import read_omission
from gateway.proxy.relay import relay
from gateway.recording.access_log import AccessLog
from gateway.recording.capture import Capture
from gateway.recording.recorder import Recorder
from gateway.routing.router import Router
from gateway.routing.targets import Provider, Target
from gateway.upstream import OutgoingRequest, Upstream
from gateway.web.auth import authenticate, require
from gateway.web.guard import limit_headers, unexpected
from gateway.wire import endpoint_of
from gateway.wire.stream_usage import ENDPOINTS, UsageChunkFilter, ask_for_usage, may_hold_usage

NOBODY_LEFT = 499
"""Status, never sent, of what is returned to aiohttp where the caller has gone."""

PolicyOf = Callable[[Principal, Provider], PayloadPolicy]


@value()
class _Call:
    """A request that has found its provider.

    Args:
        principal: who makes it.
        is_open: whether the model that it asks for may name another provider.
        usage: how its key stands with the limit that is nearest to being used up.
    """

    request: web.BaseRequest
    head: RequestHead
    principal: Principal
    target: Target
    is_open: bool
    capture: Capture
    usage: LimitUsage | None


class Proxy:
    """Forwards whatever is not the gateway's own.

    Args:
        tokens: issues the feedback token that each answer carries, if there are any.
        allowances: counts what callers use, and says when one has used up what it may.
        router: which provider a request is for; may be replaced while requests are in flight.
        policy_of: what of a request may be kept.
        limit_bytes: how much of each body is kept.
        access_log: has a line for what is refused before a provider is chosen.
        admit: raises StoreUnavailable where requests are to be refused because they could not be logged.
        in_flight: counts those under way, and says when there are enough.
        patience_seconds: how long callers may take for each piece of a body.
    """

    def __init__(
        self,
        *,
        keys: KeyRing,
        tokens: FeedbackTokens,
        allowances: Allowances,
        router: Router,
        upstream: Upstream,
        recorder: Recorder,
        policy_of: PolicyOf,
        limit_bytes: int,
        access_log: AccessLog,
        admit: Callable[[], None],
        in_flight: InFlight,
        patience_seconds: float,
    ) -> None:
        self.router = router
        self.policy_of = policy_of
        self.in_flight = in_flight
        self.patience_seconds = patience_seconds
        self.refused: Counter[tuple[str, str]] = Counter()
        """How many requests were refused before they had a provider, by the name of their key and the code of the
        error; no name where no key was known."""
        self._keys = keys
        self._tokens = tokens
        self._find_ours = GatewayCredentials(keys, tokens).find
        self._allowances = allowances
        self._upstream = upstream
        self._recorder = recorder
        self._limit_bytes = limit_bytes
        self._access_log = access_log
        self._admit = admit

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request: find out what it is and whom it is for, then forward it."""
        identity = principal = None
        try:
            if request.method == "HEAD" and self.router.is_root(request.raw_path):
                return web.Response()
            head = read_request_head(request.raw_headers)
            identity = read_identity(head, request.headers.get("traceparent"))
            omission = read_omission(head)
            query = request.raw_path.partition("?")[2]
            principal = authenticate(request.headers, self._keys, query=query)
            require(principal, Role.PROXY)
            if head.wants_websocket and request.method == "GET":
                raise _no_websocket()
            self.in_flight.refuse_beyond_limit()
            self._admit()
            endpoint = endpoint_of(request.raw_path)
            usage = self._allowances.admit(principal) if is_model_call(request.method, endpoint) else None
            choice = read_choice(head)
            target = self.router.plan(request.raw_path, *choice)
        except GatewayError as error:
            endpoint = endpoint_of(request.raw_path)
            name = None if principal is None else principal.name
            self.refused[name or "", error.code] += 1
            self._access_log.refused(request.method, endpoint, error, name)
            return _draw(error, request, endpoint, identity)
        capture = self._capture(request, head, identity, omission, principal, target, endpoint)
        is_open = choice[1] is None and request.raw_path.startswith("/v1/")
        call = _Call(request, head, principal, target, is_open, capture, usage)
        task = self.in_flight.enter()
        try:
            return await self._forward(call)
        finally:
            self.in_flight.leave(task)

    async def _forward(self, call: _Call) -> web.StreamResponse:
        """Send a request and relay its answer. However that ends, it leaves exactly one exchange."""
        capture, answer = call.capture, None
        try:
            outgoing, provider, has_asked = await self._outgoing(call)
            response = await self._upstream.send(outgoing, provider.origin, provider.timeouts)
            try:
                capture.answered(response.status, response.headers)
                answer = Answer(call.request, response.status, is_last=self.in_flight.is_draining)
                usage_filter = (
                    UsageChunkFilter()
                    if has_asked and response.has_body and may_hold_usage(response.headers)
                    else None
                )
                fields = _limit_fields(call)
                await relay(response, answer, capture, self._recorder, self._tokens, fields, usage_filter)
                return answer
            finally:
                response.close()
        except (UpstreamError, BadInput) as error:
            return await self._fail(call, answer, _outcome_of(error, answer), error)
        except ConnectionError:
            self._leave(capture, Outcome.CLIENT_CLOSED)
            return answer or Answer(call.request, NOBODY_LEFT, is_last=True)
        except asyncio.CancelledError:
            self._leave(capture, *_why_cancelled(call.request))
            if answer is not None:
                answer.break_off()
            raise
        except Exception:
            failure = unexpected(call.request.path)
            return await self._fail(call, answer, Outcome.GATEWAY_ERROR, failure)

    async def _outgoing(self, call: _Call) -> tuple[OutgoingRequest, Provider, bool]:
        """Return what goes to a provider, which one that is, and whether it is asked for token counts for which the
        caller did not."""
        request, planned = call.request, call.target
        if call.head.expects_continue:
            allow_body(request)
        try:
            body = await read_request_body(
                request, call.capture.request_body, self.patience_seconds, _held_bytes(call)
            )
        except BaseException:
            if call.is_open:
                call.capture.payloads = self._strictest_policy(call.principal)
            raise
        plain = asking = None
        if isinstance(body, bytes):
            if call.is_open and (named := self._named_in_model(call, body)) is not None:
                planned, plain = named, without_prefix(body)
            if planned.provider.include_usage and _has_usage_option(call):
                asking = ask_for_usage(plain or body)
        target, fields = self._outgoing_head(call, planned)
        if asking is not None:
            fields = headers_of_edited(fields, len(asking))
        elif plain is not None:
            fields = with_length(fields, len(plain))
        outgoing = OutgoingRequest(request.method, target, fields, asking or plain or body)
        return outgoing, planned.provider, asking is not None

    def _named_in_model(self, call: _Call, body: bytes) -> Target | None:
        """Return where a request goes whose model names another provider; None where it names none."""
        name = provider_named(body)
        named = None if name is None else self.router.plan_for(call.request.raw_path, name)
        if named is not None:
            call.capture.provider = named.provider.name
            call.capture.payloads = self.policy_of(call.principal, named.provider)
        return named

    def _strictest_policy(self, caller: Principal) -> PayloadPolicy:
        """Return what may be kept of a body that broke off before it named a provider: it may be for any."""
        return strictest(self.policy_of(caller, provider) for provider in self.router.providers)

    def _outgoing_head(self, call: _Call, planned: Target) -> tuple[str, RawHeaders]:
        """Return the request target and the header fields for a provider."""
        target, in_query = upstream_target(planned.request_target, self._find_ours)
        head = upstream_headers(call.head, planned.provider, self._find_ours, in_query)
        call.capture.sent_credentials = head.credentials
        if head.hidden:
            call.capture.request_headers = headers_to_keep(call.request.raw_headers, head.hidden)
        return target, head.fields

    async def _fail(
        self, call: _Call, answer: Answer | None, outcome: Outcome, error: GatewayError
    ) -> web.StreamResponse:
        """Record a request that failed, then say so: with an error, or by breaking off what was begun."""
        has_begun = answer is not None and answer.has_begun
        if not has_begun:
            call.capture.status = error.status
        await self._recorder.record(call.capture.close(outcome, str(error)))
        if answer is not None and has_begun:
            answer.break_off()
            return answer
        drawn = _draw(error, call.request, call.capture.endpoint, call.capture.identity)
        drawn.headers["x-portkey-provider"] = call.capture.provider
        drawn.headers.update(_limit_headers(call))
        return drawn

    def _leave(self, capture: Capture, outcome: Outcome, error: str | None = None) -> None:
        """Record a request that nobody waits for any more, unless it was recorded whole before."""
        if not capture.is_closed:
            self._recorder.take(capture.close(outcome, error))

    def _capture(
        self,
        request: web.BaseRequest,
        head: RequestHead,
        identity: Identity,
        omission: Omission,
        principal: Principal,
        target: Target,
        endpoint: str,
    ) -> Capture:
        return Capture(
            identity=identity,
            tenant=principal.tenant,
            key_name=principal.name,
            provider=target.provider.name,
            endpoint=endpoint,
            method=request.method,
            path=path_to_keep(request.raw_path, self._find_ours),
            client_retry=head.client_retry,
            payloads=self.policy_of(principal, target.provider),
            omission=omission,
            limit_bytes=self._limit_bytes,
            request_headers=request.raw_headers,
        )


def _no_websocket() -> NotUpgraded:
    return NotUpgraded(
        "the gateway does not relay WebSockets.",
        hint="Make the same call over HTTP, with stream: true for events as they come; what works over a "
        "WebSocket alone, such as realtime sessions, must go to the provider itself.",
    )


def _held_bytes(call: _Call) -> int:
    """Return up to how many bytes the body of a call is wanted whole."""
    if call.target.provider.include_usage and _has_usage_option(call):
        return EDITED_BYTES
    return MAX_BYTES if call.is_open and is_worth_holding(call.request) else WHOLE_BYTES


def _has_usage_option(call: _Call) -> bool:
    packed = first_value(call.head.onward, b"content-encoding").lower() not in (b"", b"identity")
    return call.request.method == "POST" and call.capture.endpoint in ENDPOINTS and not packed


def _limit_headers(call: _Call) -> dict[str, str]:
    usage = call.usage
    if usage is None:
        return {}
    left = usage.limit.write(usage.remaining)
    return limit_headers(str(usage.limit), left, usage.seconds_left(now_us()))


def _limit_fields(call: _Call) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), text.encode()) for name, text in _limit_headers(call).items()]


def _draw(
    error: GatewayError, request: web.BaseRequest, endpoint: str, identity: Identity | None
) -> web.Response:
    return draw_error(error, endpoint, identity, request.headers.get("User-Agent", ""))


def _outcome_of(error: GatewayError, answer: Answer | None) -> Outcome:
    if isinstance(error, UpstreamTimeout | CallerTimeout):
        return Outcome.TIMEOUT
    if isinstance(error, BadInput):
        return Outcome.GATEWAY_ERROR
    return Outcome.UPSTREAM_ERROR if answer is None else Outcome.UPSTREAM_TRUNCATED


def _why_cancelled(request: web.BaseRequest) -> tuple[Outcome, str | None]:
    transport = request.transport
    if transport is None or transport.is_closing():
        return Outcome.CLIENT_CLOSED, None
    return Outcome.GATEWAY_ERROR, "the gateway was stopped before the answer was whole"
