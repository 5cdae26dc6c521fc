"""The attempts of a request with a route: each is sent, held until it says something, and recorded if it failed."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from gateway.errors import BadInput, GatewayError, TooLarge, UpstreamError, UpstreamTimeout
from gateway.models.cached_answer import CacheStatus
from gateway.models.exchange import Outcome, PayloadPolicy, RawHeaders
from gateway.models.experiment import Unit
from gateway.models.guardrails import FAILED_STATUS
from gateway.models.route import ConditionContext, Route, RouteTarget
from gateway.proxy import body as bodies
from gateway.proxy.call import CacheUse, Call
from gateway.proxy.errors import note_failure
from gateway.proxy.guardrails import ProxyGuardrails
from gateway.proxy.held_response import HeldResponse
from gateway.recording.capture import Capture
from gateway.routing.affinity import SessionAffinity
from gateway.routing.breaker import Breakers
from gateway.routing.guardrails import GuardrailDenied
from gateway.routing.plan import Target
from gateway.routing.provider_state import NamedState, ProviderState, read_named_state
from gateway.routing.providers import Provider
from gateway.routing.retry import retry_headers
from gateway.routing.walk import (
    TIMED_OUT,
    UNREACHABLE,
    AttemptOutcome,
    BySession,
    RouteAttempt,
    RouteWalk,
)
from gateway.upstream.response import Response
from gateway.wire.commit_point import Beginning, may_be_silent
from gateway.wire.formats import read_baggage, read_caller
from gateway.wire.json_fields import JsonObject, object_in, parse_object, text_in
from gateway.wire.json_members import edit_params

# How long the body of an error is read whose target has a successor.
_ERROR_BODY_SECONDS = 5.0

_TOO_MANY_REQUESTS = 429
# What providers call a quota that no waiting of seconds mends (OpenAI; Azure; Anthropic; Google).
_QUOTA_USED_UP = re.compile(
    rb"insufficient_quota|billing_hard_limit_reached|credit balance is too low|quota_exceeded|PerDay", re.I
)
_TIMEOUT_FIELD = b"x-portkey-request-timeout"
# A day has eight.
_MAX_TIMEOUT_DIGITS = 8
_TIMEOUT_MESSAGE = "Request exceeded the timeout sent in the request: {}ms"


class RequestTimedOut(UpstreamTimeout, status=408, code="timeout_error"):
    """A target did not begin its answer within the route's `request_timeout`."""


# How an attempt ended: with a response, or the error in place of one.
_Tried = tuple[AttemptOutcome, HeldResponse | Response | None, GatewayError | None]

# Sends the attempt of a call to a target.
SendAttempt = Callable[[Call, Target], Awaitable[Response]]

# Returns the cached answer to an attempt of a call.
FindCached = Callable[[Call, RouteTarget, Target], Awaitable[Response | None]]


@dataclass(frozen=True, slots=True)
class RouteAttempts:
    """Attempts one target of a route after another, until an answer is the caller's.

    Args:
        send: raises UpstreamError.
        end_attempt: records an attempt that another follows.
        commit_within_seconds: how long an answer that says nothing is held.
    """

    send: SendAttempt
    find_cached: FindCached
    end_attempt: Callable[[Call, Outcome, str | None], Awaitable[None]]
    policy_of: Callable[[Call, Provider], PayloadPolicy]
    commit_within_seconds: float
    breakers: Breakers
    affinity: SessionAffinity
    guardrails: ProxyGuardrails
    state: ProviderState

    async def first_response(self, call: Call, route: Route) -> Response:
        """Return the response that the caller gets. Raises what the last attempt raises, and BadInput."""
        params = _params(call) if route.reads_params or route.has_loadbalance else {}
        walk = call.walk = self._walk(call, route, params)
        named = None
        if route.has_several_accounts:
            named = read_named_state(call.request.raw_path, call.content)
        attempt: RouteAttempt | None
        attempt = walk.first() if named is None else await self._stay(call, walk, named)
        original = call.content
        while attempt is not None:
            self._begin(call, walk, attempt, original)
            outcome, response, error = await self._try(call, attempt)
            # An answer from the cache says nothing about the target's health.
            if call.cache is None or call.cache.status is not CacheStatus.HIT:
                self.breakers.record(attempt.target, outcome.statuses)
            following = walk.following(outcome)
            if following is None:
                _add_trail(call.capture, walk)
                if response is None:
                    assert error is not None
                    raise error
                return response
            await self._end_failed(call, outcome, response, error)
            if following.pause_seconds:
                await asyncio.sleep(following.pause_seconds)
            call.capture = call.capture.next_attempt(call.capture.provider, call.capture.payloads)
            attempt = following
        raise AssertionError("a route has a first attempt")

    def _walk(self, call: Call, route: Route, params: JsonObject) -> RouteWalk:
        metadata = call.capture.identity.metadata
        pathname = call.request.raw_path.partition("?")[0]
        # Only a loadbalance has a choice that a session could keep to.
        session = _session(metadata, params) if route.has_loadbalance else None
        context = ConditionContext(metadata, params, pathname)
        units = {} if route.experiment is None else _units(call, params, session)
        choice = BySession(self.affinity, session, lambda name: _session_value(name, context, call), units)
        return RouteWalk(route, context, choice=choice, lets_through=self.breakers.lets_through)

    async def _stay(self, call: Call, walk: RouteWalk, named: NamedState) -> RouteAttempt:
        """Return the first attempt at the one target that has what a request names, or is asked first."""
        target = await self.state.find_target(walk.route, named, call.capture.tenant)
        why = f"{named.what}, which this target gave"
        if target is None:
            # Only now, as a walk that begins may begin the probe of a breaker.
            target, why = walk.first().target, f"{named.what}, so no other target is tried"
        return walk.first_at(target, f"{why}: {target.label}")

    def _begin(self, call: Call, walk: RouteWalk, attempt: RouteAttempt, original: object) -> None:
        """Make the call that of the attempt: its provider, and its body as the target wants it."""
        provider = call.plan.target_of(attempt.target).provider
        capture, target = call.capture, attempt.target
        capture.provider = provider.name
        capture.payloads = self.policy_of(call, provider)
        capture.route, capture.target = walk.route.name, target.name or target.path
        capture.experiment, capture.variant = walk.experiment, walk.variant
        capture.route_trail = walk.take_trail()
        settings = target.settings
        if not isinstance(original, bytes):
            if settings.edits_body:
                fault = f"is longer than {bodies.MAX_ROUTED_BYTES:,} bytes, which a target's parameters edit."
                raise TooLarge(fault, field="body")
            call.content = call.body.replay()
        elif settings.edits_body:
            call.content, call.is_edited = edit_params(original, settings), True
        else:
            call.content = original

    async def _try(self, call: Call, attempt: RouteAttempt) -> _Tried:
        assert call.route is not None, "only routes are tried"
        if not call.route.has_guardrails:
            return await self._try_target(call, attempt)
        call.cache = None
        try:
            await self.guardrails.check_request(call, attempt.target.settings)
            outcome, response, error = await self._try_target(call, attempt)
            if response is None:
                return outcome, response, error
            checked = await self.guardrails.check_answer(call, response)
        except GuardrailDenied as denied:
            return AttemptOutcome(frozenset({denied.status}), {}, "was denied by a guardrail"), None, denied
        except UpstreamError as cut:
            return _unanswered(cut), None, cut
        if checked.status == FAILED_STATUS and outcome.is_success:
            outcome = AttemptOutcome(frozenset({FAILED_STATUS}), {}, "failed a guardrail")
        return outcome, checked, error

    async def _try_target(self, call: Call, attempt: RouteAttempt) -> _Tried:
        target = call.plan.target_of(attempt.target)
        call.cache = None
        if attempt.target.settings.cache is not None:
            cached = await self.find_cached(call, attempt.target, target)
            if cached is not None:
                call.capture.route_trail = f"{call.capture.route_trail} Its answer was in the cache."
                return _answered(cached.status, cached.headers, b""), cached, None
        timeout_ms = _header_timeout_ms(call) or attempt.target.settings.request_timeout_ms
        try:
            async with asyncio.timeout(None if timeout_ms is None else timeout_ms / 1000) as timeout:
                response = await self.send(call, target)
        except TimeoutError:
            assert timeout.expired()
            late = RequestTimedOut(_TIMEOUT_MESSAGE.format(timeout_ms))
            return AttemptOutcome(TIMED_OUT, {}, f"did not answer within {timeout_ms} ms"), None, late
        except UpstreamError as error:
            return _unanswered(error), None, error
        if attempt.is_last:
            return _answered(_final_status(response), response.headers, b""), response, None
        return await self._hold(call, HeldResponse(response))

    async def _hold(
        self, call: Call, held: HeldResponse
    ) -> tuple[AttemptOutcome, HeldResponse | None, GatewayError | None]:
        """Read as much of an answer as it takes to know whether it is one."""
        capture = call.capture
        if held.status == HTTPStatus.SWITCHING_PROTOCOLS:
            return _answered(_final_status(held), held.headers, b""), held, None
        if not HTTPStatus.OK <= held.status < HTTPStatus.MULTIPLE_CHOICES:
            body = await held.read_whole(_ERROR_BODY_SECONDS)
            return _answered(held.status, held.headers, body), held, None
        if may_be_silent(capture.endpoint, held.status, held.headers):
            try:
                begun = await held.read_beginning(
                    capture.endpoint, call.request.raw_path, self.commit_within_seconds
                )
            except UpstreamError as error:
                capture.response_body.add(held.held)
                return _unanswered(error), None, error
            if begun.state is Beginning.FAILED:
                reason = f"failed inside an answer with status {held.status}"
                return AttemptOutcome(frozenset({begun.status}), {}, reason), held, None
            if begun.state is Beginning.BROKEN:
                reason = f"gave no whole answer: {begun.message}"
                return AttemptOutcome(UNREACHABLE, {}, reason, is_broken=True), held, None
        return _answered(held.status, held.headers, b""), held, None

    async def _end_failed(
        self,
        call: Call,
        outcome: AttemptOutcome,
        response: HeldResponse | Response | None,
        error: GatewayError | None,
    ) -> None:
        if isinstance(response, HeldResponse):
            call.capture.response_body.add(response.held)
        if response is not None:
            response.close()
        if error is None:
            how = Outcome.UPSTREAM_ERROR if outcome.is_broken else Outcome.COMPLETE
            await self.end_attempt(call, how, outcome.reason if outcome.is_broken else None)
            return
        if isinstance(error, GuardrailDenied):
            call.capture.status, how = error.status, Outcome.GATEWAY_ERROR
        else:
            how = note_failure(call.capture, error)
        await self.end_attempt(call, how, str(error))


def route_fields(walk: RouteWalk, cache: CacheUse | None) -> bytes:
    """Return the lines of a response's head about a route, as Portkey has them, without their last line break."""
    cached = CacheStatus.DISABLED if cache is None else cache.status
    return b"\r\n".join(
        (
            b"\r\nx-portkey-last-used-option-index: %b" % walk.current_path.encode(),
            b"x-portkey-retry-attempt-count: %d" % walk.retry_count,
            b"x-portkey-cache-status: %b" % cached.value.upper().encode(),
        )
    )


def needs_body(route: Route, endpoint: str) -> bool:
    """Tell whether a route must have the body whole: to edit or check it, for parameters, to know its session."""
    is_read = route.reads_params or route.has_loadbalance or route.edits_body
    if route.has_several_accounts and endpoint.startswith("responses"):
        return True
    return is_read or route.has_guardrails or route.mirror is not None


def _params(call: Call) -> JsonObject:
    return (parse_object(call.content) if isinstance(call.content, bytes) else None) or {}


def _session(metadata: Mapping[str, object], params: JsonObject) -> str | None:
    session = metadata.get("_session")
    if isinstance(session, str) and session:
        return session
    user = text_in(params, "user") or text_in(object_in(params, "metadata"), "user_id")
    return read_caller(params, user).session


def _units(call: Call, params: JsonObject, session: str | None) -> Mapping[Unit, str]:
    metadata, baggage = call.capture.identity.metadata, read_baggage(call.request.raw_headers)
    user = metadata.get("_user")
    if not isinstance(user, str):
        stated = text_in(params, "user") or text_in(object_in(params, "metadata"), "user_id")
        user = read_caller(params, stated).user
    units = {
        Unit.USER: user or baggage.user,
        Unit.SESSION: session or baggage.session,
        Unit.TRACE: call.capture.identity.trace_id,
    }
    return {unit: name for unit, name in units.items() if name}


def _add_trail(capture: Capture, walk: RouteWalk) -> None:
    if more := walk.take_trail():
        capture.route_trail = f"{capture.route_trail} {more}"


def _header_timeout_ms(call: Call) -> int | None:
    """Return the timeout that the caller asks for, which goes before those of targets. Raises BadInput."""
    text = call.head.gateway_values.get(_TIMEOUT_FIELD, b"").strip()
    if not text:
        return None
    if not text.isdigit() or len(text) > _MAX_TIMEOUT_DIGITS or not int(text):
        raise BadInput("must be a number of milliseconds, such as 5000.", field=_TIMEOUT_FIELD.decode())
    return int(text)


def _session_value(name: str, context: ConditionContext, call: Call) -> str | None:
    where, _, key = name.partition(".")
    if where == "headers":
        return call.request.headers.get(key)
    value = (context.metadata if where == "metadata" else context.params).get(key)
    return str(value) if isinstance(value, str | int | float) else None


def _final_status(response: HeldResponse | Response) -> int:
    # A switch of protocols is what was asked for.
    return HTTPStatus.OK if response.status == HTTPStatus.SWITCHING_PROTOCOLS else response.status


def _unanswered(error: UpstreamError) -> AttemptOutcome:
    if isinstance(error, UpstreamTimeout):
        return AttemptOutcome(TIMED_OUT, {}, f"was late: {error.message.rstrip('.')}")
    return AttemptOutcome(UNREACHABLE, {}, f"could not be used: {error.message.rstrip('.')}")


def _answered(status: int, headers: RawHeaders, body: bytes) -> AttemptOutcome:
    is_used_up = status == _TOO_MANY_REQUESTS and _QUOTA_USED_UP.search(body) is not None
    reason = f"answered {status}" + (": its quota is used up" if is_used_up else "")
    return AttemptOutcome(frozenset({status}), retry_headers(headers), reason, is_quota_used_up=is_used_up)
