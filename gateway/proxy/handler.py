"""The life of a proxied request: prepare, attempt, finish."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from aiohttp import web

from gateway import errors
from gateway.auth.api_keys import ApiKeys
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.auth.quotas import Quotas
from gateway.models import exchange as exchanges
from gateway.models.clock import now_us
from gateway.models.exchange import Identity, LoggingOptOut, Outcome, PayloadPolicy, RawHeaders
from gateway.models.principal import FeedbackScope, Principal, Role
from gateway.models.route import Route, RouteTarget
from gateway.proxy import body as bodies
from gateway.proxy import credentials, websocket
from gateway.proxy import request_head as heads
from gateway.proxy.body import RequestBody
from gateway.proxy.cached import ProxyCache
from gateway.proxy.call import Call
from gateway.proxy.errors import render_error, stream_error
from gateway.proxy.guardrails import ProxyGuardrails
from gateway.proxy.in_flight import InFlight
from gateway.proxy.mirror import ProxyMirrors
from gateway.proxy.request import IncomingRequest
from gateway.proxy.response import RelayedResponse, relay_response
from gateway.proxy.routed import RouteAttempts, needs_body, route_fields
from gateway.recording.access_log import AccessLog
from gateway.recording.capture import Capture
from gateway.recording.recorder import Recorder
from gateway.recording.websocket import WebSocketObserver
from gateway.routing.affinity import SessionAffinity
from gateway.routing.breaker import Breakers
from gateway.routing.guardrails import GuardrailDenied
from gateway.routing.plan import Plan, Router, Target
from gateway.routing.provider_keys import ProviderKeys
from gateway.routing.provider_state import ProviderState
from gateway.routing.providers import Provider
from gateway.routing.retry import retry_after_seconds, retry_headers
from gateway.routing.route_table import CONFIG_FIELD, RouteTable
from gateway.upstream.client import Upstream
from gateway.upstream.request import OutgoingRequest
from gateway.upstream.response import Response
from gateway.upstream.websocket import UpstreamWebSocket
from gateway.web.middleware import authenticate, limit_headers, log_unexpected_error, require_role
from gateway.wire import endpoint_of, stream_usage

# Status, never sent, of what is returned to aiohttp when the caller has gone.
CLIENT_GONE_STATUS = 499

STOPPED_MESSAGE = "the gateway was stopped before the answer was whole"

# From the name of a key and the policy of a provider to what is kept of a request.
LogPolicy = Callable[[str | None, PayloadPolicy | None], PayloadPolicy]


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What a reload of the configuration replaces."""

    router: Router
    routes: RouteTable
    policy_of: LogPolicy
    max_in_flight: int | None
    body_timeout_seconds: float
    # How long an answer that says nothing yet is held, where another target could give it.
    commit_within_seconds: float


@dataclass(slots=True, kw_only=True, eq=False)
class Proxy:
    """Forwards every request that is not on one of the gateway's own paths.

    Args:
        limit_bytes: how much of each body is kept.
        check_store: raises StoreUnavailable while requests cannot be logged; None: they are served then too.
        cache: answers for routes with a cache.
        guardrails: of routes that have some.
    """

    keys: ApiKeys
    tokens: FeedbackTokens
    quotas: Quotas
    settings: ProxySettings
    upstream: Upstream
    recorder: Recorder
    limit_bytes: int
    access_log: AccessLog
    check_store: Callable[[], None] | None
    cache: ProxyCache
    guardrails: ProxyGuardrails = field(default_factory=ProxyGuardrails)
    mirrors: ProxyMirrors = field(init=False)
    in_flight: InFlight = field(default_factory=InFlight, init=False)
    # By name of the key (empty if none was recognised) and code of the error.
    refused: Counter[tuple[str, str]] = field(default_factory=Counter, init=False)
    find_credentials: credentials.FindGatewayCredentials = field(init=False)
    breakers: Breakers = field(default_factory=Breakers, init=False)
    affinity: SessionAffinity = field(default_factory=SessionAffinity, init=False)
    provider_state: ProviderState = field(default_factory=ProviderState, init=False)
    provider_keys: ProviderKeys = field(default_factory=ProviderKeys, init=False)

    def __post_init__(self) -> None:
        self.find_credentials = credentials.GatewayCredentials(self.keys, self.tokens).find
        self.mirrors = ProxyMirrors(self._send, self.recorder.record_without_waiting, self._policy)

    async def __call__(self, request: IncomingRequest) -> web.StreamResponse:
        """Refuse a request, or forward it."""
        identity = principal = None
        try:
            if request.method == "HEAD" and self.settings.router.is_root(request.raw_path):
                return web.Response()
            head = heads.sort_headers(request.raw_headers)
            identity = heads.read_identity(head, request.headers.get("traceparent"))
            opt_out = heads.read_opt_out(head)
            query = request.raw_path.partition("?")[2]
            principal = authenticate(request.headers, self.keys, query=query)
            call = self._admit(request, head, identity, opt_out, principal)
        except errors.GatewayError as error:
            endpoint = endpoint_of(request.raw_path)
            name = None if principal is None else principal.name
            self.refused[name or "", error.code] += 1
            self.access_log.refused(request.method, endpoint, error, name)
            return render_error(error, endpoint, identity, request.headers.get("User-Agent", ""))
        task = self.in_flight.begin(request.task)
        try:
            return await self._forward(call)
        finally:
            self.in_flight.end(task)

    async def _forward(self, call: Call) -> web.StreamResponse:
        """Prepare the body, attempt each target, finish with the first response. Each attempt leaves one row."""
        outcome: Outcome = Outcome.GATEWAY_ERROR
        message: str | None = STOPPED_MESSAGE
        try:
            plan = await self._prepare(call)
            if call.route is not None and call.route.mirror is not None:
                self.mirrors.choose(call, call.route.mirror)
            if call.route is None:
                response = await self._send(call, plan.target)
            else:
                response = await self._attempts.first_response(call, call.route)
            relayed = await self._finish(call, response)
            outcome = Outcome.COMPLETE
            if call.mirrored is not None:
                self.mirrors.begin(call)
            return relayed
        except ConnectionError:
            outcome, message = Outcome.CLIENT_CLOSED, None
            if call.relayed is not None:
                return call.relayed
            return RelayedResponse(call.request, CLIENT_GONE_STATUS, is_last=True)
        except asyncio.CancelledError:
            transport = call.request.transport
            if transport is None or transport.is_closing():
                outcome, message = Outcome.CLIENT_CLOSED, None
            raise
        except Exception as error:
            if not isinstance(error, errors.UpstreamError | errors.BadInput | GuardrailDenied):
                error = log_unexpected_error(call.request.raw_path.partition("?")[0])
            outcome, message = _outcome_of(error, call.relayed), str(error)
            return self._failure_response(call, error)
        finally:
            if call.body.is_replayable:
                call.body.close()
            if call.guarded is not None:
                self.guardrails.finish(call, None)
            if outcome is not Outcome.COMPLETE:
                await self._end_failed(call, outcome, message)

    def _admit(
        self,
        request: IncomingRequest,
        head: heads.SortedHeaders,
        identity: Identity,
        opt_out: LoggingOptOut,
        principal: Principal,
    ) -> Call:
        require_role(principal, Role.PROXY)
        self.in_flight.refuse_beyond(self.settings.max_in_flight)
        if self.check_store is not None:
            self.check_store()
        choice = heads.read_provider_choice(head)
        route = self._find_route(head, principal)
        if route is None:
            plan = self.settings.router.plan(request.raw_path, *choice)
        else:
            plan = self.settings.router.plan_route(route, request.raw_path, *choice)
        if head.wants_websocket and request.method == "GET":
            websocket.refuse_plain(plan, request)
            if route is not None and route.has_guardrails:
                raise errors.BadInput("guardrails cannot check WebSockets.", field=CONFIG_FIELD)
        endpoint = endpoint_of(request.raw_path)
        uses_quota = principal.limits and exchanges.is_model_call(request.method, endpoint)
        quota = self.quotas.admit(principal) if uses_quota else None
        provider = plan.target.provider
        logged_path = credentials.path_to_log(request.raw_path, self.find_credentials)
        payloads = self.settings.policy_of(principal.name, provider.payloads)
        capture = Capture(
            identity, principal.tenant, principal.name, provider.name, endpoint, request.method, logged_path,
            payloads, self.limit_bytes, request.raw_headers, opt_out, head.client_retry,
        )  # fmt: skip
        # A route names the providers itself.
        may_name_provider = route is None and choice[1] is None and request.raw_path.startswith("/v1/")
        timeout = self.settings.body_timeout_seconds
        body = RequestBody(request, capture.request_body, timeout, is_replayable=route is not None)
        return Call(request, head, plan, may_name_provider, quota, capture, body, route)

    def _find_route(self, head: heads.SortedHeaders, principal: Principal) -> Route | None:
        given = head.gateway_values.get(heads.CONFIG_FIELD)
        routes = self.settings.routes
        if given is None and not routes.of_keys:
            return None
        return routes.find(given, principal.name)

    async def _prepare(self, call: Call) -> Plan:
        """Read the body, whole if it has a say in where the request goes, and return the plan."""
        if call.head.expects_continue:
            bodies.send_continue(call.request)
        try:
            call.content = await call.body.read(_buffer_bytes(call))
        except BaseException:
            if call.may_name_provider or call.route is not None:
                # It broke off before it named a provider, so it may be for any.
                policies = (self._policy(call, provider) for provider in self.settings.router.providers)
                call.capture.payloads = exchanges.strictest_policy(policies)
            raise
        named = self._plan_of_model(call, call.content) if isinstance(call.content, bytes) else None
        return named or call.plan

    def _plan_of_model(self, call: Call, body: bytes) -> Plan | None:
        name = bodies.provider_in_model(body) if call.may_name_provider else None
        plan = None if name is None else self.settings.router.plan_by_name(call.request.raw_path, name)
        if plan is not None:
            call.content, call.is_edited = bodies.without_model_prefix(body), True
            provider = plan.target.provider
            call.capture.provider = provider.name
            call.capture.payloads = self._policy(call, provider)
        return plan

    def _policy(self, call: Call, provider: Provider) -> PayloadPolicy:
        return self.settings.policy_of(call.capture.key_name, provider.payloads)

    @property
    def _attempts(self) -> RouteAttempts:
        within = self.settings.commit_within_seconds
        return RouteAttempts(
            self._send,
            self._find_cached,
            self._end_attempt,
            self._policy,
            within,
            self.breakers,
            self.affinity,
            self.guardrails,
            self.provider_state,
        )

    async def _send(self, call: Call, target: Target) -> Response:
        """Send the request to a target, and return its response. Raises UpstreamError."""
        provider = target.provider
        if provider.with_each_key:
            return await self._send_with_key(call, target)
        outgoing = self._outgoing(call, target)
        if call.wants_websocket:
            response = await websocket.open_for(call, outgoing, provider)
        else:
            response = await self.upstream.send(outgoing, provider.origin, provider.timeouts)
        call.capture.add_response_head(response.status, response.headers)
        return response

    async def _send_with_key(self, call: Call, target: Target) -> Response:
        """Send the request with the key of several that is to be used, and note what became of that."""
        keyed = self.provider_keys.choose(target.provider)
        response = await self._send(call, Target(keyed, target.request_target))
        if keyed.key_header is not None and keyed.key_header[1] in call.capture.sent_credentials:
            asked = retry_after_seconds(retry_headers(response.headers))
            self.provider_keys.record(keyed, response.status, asked)
        return response

    async def _find_cached(self, call: Call, leaf: RouteTarget, target: Target) -> Response | None:
        return await self.cache.find(call, leaf, target.provider, self._outgoing(call, target))

    async def _end_attempt(self, call: Call, outcome: Outcome, message: str | None) -> None:
        await self.recorder.record(call.capture.close(outcome, message))

    def _outgoing(self, call: Call, target: Target) -> OutgoingRequest:
        provider, capture = target.provider, call.capture
        find = self.find_credentials
        path, query_credentials = credentials.without_gateway_credentials(target.request_target, find)
        protocols = None
        if call.wants_websocket:
            protocols = websocket.OfferedProtocols.of(call.request.raw_headers, find)
            query_credentials += protocols.own_keys
        head = heads.upstream_headers(call.head, provider, find, query_credentials)
        capture.sent_credentials = head.credentials
        if head.secret_values:
            capture.request_headers = credentials.headers_to_log(call.request.raw_headers, head.secret_values)
        if protocols is not None:
            return OutgoingRequest("GET", path, protocols.upgrade(head.fields), b"")
        fields, content = _edit_body(call, provider, head.fields)
        return OutgoingRequest(call.request.method, path, fields, content)

    async def _finish(self, call: Call, response: Response) -> RelayedResponse:
        """Relay a response, and record the attempt before the end goes out."""
        if call.websocket is not None:
            return await self._relay_websocket(call, call.websocket, response)
        try:
            is_last = self.in_flight.is_draining
            relayed = call.relayed = RelayedResponse(call.request, response.status, is_last=is_last)
            has_usage = call.adds_usage and _has_usage_chunk(response)
            usage_filter = stream_usage.UsageChunkFilter() if has_usage else None
            own_fields, capture = self._own_fields(call), call.capture.response_body
            end = await relay_response(response, relayed, capture, own_fields, usage_filter)
            if call.guarded is not None:
                end = await self.guardrails.end_stream(call, relayed, end)
            # No caller has the whole response before its row is safe.
            exchange = call.capture.close(Outcome.COMPLETE)
            if call.cache is not None:
                self.cache.keep(call.cache, exchange)
            await self.recorder.record(exchange)
            relayed.finish(end)
            if call.guarded is not None:
                self.guardrails.finish(call, exchange)
            return relayed
        finally:
            response.close()

    async def _relay_websocket(
        self, call: Call, upstream: UpstreamWebSocket, response: Response
    ) -> RelayedResponse:
        """Pass the provider's switch of protocols on, and then all bytes. The rows are recorded in passing."""
        capture = call.capture
        relayed = RelayedResponse(call.request, response.status, is_last=True)
        try:
            head = websocket.encode_switch(
                call.request, response, self._own_fields(call), self.find_credentials
            )
            relayed.send(head)
            relayed.finish(b"")
            observer = WebSocketObserver(capture, self.recorder.record_without_waiting)
            await websocket.Tunnel(call.request, upstream, observer).run()
        finally:
            upstream.close()
        return relayed

    def _own_fields(self, call: Call) -> bytes:
        capture = call.capture
        identity = capture.identity
        fields = heads.encode_own_fields(identity, capture.provider)
        if call.quota is not None:
            fields += "".join(f"\r\n{name}: {value}" for name, value in _quota_headers(call).items()).encode()
        if call.walk is not None:
            fields += route_fields(call.walk, call.cache)
        if self.tokens.keys is not None:
            scope = FeedbackScope(identity.trace_id, identity.request_id)
            token = self.tokens.issue(scope, capture.tenant, capture.key_name)
            fields += b"\r\n%b: %b" % (heads.TOKEN_FIELD, token)
        return fields

    def _failure_response(self, call: Call, error: errors.GatewayError) -> web.StreamResponse:
        # Of two responses only the first can be sent.
        if call.relayed is not None and call.relayed.has_started:
            if call.route is not None and isinstance(error, errors.UpstreamError):
                _send_stream_error(call.relayed, call.capture, error)
            return call.relayed
        capture = call.capture
        capture.status = error.status
        user_agent = call.request.headers.get("User-Agent", "")
        response = render_error(error, capture.endpoint, capture.identity, user_agent)
        response.headers[heads.PROVIDER_FIELD.decode()] = capture.provider
        response.headers.update(_quota_headers(call))
        return response

    async def _end_failed(self, call: Call, outcome: Outcome, message: str | None) -> None:
        if not call.capture.is_closed:
            exchange = call.capture.close(outcome, message)
            if outcome is Outcome.CLIENT_CLOSED:
                self.recorder.record_without_waiting(exchange)
            else:
                await self.recorder.record(exchange)
        if call.relayed is not None:
            call.relayed.close_incomplete()


def _buffer_bytes(call: Call) -> int:
    if call.route is not None and needs_body(call.route, call.capture.endpoint):
        return bodies.MAX_ROUTED_BYTES
    # Only whole bodies can be edited, and any target of the plan may ask for that.
    for target in call.plan.targets:
        if target.provider.include_usage and _has_usage_option(call):
            return bodies.MAX_EDITED_BYTES
    inspects = call.may_name_provider and bodies.is_inspectable(call.request)
    return bodies.MAX_INSPECTED_BYTES if inspects else bodies.MAX_BUFFERED_BYTES


def _edit_body(
    call: Call, provider: Provider, fields: RawHeaders
) -> tuple[RawHeaders, bytes | AsyncIterator[bytes]]:
    """Return the header fields and the body of an attempt; only a body that is there whole is edited."""
    content, call.adds_usage = call.content, False
    if not isinstance(content, bytes):
        return fields, content
    if provider.include_usage and _has_usage_option(call):
        with_usage = stream_usage.add_usage_option(content)
        if with_usage is not None:
            call.adds_usage = True
            return heads.headers_of_edited_body(fields, len(with_usage)), with_usage
    if call.is_edited:
        fields = heads.with_content_length(fields, len(content))
    return fields, content


def _has_usage_option(call: Call) -> bool:
    if call.request.method != "POST" or call.capture.endpoint not in stream_usage.USAGE_OPTION_ENDPOINTS:
        return False
    return exchanges.first_value(call.head.forwarded, b"content-encoding").lower() in (b"", b"identity")


def _has_usage_chunk(response: Response) -> bool:
    return response.content_length != 0 and stream_usage.may_hold_usage(response.headers)


def _quota_headers(call: Call) -> dict[str, str]:
    quota = call.quota
    if quota is None:
        return {}
    return limit_headers(str(quota.limit), quota.limit.write(quota.remaining), quota.seconds_left(now_us()))


def _outcome_of(error: errors.GatewayError, relayed: RelayedResponse | None) -> Outcome:
    if isinstance(error, errors.UpstreamTimeout | errors.CallerTimeout):
        return Outcome.TIMEOUT
    if not isinstance(error, errors.UpstreamError):
        return Outcome.GATEWAY_ERROR
    return Outcome.UPSTREAM_ERROR if relayed is None else Outcome.UPSTREAM_TRUNCATED


def _send_stream_error(relayed: RelayedResponse, capture: Capture, error: errors.UpstreamError) -> None:
    """Say in the stream's own format that it broke off, before the connection is broken."""
    kind = exchanges.first_value(capture.response_headers, b"content-type").lower()
    encoding = exchanges.first_value(capture.response_headers, b"content-encoding").lower()
    is_lines = b"ndjson" in kind
    if encoding in (b"", b"identity") and (is_lines or kind.startswith(b"text/event-stream")):
        with contextlib.suppress(ConnectionError):
            relayed.send(relayed.encode_piece(stream_error(error, capture.endpoint, is_lines=is_lines)))
