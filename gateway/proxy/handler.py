"""The life of a proxied request: prepare, forward, record."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import web

from gateway.auth.api_keys import ApiKeys
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.auth.quotas import Quotas
from gateway.errors import (
    BadInput,
    CallerTimeout,
    GatewayError,
    UpgradeNotSupported,
    UpstreamError,
    UpstreamTimeout,
)
from gateway.models.clock import now_us
from gateway.models.exchange import (
    Identity,
    LoggingOptOut,
    Outcome,
    PayloadPolicy,
    RawHeaders,
    first_value,
    is_model_call,
    strictest_policy,
    value_class,
)
from gateway.models.principal import Principal, Role
from gateway.models.quota import QuotaStatus
from gateway.proxy.body import (
    MAX_BUFFERED_BYTES,
    MAX_EDITED_BYTES,
    MAX_INSPECTED_BYTES,
    is_inspectable,
    provider_in_model,
    read_request_body,
    send_continue,
    without_model_prefix,
)
from gateway.proxy.credentials import (
    GatewayCredentials,
    headers_to_log,
    path_to_log,
    without_gateway_credentials,
)
from gateway.proxy.errors import render_error
from gateway.proxy.in_flight import InFlight
from gateway.proxy.request_head import (
    SortedHeaders,
    headers_of_edited_body,
    read_identity,
    read_opt_out,
    read_provider_choice,
    sort_headers,
    upstream_headers,
    with_content_length,
)
from gateway.proxy.response import RelayedResponse, relay_response
from gateway.recording.access_log import AccessLog
from gateway.recording.capture import Capture
from gateway.recording.recorder import Recorder
from gateway.routing.plan import Router
from gateway.routing.providers import Destination, Provider
from gateway.upstream import OutgoingRequest, Upstream
from gateway.web.middleware import authenticate, limit_headers, log_unexpected_error, require_role
from gateway.wire import endpoint_of
from gateway.wire.stream_usage import (
    USAGE_OPTION_ENDPOINTS,
    UsageChunkFilter,
    add_usage_option,
    may_hold_usage,
)

CLIENT_GONE_STATUS = 499
"""Status, never sent, of what is returned to aiohttp where the caller has gone."""

LogPolicy = Callable[[Principal, Provider], PayloadPolicy]


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """What a reload of the configuration replaces.

    Args:
        policy_of: returns how much of a request is kept.
        max_in_flight: None: no limit.
        body_timeout_seconds: longest pause between two pieces of a request body.
    """

    router: Router
    policy_of: LogPolicy
    max_in_flight: int | None
    body_timeout_seconds: float


@value_class()
class _ProxiedRequest:
    """A request that has found its provider.

    Args:
        principal: who makes it.
        is_open: whether the model that it asks for may name another provider.
        usage: how its key stands with the limit that is nearest to being used up.
    """

    request: web.BaseRequest
    head: SortedHeaders
    principal: Principal
    target: Destination
    may_name_provider: bool
    capture: Capture
    usage: QuotaStatus | None


class Proxy:
    """Forwards whatever is not the gateway's own.

    Args:
        tokens: issues the feedback token that each answer carries, if there are any.
        allowances: counts what callers use, and says when one has used up what it may.
        current: returns the settings of the latest configuration.
        limit_bytes: how much of each body is kept.
        access_log: has a line for what is refused before a provider is chosen.
        admit: raises StoreUnavailable where requests are to be refused because they could not be logged.
    """

    def __init__(
        self,
        *,
        keys: ApiKeys,
        tokens: FeedbackTokens,
        quotas: Quotas,
        current: Callable[[], ProxySettings],
        upstream: Upstream,
        recorder: Recorder,
        limit_bytes: int,
        access_log: AccessLog,
        admit: Callable[[], None],
    ) -> None:
        self.in_flight = InFlight()
        self._current = current
        self.refused: Counter[tuple[str, str]] = Counter()
        """How many requests were refused before they had a provider, by the name of their key and the code of the
        error; no name where no key was known."""
        self._keys = keys
        self._tokens = tokens
        self._find_credentials = GatewayCredentials(keys, tokens).find
        self._quotas = quotas
        self._upstream = upstream
        self._recorder = recorder
        self._limit_bytes = limit_bytes
        self._access_log = access_log
        self._admit = admit

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request: find out what it is and whom it is for, then forward it."""
        identity = principal = None
        try:
            if request.method == "HEAD" and self._current().router.is_root(request.raw_path):
                return web.Response()
            head = sort_headers(request.raw_headers)
            identity = read_identity(head, request.headers.get("traceparent"))
            opt_out = read_opt_out(head)
            query = request.raw_path.partition("?")[2]
            principal = authenticate(request.headers, self._keys, query=query)
            require_role(principal, Role.PROXY)
            if head.wants_websocket and request.method == "GET":
                raise _no_websocket()
            self.in_flight.refuse_beyond(self._current().max_in_flight)
            self._admit()
            endpoint = endpoint_of(request.raw_path)
            usage = self._quotas.admit(principal) if is_model_call(request.method, endpoint) else None
            choice = read_provider_choice(head)
            target = self._current().router.plan(request.raw_path, *choice)
        except GatewayError as error:
            endpoint = endpoint_of(request.raw_path)
            name = None if principal is None else principal.name
            self.refused[name or "", error.code] += 1
            self._access_log.refused(request.method, endpoint, error, name)
            return _render(error, request, endpoint, identity)
        capture = self._capture(request, head, identity, opt_out, principal, target, endpoint)
        may_name_provider = choice[1] is None and request.raw_path.startswith("/v1/")
        call = _ProxiedRequest(request, head, principal, target, may_name_provider, capture, usage)
        task = self.in_flight.enter()
        try:
            return await self._forward(call)
        finally:
            self.in_flight.leave(task)

    async def _forward(self, call: _ProxiedRequest) -> web.StreamResponse:
        """Send a request and relay its answer. However that ends, it leaves exactly one exchange."""
        capture, answer = call.capture, None
        try:
            outgoing, provider, adds_usage = await self._prepare_request(call)
            response = await self._upstream.send(outgoing, provider.origin, provider.timeouts)
            try:
                capture.add_response_head(response.status, response.headers)
                answer = RelayedResponse(call.request, response.status, is_last=self.in_flight.is_draining)
                usage_filter = (
                    UsageChunkFilter()
                    if adds_usage and response.has_body and may_hold_usage(response.headers)
                    else None
                )
                fields = _limit_fields(call)
                await relay_response(
                    response, answer, capture, self._recorder, self._tokens, fields, usage_filter
                )
                return answer
            finally:
                response.close()
        except (UpstreamError, BadInput) as error:
            return await self._fail(call, answer, _outcome_of(error, answer), error)
        except ConnectionError:
            self._record_abandoned(capture, Outcome.CLIENT_CLOSED)
            return answer or RelayedResponse(call.request, CLIENT_GONE_STATUS, is_last=True)
        except asyncio.CancelledError:
            self._record_abandoned(capture, *_cancel_outcome(call.request))
            if answer is not None:
                answer.close_incomplete()
            raise
        except Exception:
            failure = log_unexpected_error(call.request.path)
            return await self._fail(call, answer, Outcome.GATEWAY_ERROR, failure)

    async def _prepare_request(self, call: _ProxiedRequest) -> tuple[OutgoingRequest, Provider, bool]:
        """Return what goes to a provider, which one that is, and whether it is asked for token counts for which the
        caller did not."""
        request, destination = call.request, call.target
        if call.head.expects_continue:
            send_continue(request)
        try:
            body = await read_request_body(
                request, call.capture.request_body, self._current().body_timeout_seconds, _buffer_bytes(call)
            )
        except BaseException:
            if call.may_name_provider:
                call.capture.payloads = self._strictest_policy(call.principal)
            raise
        body_without_prefix = body_with_usage = None
        if isinstance(body, bytes):
            if call.may_name_provider and (named := self._destination_in_model(call, body)) is not None:
                destination, body_without_prefix = named, without_model_prefix(body)
            if destination.provider.include_usage and _has_usage_option(call):
                body_with_usage = add_usage_option(body_without_prefix or body)
        target, fields = self._prepare_head(call, destination)
        if body_with_usage is not None:
            fields = headers_of_edited_body(fields, len(body_with_usage))
        elif body_without_prefix is not None:
            fields = with_content_length(fields, len(body_without_prefix))
        outgoing = OutgoingRequest(
            request.method, target, fields, body_with_usage or body_without_prefix or body
        )
        return outgoing, destination.provider, body_with_usage is not None

    def _destination_in_model(self, call: _ProxiedRequest, body: bytes) -> Destination | None:
        """Return where a request goes whose model names another provider; None where it names none."""
        name = provider_in_model(body)
        named = None if name is None else self._current().router.plan_by_name(call.request.raw_path, name)
        if named is not None:
            call.capture.provider = named.provider.name
            call.capture.payloads = self._current().policy_of(call.principal, named.provider)
        return named

    def _strictest_policy(self, caller: Principal) -> PayloadPolicy:
        """Return what may be kept of a body that broke off before it named a provider: it may be for any."""
        current = self._current()
        return strictest_policy(current.policy_of(caller, provider) for provider in current.router.providers)

    def _prepare_head(self, call: _ProxiedRequest, destination: Destination) -> tuple[str, RawHeaders]:
        """Return the request target and the header fields for a provider."""
        target, query_credentials = without_gateway_credentials(
            destination.request_target, self._find_credentials
        )
        head = upstream_headers(call.head, destination.provider, self._find_credentials, query_credentials)
        call.capture.sent_credentials = head.credentials
        if head.secret_values:
            call.capture.request_headers = headers_to_log(call.request.raw_headers, head.secret_values)
        return target, head.fields

    async def _fail(
        self, call: _ProxiedRequest, answer: RelayedResponse | None, outcome: Outcome, error: GatewayError
    ) -> web.StreamResponse:
        """Record a request that failed, then say so: with an error, or by breaking off what was begun."""
        has_started = answer is not None and answer.has_started
        if not has_started:
            call.capture.status = error.status
        await self._recorder.record(call.capture.close(outcome, str(error)))
        if answer is not None and has_started:
            answer.close_incomplete()
            return answer
        response = _render(error, call.request, call.capture.endpoint, call.capture.identity)
        response.headers["x-portkey-provider"] = call.capture.provider
        response.headers.update(_limit_headers(call))
        return response

    def _record_abandoned(self, capture: Capture, outcome: Outcome, error: str | None = None) -> None:
        """Record a request that nobody waits for any more, unless it was recorded whole before."""
        if not capture.is_closed:
            self._recorder.record_without_waiting(capture.close(outcome, error))

    def _capture(
        self,
        request: web.BaseRequest,
        head: SortedHeaders,
        identity: Identity,
        opt_out: LoggingOptOut,
        principal: Principal,
        target: Destination,
        endpoint: str,
    ) -> Capture:
        return Capture(
            identity=identity,
            tenant=principal.tenant,
            key_name=principal.name,
            provider=target.provider.name,
            endpoint=endpoint,
            method=request.method,
            path=path_to_log(request.raw_path, self._find_credentials),
            client_retry=head.client_retry,
            payloads=self._current().policy_of(principal, target.provider),
            opt_out=opt_out,
            limit_bytes=self._limit_bytes,
            request_headers=request.raw_headers,
        )


def _no_websocket() -> UpgradeNotSupported:
    return UpgradeNotSupported(
        "the gateway does not relay WebSockets.",
        hint="Make the same call over HTTP, with stream: true for events as they come; what works over a "
        "WebSocket alone, such as realtime sessions, must go to the provider itself.",
    )


def _buffer_bytes(call: _ProxiedRequest) -> int:
    """Return up to how many bytes the body of a call is wanted whole."""
    if call.target.provider.include_usage and _has_usage_option(call):
        return MAX_EDITED_BYTES
    return (
        MAX_INSPECTED_BYTES if call.may_name_provider and is_inspectable(call.request) else MAX_BUFFERED_BYTES
    )


def _has_usage_option(call: _ProxiedRequest) -> bool:
    packed = first_value(call.head.forwarded, b"content-encoding").lower() not in (b"", b"identity")
    return call.request.method == "POST" and call.capture.endpoint in USAGE_OPTION_ENDPOINTS and not packed


def _limit_headers(call: _ProxiedRequest) -> dict[str, str]:
    usage = call.usage
    if usage is None:
        return {}
    left = usage.limit.write(usage.remaining)
    return limit_headers(str(usage.limit), left, usage.seconds_left(now_us()))


def _limit_fields(call: _ProxiedRequest) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), text.encode()) for name, text in _limit_headers(call).items()]


def _render(
    error: GatewayError, request: web.BaseRequest, endpoint: str, identity: Identity | None
) -> web.Response:
    return render_error(error, endpoint, identity, request.headers.get("User-Agent", ""))


def _outcome_of(error: GatewayError, answer: RelayedResponse | None) -> Outcome:
    if isinstance(error, UpstreamTimeout | CallerTimeout):
        return Outcome.TIMEOUT
    if isinstance(error, BadInput):
        return Outcome.GATEWAY_ERROR
    return Outcome.UPSTREAM_ERROR if answer is None else Outcome.UPSTREAM_TRUNCATED


def _cancel_outcome(request: web.BaseRequest) -> tuple[Outcome, str | None]:
    transport = request.transport
    if transport is None or transport.is_closing():
        return Outcome.CLIENT_CLOSED, None
    return Outcome.GATEWAY_ERROR, "the gateway was stopped before the answer was whole"
