"""What happens around every handler of a face: who is it, may they, and what if it fails."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog
from aiohttp import web

from gateway.access.auditing import Auditor
from gateway.access.keys import KeyRing
from gateway.access.tokens import FeedbackTokens
from gateway.domain.audit import AuditEntry, Via
from gateway.domain.ids import new_id
from gateway.domain.principal import OPEN, Principal
from gateway.errors import (
    BudgetExceeded,
    GatewayError,
    LimitExceeded,
    Overloaded,
    QuotaExceeded,
    StoreUnavailable,
    TooManyRequests,
    Unauthorized,
)
from gateway.web.auth import authenticate, read_feedback_token, require
from gateway.web.bodies import REQUEST_BODY, BodyLimits, RequestBody
from gateway.web.cors import AllowedOrigins
from gateway.web.face import ANY_ROLE, Endpoint, Face

log = structlog.get_logger("gateway.web")

LIMIT_HEADERS = ("x-gateway-ratelimit-limit", "x-gateway-ratelimit-remaining", "x-gateway-ratelimit-reset")
"""Fields that tell a caller how much its key may still use."""

MAX_WAIT_SECONDS = 60
"""Longest wait that a caller with a used-up limit is asked for: there are clients that sleep for as long as they
are told, whatever that is, and say nothing."""

MAX_AUDITED_TARGET = 512
"""How much of a path is kept in the audit log, in characters."""

MAX_TOKEN_BODY_BYTES = 64 * 1024
"""Longest body taken of callers with a feedback token, which may be anybody."""


OnAnswer = Callable[[str, str, int, float], None]


class Guard:
    """Puts authentication and error drawing around the endpoints of faces.

    Args:
        tokens: the feedback tokens that some endpoints take; None: there are none.
        origins: whose pages may call those endpoints; None: no other's.
        auditor: writes down what only admins may do; None: nobody does.
        on_answer: told of each answer by method, documented path, status and seconds.
        bodies: how long callers may take for bodies, and how much those may hold.
    """

    def __init__(
        self,
        keys: KeyRing,
        tokens: FeedbackTokens | None = None,
        origins: AllowedOrigins | None = None,
        auditor: Auditor | None = None,
        on_answer: OnAnswer | None = None,
        bodies: BodyLimits | None = None,
    ) -> None:
        self.bodies = bodies or BodyLimits()
        self._on_answer = on_answer
        self._auditor = auditor
        self._keys = keys
        self._tokens = tokens or FeedbackTokens()
        self._origins = origins or AllowedOrigins()

    def add_routes(self, app: web.Application, face: Face) -> None:
        """Register a face's endpoints, each with and without a trailing slash; those for GET for HEAD as well."""
        for endpoint in face.endpoints:
            handler = self._guarded(face, endpoint)
            for path in dict.fromkeys((endpoint.path, endpoint.path.rstrip("/") + "/")):
                app.router.add_route(endpoint.method, path, handler)
                if endpoint.method == "GET":
                    app.router.add_route("HEAD", path, handler)
                if endpoint.takes_tokens:
                    app.router.add_route("OPTIONS", path, self._origins.preflight)

    def _guarded(self, face: Face, endpoint: Endpoint):  # type: ignore[no-untyped-def]
        async def handle(request: web.Request) -> web.StreamResponse:
            started = time.monotonic()
            body = request[REQUEST_BODY] = RequestBody(self.bodies)
            try:
                response = await answer(request)
            finally:
                body.release()
            if self._on_answer is not None:
                seconds = time.monotonic() - started
                self._on_answer(request.method, endpoint.plain_path, response.status, seconds)
            if endpoint.takes_tokens:
                response.headers.update(self._origins.headers(request))
            return response

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                principal = self._admit(request, endpoint)
                if self._auditor is None or not endpoint.is_audited:
                    return await endpoint.handler(request, principal)
                return await self._answer_audited(request, principal, endpoint, self._auditor)
            except GatewayError as error:
                return draw(face, error)
            except (web.HTTPException, ConnectionError):
                raise
            except Exception:
                # The path as it was asked for may hold a feedback token.
                return draw(face, unexpected(endpoint.path))

        return handle

    async def _answer_audited(
        self, request: web.Request, principal: Principal, endpoint: Endpoint, auditor: Auditor
    ) -> web.StreamResponse:
        target = endpoint.audited_target(request)
        entry = AuditEntry(
            actor=principal.name,
            via=Via.API,
            tenant=principal.tenant,
            action=f"{endpoint.method} {endpoint.plain_path}",
            target=None if target is None else target[:MAX_AUDITED_TARGET],
        )
        async with auditor.auditing(entry) as outcome:
            response = await endpoint.handler(request, principal)
            outcome.text = str(response.status)
            return response

    def _admit(self, request: web.Request, endpoint: Endpoint) -> Principal:
        """Return who calls, if they may."""
        if endpoint.role is None:
            return OPEN
        bearer = read_feedback_token(request.headers, self._tokens)
        if bearer is not None and endpoint.takes_tokens:
            request[REQUEST_BODY].longest_bytes = MAX_TOKEN_BODY_BYTES
            return bearer
        caller = bearer or authenticate(request.headers, self._keys)
        return require(caller, None if endpoint.role == ANY_ROLE else endpoint.role)


def draw(face: Face, error: GatewayError) -> web.Response:
    """Draw an error in the face's shape, with the headers that its kind asks for."""
    response = face.draw_error(error)
    response.headers.update(error_headers(error))
    return response


def error_headers(error: GatewayError) -> dict[str, str]:
    """Return the header fields that an error of this kind comes with, whoever draws it."""
    if isinstance(error, LimitExceeded):
        return {**_retry_headers(error), **limit_headers(error.limit, "0", error.seconds_left)}
    if isinstance(error, Overloaded | StoreUnavailable | TooManyRequests):
        return {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": 'Bearer realm="gateway"'}
    return {}


def limit_headers(limit: str, remaining: str, seconds_left: int) -> dict[str, str]:
    """Return the header fields that tell a caller how much its key may still use.

    Args:
        limit: as it is written in the configuration.
        remaining: how much of its unit is left.
        seconds_left: until its window ends.
    """
    return dict(zip(LIMIT_HEADERS, (limit, remaining, str(seconds_left)), strict=True))


def _retry_headers(error: LimitExceeded) -> dict[str, str]:
    resets = {"x-gateway-limit-resets-at": error.resets_at}
    if isinstance(error, QuotaExceeded | BudgetExceeded):
        # OpenAI's and Anthropic's SDKs raise at once then; without it they would try again.
        return {"x-should-retry": "false", **resets}
    return {"Retry-After": str(min(error.seconds_left, MAX_WAIT_SECONDS)), **resets}


def unexpected(path: str) -> GatewayError:
    """Log the exception that is being handled and return the error to show for it, joined by an id."""
    error_id = new_id()
    log.exception("unexpected error", error_id=error_id, path=path)
    return GatewayError("something went wrong in the gateway.", hint=f"Its log has more under {error_id}.")
