"""Authentication, CORS, auditing and error responses around every endpoint of the APIs."""

import time
from base64 import b64decode
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from urllib.parse import unquote

import structlog
from aiohttp import web

from gateway import errors
from gateway.auth.allowed_hosts import AllowedHosts
from gateway.auth.api_keys import ApiKeys
from gateway.auth.audit import AuditLog
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.models.audit import AuditChannel, AuditEntry
from gateway.models.ids import name_in_path, new_id
from gateway.models.principal import (
    CREDENTIAL_HEADERS,
    CREDENTIAL_PARAMETERS,
    OPEN_ACCESS,
    PROTOCOL_HEADER,
    Principal,
    Role,
    key_in_protocols,
    strip_scheme,
)
from gateway.web.bodies import IDEMPOTENCY_KEY, REQUEST_BODY, BodyLimits, RequestBody
from gateway.web.endpoint import ANY_ROLE, Api, Endpoint
from gateway.web.feedback import JOINED_HEADER

# Carries a feedback token of a proxied response, and may carry it back.
TOKEN_HEADER = "x-gateway-feedback-token"

# All that authentication reads.
_READ_HEADERS = (TOKEN_HEADER, *CREDENTIAL_HEADERS, "Host", "Origin", "Sec-Fetch-Site")


def authenticate(headers: Mapping[str, str], keys: ApiKeys, *, query: str = "") -> Principal:
    """Return the principal of a request; `query` may contain a key. Raises Unauthorized, Forbidden."""
    if keys.is_open:
        if not keys.is_disabled:
            _refuse_foreign_origins(headers, keys.allowed_hosts)
        return OPEN_ACCESS
    for name in CREDENTIAL_HEADERS:
        value = headers.get(name)
        if value is not None and (principal := keys.find(strip_scheme(value))):
            return principal
    for value in _credentials_in_query(query) if query else ():
        if principal := keys.find(value):
            return principal
    is_websocket = "websocket" in headers.get("Upgrade", "").lower()
    offered = key_in_protocols(headers.get(PROTOCOL_HEADER, "")) if is_websocket else None
    if offered is not None and (principal := keys.find(offered)):
        return principal
    raise errors.Unauthorized(
        "no valid gateway key came with this request.",
        hint="Send one as x-portkey-api-key, or as Authorization: Bearer KEY.",
    )


def principal_of_feedback_token(headers: Mapping[str, str], tokens: FeedbackTokens) -> Principal | None:
    if tokens.keys is None:
        return None
    if (token := headers.get(TOKEN_HEADER)) is not None:
        return tokens.read(token)
    values = (strip_scheme(headers.get(name, "")) for name in CREDENTIAL_HEADERS)
    found = next(filter(tokens.is_token, values), None)
    return None if found is None else tokens.read(found)


def with_bearer_password(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return headers with the password of Basic credentials (RFC 7617) as a bearer token."""
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return headers
    try:
        password = b64decode(encoded.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return headers
    read = {name: value for name in _READ_HEADERS if (value := headers.get(name)) is not None}
    return {**read, "Authorization": f"Bearer {password}"}


def require_role(principal: Principal, role: Role | None) -> Principal:
    if principal.scope is not None:
        raise errors.Forbidden(
            "a feedback token allows feedback on its own request only.",
            hint=f"This takes a key with the role {role}." if role else "This takes a key.",
        )
    if role is not None and not principal.has_role(role):
        raise errors.Forbidden(
            f"the key {principal.name!r} may not do this.", hint=f"It takes a key with the role {role}."
        )
    return principal


def _credentials_in_query(query: str) -> Iterator[str]:
    for parameter in query.split("&"):
        name, _, value = parameter.partition("=")
        if name in CREDENTIAL_PARAMETERS:
            yield unquote(value)


def _refuse_foreign_origins(headers: Mapping[str, str], hosts: AllowedHosts) -> None:
    host, origin = headers.get("Host"), headers.get("Origin")
    if host is not None and not hosts.allows_host(host):
        raise errors.Forbidden(
            f"without keys the gateway answers only as localhost or by its address, not as {host[:100]!r}.",
            field="Host",
            hint="Make a key, or add the name to server.allowed_hosts.",
        )
    if origin is not None and not hosts.allows_origin(origin):
        raise errors.Forbidden(
            f"without keys the gateway refuses pages of {origin[:100]!r}.",
            field="Origin",
            hint="Make a key, or add the name of their host to server.allowed_hosts.",
        )
    # Browsers send no Origin with images, links and frames, only this.
    if origin is None and headers.get("Sec-Fetch-Site") == "cross-site":
        raise errors.Forbidden(
            "without keys the gateway refuses images, links and frames of other sites.",
            field="Sec-Fetch-Site",
            hint="Make a key, or use fetch() in a page whose host is in server.allowed_hosts.",
        )


ANY_ORIGIN = "*"

# Chromium caches a preflight answer no longer.
MAX_AGE_SECONDS = 7200

_ALLOW_ORIGIN = "Access-Control-Allow-Origin"
# Langfuse's SDK for browsers says in these who it is.
_SDK_HEADERS = tuple(
    f"X-Langfuse-{name}"
    for name in ("Public-Key", "Sdk-Name", "Sdk-Version", "Sdk-Variant", "Sdk-Integration")
)
_ALLOWED_HEADERS = (TOKEN_HEADER, *CREDENTIAL_HEADERS, "Content-Type", IDEMPOTENCY_KEY, *_SDK_HEADERS)
_PREFLIGHT_HEADERS = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": ", ".join(_ALLOWED_HEADERS),
    "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
}


class AllowedOrigins:
    """Origins whose pages may give feedback with a token; a reload of the configuration replaces them."""

    def __init__(self, allowed: Collection[str] = ()) -> None:
        self.allowed = allowed

    def headers(self, request: web.Request) -> dict[str, str]:
        if not self.allowed:
            return {}
        origin = ANY_ORIGIN if ANY_ORIGIN in self.allowed else request.headers.get("Origin")
        if origin is None or origin not in self.allowed:
            return {"Vary": "Origin"}
        exposed = f"Retry-After, {JOINED_HEADER}"
        return {_ALLOW_ORIGIN: origin, "Access-Control-Expose-Headers": exposed, "Vary": "Origin"}

    async def preflight(self, request: web.Request) -> web.Response:
        headers = self.headers(request)
        terms = _PREFLIGHT_HEADERS if _ALLOW_ORIGIN in headers else {}
        return web.Response(status=204, headers={**headers, **terms})


log = structlog.get_logger("gateway.web")

LIMIT_HEADERS = ("x-gateway-ratelimit-limit", "x-gateway-ratelimit-remaining", "x-gateway-ratelimit-reset")

# Some clients sleep silently for as long as Retry-After says.
MAX_RETRY_AFTER_SECONDS = 60

# Of a path in the audit log, in characters.
MAX_AUDITED_TARGET = 512

# Feedback tokens are public, so their bearers may send only short bodies.
MAX_TOKEN_BODY_BYTES = 64 * 1024

# Receives method, path template, status and seconds of each response.
OnResponse = Callable[[str, str, int, float], None]


# Waits until the store has the requests that ended before; returns how many milliseconds it is behind still.
WaitForRows = Callable[[], Awaitable[int]]

BEHIND_HEADER = "x-gateway-behind-ms"


class AuthMiddleware:
    def __init__(
        self,
        keys: ApiKeys,
        tokens: FeedbackTokens | None = None,
        origins: AllowedOrigins | None = None,
        audit_log: AuditLog | None = None,
        on_answer: OnResponse | None = None,
        bodies: BodyLimits | None = None,
        wait_for_rows: WaitForRows | None = None,
    ) -> None:
        self._wait_for_rows = wait_for_rows
        self.bodies = bodies or BodyLimits()
        self._on_answer = on_answer
        self._audit_log = audit_log
        self._keys = keys
        self._tokens = tokens or FeedbackTokens()
        self._origins = origins or AllowedOrigins()

    def add_routes(self, app: web.Application, api: Api) -> None:
        """Register endpoints with and without a trailing slash, and HEAD for GET."""
        for endpoint in api.endpoints:
            handler = self._build_handler(api, endpoint)
            for path in dict.fromkeys((endpoint.path, endpoint.path.rstrip("/") + "/")):
                app.router.add_route(endpoint.method, path, handler)
                if endpoint.method == "GET":
                    app.router.add_route("HEAD", path, handler)
                if endpoint.accepts_feedback_token:
                    app.router.add_route("OPTIONS", path, self._origins.preflight)

    def _build_handler(self, api: Api, endpoint: Endpoint):  # type: ignore[no-untyped-def]
        path_template = endpoint.path_template
        audit_log = self._audit_log if endpoint.is_audited else None

        async def handle(request: web.Request) -> web.StreamResponse:
            started = time.monotonic()
            for name, segment in request.match_info.items():
                request.match_info[name] = name_in_path(segment)
            body = request[REQUEST_BODY] = RequestBody(self.bodies)
            try:
                response = await answer(request)
            finally:
                body.release()
            if self._on_answer is not None:
                seconds = time.monotonic() - started
                self._on_answer(request.method, path_template, response.status, seconds)
            if endpoint.accepts_feedback_token:
                response.headers.update(self._origins.headers(request))
            return response

        async def answer(request: web.Request) -> web.StreamResponse:
            try:
                principal = await self._authenticate(request, api, endpoint)
                if endpoint.reads_rows and self._wait_for_rows is not None:
                    request[BEHIND_HEADER] = await self._wait_for_rows()
                if audit_log is None:
                    return await endpoint.handler(request, principal)
                return await self._answer_audited(request, principal, endpoint, audit_log)
            except errors.GatewayError as error:
                return error_response(api, error)
            except (web.HTTPException, ConnectionError):
                raise
            except Exception:
                # Not the requested path, which may contain a feedback token.
                return error_response(api, log_unexpected_error(endpoint.path))

        return handle

    async def _answer_audited(
        self, request: web.Request, principal: Principal, endpoint: Endpoint, audit_log: AuditLog
    ) -> web.StreamResponse:
        target = endpoint.audited_target(request)
        entry = AuditEntry(
            actor=principal.name,
            via=AuditChannel.API,
            tenant=principal.tenant,
            action=f"{endpoint.method} {endpoint.path_template}",
            target=None if target is None else target[:MAX_AUDITED_TARGET],
        )
        async with audit_log.record(entry) as outcome:
            response = await endpoint.handler(request, principal)
            outcome.text = str(response.status)
            return response

    async def _authenticate(self, request: web.Request, api: Api, endpoint: Endpoint) -> Principal:
        if endpoint.role is None:
            return OPEN_ACCESS
        needed = None if endpoint.role == ANY_ROLE else endpoint.role
        if api.authenticate is not None:
            return require_role(await api.authenticate(request), needed)
        headers = with_bearer_password(request.headers) if api.takes_basic_auth else request.headers
        token_principal = principal_of_feedback_token(headers, self._tokens)
        if token_principal is not None and endpoint.accepts_feedback_token:
            request[REQUEST_BODY].max_bytes = MAX_TOKEN_BODY_BYTES
            return token_principal
        caller = token_principal or authenticate(headers, self._keys)
        return require_role(caller, needed)


async def add_behind_header(request: web.Request, response: web.StreamResponse) -> None:
    """Say by how much the store is behind, if it is, before a head is sent."""
    if behind_ms := request.get(BEHIND_HEADER):
        response.headers[BEHIND_HEADER] = str(behind_ms)


def error_response(api: Api, error: errors.GatewayError) -> web.Response:
    response = api.render_error(error)
    response.headers.update(error_headers(error))
    return response


def error_headers(error: errors.GatewayError) -> dict[str, str]:
    if isinstance(error, errors.LimitExceeded):
        return {**_retry_headers(error), **limit_headers(error.limit, "0", error.seconds_left)}
    if isinstance(error, errors.Overloaded | errors.StoreUnavailable | errors.TooManyRequests):
        return {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, errors.QueryTimeout):
        return {"X-Should-Retry": "false"}
    if isinstance(error, errors.Unauthorized):
        return {"WWW-Authenticate": 'Bearer realm="gateway"'}
    if isinstance(error, errors.UpgradeNotSupported):
        # What the caller writes from here on may be of the other protocol.
        return {"Upgrade": "HTTP/1.1", "Connection": "upgrade, close"}
    return {}


def limit_headers(limit: str, remaining: str, seconds_left: int) -> dict[str, str]:
    return dict(zip(LIMIT_HEADERS, (limit, remaining, str(seconds_left)), strict=True))


def _retry_headers(error: errors.LimitExceeded) -> dict[str, str]:
    resets = {"x-gateway-limit-resets-at": error.resets_at}
    if isinstance(error, errors.QuotaExceeded | errors.BudgetExceeded):
        # OpenAI's and Anthropic's SDKs then raise at once instead of retrying.
        return {"x-should-retry": "false", **resets}
    return {"Retry-After": str(min(error.seconds_left, MAX_RETRY_AFTER_SECONDS)), **resets}


def log_unexpected_error(path: str) -> errors.GatewayError:
    """Log the current exception; return an error with the id of its log line."""
    error_id = new_id()
    log.exception("unexpected error", error_id=error_id, path=path)
    hint = f"Its log has more under {error_id}."
    return errors.GatewayError("something went wrong in the gateway.", hint=hint)
