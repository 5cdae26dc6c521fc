"""The life of a proxied request: prepare, attempt, finish."""

import asyncio
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
from gateway.models.quota import QuotaStatus
from gateway.proxy import body as bodies
from gateway.proxy import credentials
from gateway.proxy import request_head as heads
from gateway.proxy.body import RequestBody
from gateway.proxy.errors import render_error
from gateway.proxy.in_flight import InFlight
from gateway.proxy.response import RelayedResponse, relay_response
from gateway.recording.access_log import AccessLog
from gateway.recording.capture import Capture
from gateway.recording.recorder import Recorder
from gateway.routing.plan import Plan, Router, Target
from gateway.routing.providers import Provider
from gateway.upstream.client import Upstream
from gateway.upstream.request import OutgoingRequest
from gateway.upstream.response import Response
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
    policy_of: LogPolicy
    max_in_flight: int | None
    body_timeout_seconds: float


@dataclass(slots=True)
class _Call:
    """A request that was admitted, and its attempt under way.

    Args:
        content: the body as the next attempt sends it.
        adds_usage: whether the provider is asked for token counts that the caller did not ask for.
    """

    request: web.BaseRequest
    head: heads.SortedHeaders
    plan: Plan
    may_name_provider: bool
    quota: QuotaStatus | None
    capture: Capture
    body: RequestBody
    content: bytes | AsyncIterator[bytes] = b""
    is_edited: bool = False
    adds_usage: bool = False
    relayed: RelayedResponse | None = None


@dataclass(slots=True, kw_only=True, eq=False)
class Proxy:
    """Forwards every request that is not on one of the gateway's own paths.

    Args:
        limit_bytes: how much of each body is kept.
        check_store: raises StoreUnavailable while requests cannot be logged; None: they are served then too.
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
    in_flight: InFlight = field(default_factory=InFlight, init=False)
    # By name of the key (empty if none was recognised) and code of the error.
    refused: Counter[tuple[str, str]] = field(default_factory=Counter, init=False)
    find_credentials: credentials.FindGatewayCredentials = field(init=False)

    def __post_init__(self) -> None:
        self.find_credentials = credentials.GatewayCredentials(self.keys, self.tokens).find

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
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
        with self.in_flight:
            return await self._forward(call)

    async def _forward(self, call: _Call) -> web.StreamResponse:
        """Prepare the body, attempt each target, finish with the first response. Each attempt leaves one row."""
        outcome: Outcome = Outcome.GATEWAY_ERROR
        message: str | None = STOPPED_MESSAGE
        try:
            plan = await self._prepare(call)
            response = await self._attempt(call, plan)
            relayed = await self._finish(call, response)
            outcome = Outcome.COMPLETE
            return relayed
        except ConnectionError:
            outcome, message = Outcome.CLIENT_CLOSED, None
            return call.relayed or RelayedResponse(call.request, CLIENT_GONE_STATUS, is_last=True)
        except asyncio.CancelledError:
            transport = call.request.transport
            if transport is None or transport.is_closing():
                outcome, message = Outcome.CLIENT_CLOSED, None
            raise
        except Exception as error:
            if not isinstance(error, errors.UpstreamError | errors.BadInput):
                error = log_unexpected_error(call.request.path)
            outcome, message = _outcome_of(error, call.relayed), str(error)
            return self._failure_response(call, error)
        finally:
            if call.body.is_replayable:
                call.body.close()
            if outcome is not Outcome.COMPLETE:
                await self._end_failed(call, outcome, message)

    def _admit(
        self,
        request: web.BaseRequest,
        head: heads.SortedHeaders,
        identity: Identity,
        opt_out: LoggingOptOut,
        principal: Principal,
    ) -> _Call:
        require_role(principal, Role.PROXY)
        if head.wants_websocket and request.method == "GET":
            raise errors.UpgradeNotSupported(
                "the gateway does not relay WebSockets.",
                hint="Make the same call over HTTP, with stream: true for events as they come; what works over a "
                "WebSocket alone, such as realtime sessions, must go to the provider itself.",
            )
        self.in_flight.refuse_beyond(self.settings.max_in_flight)
        if self.check_store is not None:
            self.check_store()
        endpoint = endpoint_of(request.raw_path)
        uses_quota = principal.limits and exchanges.is_model_call(request.method, endpoint)
        quota = self.quotas.admit(principal) if uses_quota else None
        choice = heads.read_provider_choice(head)
        plan = self.settings.router.plan(request.raw_path, *choice)
        provider = plan.targets[0].provider
        capture = Capture(
            identity=identity,
            tenant=principal.tenant,
            key_name=principal.name,
            provider=provider.name,
            endpoint=endpoint,
            method=request.method,
            path=credentials.path_to_log(request.raw_path, self.find_credentials),
            client_retry=head.client_retry,
            payloads=self.settings.policy_of(principal.name, provider.payloads),
            opt_out=opt_out,
            limit_bytes=self.limit_bytes,
            request_headers=request.raw_headers,
        )
        may_name_provider = choice[1] is None and request.raw_path.startswith("/v1/")
        timeout = self.settings.body_timeout_seconds
        body = RequestBody(request, capture.request_body, timeout, is_replayable=len(plan.targets) > 1)
        return _Call(request, head, plan, may_name_provider, quota, capture, body)

    async def _prepare(self, call: _Call) -> Plan:
        """Read the body, whole if it has a say in where the request goes, and return the plan."""
        if call.head.expects_continue:
            bodies.send_continue(call.request)
        try:
            call.content = await call.body.read(_buffer_bytes(call))
        except BaseException:
            if call.may_name_provider:
                # It broke off before it named a provider, so it may be for any.
                policies = (self._policy(call, provider) for provider in self.settings.router.providers)
                call.capture.payloads = exchanges.strictest_policy(policies)
            raise
        named = self._plan_of_model(call, call.content) if isinstance(call.content, bytes) else None
        return named or call.plan

    def _plan_of_model(self, call: _Call, body: bytes) -> Plan | None:
        name = bodies.provider_in_model(body) if call.may_name_provider else None
        plan = None if name is None else self.settings.router.plan_by_name(call.request.raw_path, name)
        if plan is not None:
            call.content, call.is_edited = bodies.without_model_prefix(body), True
            provider = plan.targets[0].provider
            call.capture.provider = provider.name
            call.capture.payloads = self._policy(call, provider)
        return plan

    def _policy(self, call: _Call, provider: Provider) -> PayloadPolicy:
        return self.settings.policy_of(call.capture.key_name, provider.payloads)

    async def _attempt(self, call: _Call, plan: Plan) -> Response:
        """Send the request to each target in turn, record what fails, and return the first response."""
        targets = iter(plan.targets)
        target = next(targets)
        while True:
            outgoing, provider = self._outgoing(call, target), target.provider
            try:
                response = await self.upstream.send(outgoing, provider.origin, provider.timeouts)
            except errors.UpstreamError as error:
                following = next(targets, None)
                if following is None:
                    raise
                await self._begin_next(call, following.provider, error)
                target = following
            else:
                call.capture.add_response_head(response.status, response.headers)
                return response

    async def _begin_next(self, call: _Call, provider: Provider, error: errors.UpstreamError) -> None:
        """Record an attempt that failed, and begin the next."""
        failed = call.capture
        failed.status = error.status
        await self.recorder.record(failed.close(_outcome_of(error, None), str(error)))
        call.capture = failed.next_attempt(provider.name, self._policy(call, provider))
        if not isinstance(call.content, bytes):
            call.content = call.body.replay()

    def _outgoing(self, call: _Call, target: Target) -> OutgoingRequest:
        provider, capture = target.provider, call.capture
        find = self.find_credentials
        path, query_credentials = credentials.without_gateway_credentials(target.request_target, find)
        head = heads.upstream_headers(call.head, provider, find, query_credentials)
        capture.sent_credentials = head.credentials
        if head.secret_values:
            capture.request_headers = credentials.headers_to_log(call.request.raw_headers, head.secret_values)
        fields, content = _edit_body(call, provider, head.fields)
        return OutgoingRequest(call.request.method, path, fields, content)

    async def _finish(self, call: _Call, response: Response) -> RelayedResponse:
        """Relay a response, and record the attempt before the end goes out."""
        try:
            is_last = self.in_flight.is_draining
            relayed = call.relayed = RelayedResponse(call.request, response.status, is_last=is_last)
            has_usage = call.adds_usage and _has_usage_chunk(response)
            usage_filter = stream_usage.UsageChunkFilter() if has_usage else None
            own_fields, capture = self._own_fields(call), call.capture.response_body
            end = await relay_response(response, relayed, capture, own_fields, usage_filter)
            # No caller has the whole response before its row is safe.
            await self.recorder.record(call.capture.close(Outcome.COMPLETE))
            relayed.finish(end)
            return relayed
        finally:
            response.close()

    def _own_fields(self, call: _Call) -> list[tuple[bytes, bytes]]:
        capture = call.capture
        fields = heads.identity_fields(capture.identity)
        fields.append((heads.PROVIDER_FIELD, capture.provider.encode()))
        fields += [(name.encode(), value.encode()) for name, value in _quota_headers(call).items()]
        if self.tokens.keys is not None:
            scope = FeedbackScope(capture.identity.trace_id, capture.identity.request_id)
            token = self.tokens.issue(scope, capture.tenant, capture.key_name)
            fields.append((heads.TOKEN_FIELD, token))
        return fields

    def _failure_response(self, call: _Call, error: errors.GatewayError) -> web.StreamResponse:
        # Of two responses only the first can be sent.
        if call.relayed is not None and call.relayed.has_started:
            return call.relayed
        capture = call.capture
        capture.status = error.status
        user_agent = call.request.headers.get("User-Agent", "")
        response = render_error(error, capture.endpoint, capture.identity, user_agent)
        response.headers[heads.PROVIDER_FIELD.decode()] = capture.provider
        response.headers.update(_quota_headers(call))
        return response

    async def _end_failed(self, call: _Call, outcome: Outcome, message: str | None) -> None:
        if not call.capture.is_closed:
            exchange = call.capture.close(outcome, message)
            if outcome is Outcome.CLIENT_CLOSED:
                self.recorder.record_without_waiting(exchange)
            else:
                await self.recorder.record(exchange)
        if call.relayed is not None:
            call.relayed.close_incomplete()


def _buffer_bytes(call: _Call) -> int:
    # Only whole bodies can be edited, and any target of the plan may ask for that.
    for target in call.plan.targets:
        if target.provider.include_usage and _has_usage_option(call):
            return bodies.MAX_EDITED_BYTES
    inspects = call.may_name_provider and bodies.is_inspectable(call.request)
    return bodies.MAX_INSPECTED_BYTES if inspects else bodies.MAX_BUFFERED_BYTES


def _edit_body(
    call: _Call, provider: Provider, fields: RawHeaders
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


def _has_usage_option(call: _Call) -> bool:
    if call.request.method != "POST" or call.capture.endpoint not in stream_usage.USAGE_OPTION_ENDPOINTS:
        return False
    return exchanges.first_value(call.head.forwarded, b"content-encoding").lower() in (b"", b"identity")


def _has_usage_chunk(response: Response) -> bool:
    return response.content_length != 0 and stream_usage.may_hold_usage(response.headers)


def _quota_headers(call: _Call) -> dict[str, str]:
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
