"""Decide which paths the gateway owns, and dispatch them to the API; all others go to the proxy."""

import posixpath
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Handler as AiohttpHandler

from gateway.errors import MethodNotAllowed, NotFound
from gateway.models.addresses import OWN_PREFIXES
from gateway.proxy.in_flight import InFlight
from gateway.proxy.request import IncomingRequest
from gateway.web.endpoint import Api
from gateway.web.middleware import AuthMiddleware, add_behind_header, error_response

_OWN_PATH = re.compile(
    "(?:" + "|".join(map(re.escape, OWN_PREFIXES)) + r")(?![^/?])|/(?![^?])", re.IGNORECASE
)
_NEEDS_NORMALIZING = re.compile(r"//|/\.|[%;#\\]")
_PATH_PARAMETERS = re.compile(r";[^/]*")
_TRAILING_BLANKS = re.compile(r"[\x01-\x20]+(?=/|$)")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def is_own_path(raw_path: str) -> bool:
    """Tell whether a path, as it came in the request line, is the gateway's own."""
    # A server behind may take `//v1/feedback`, `/v1/x/../feedback`, `/V1/Feedback`, `/v1/%66eedback`,
    # `/v1/feedback;a=1` and `/v1/feedback%00` for `/v1/feedback`, so all of them are.
    if _OWN_PATH.match(raw_path) or not raw_path.startswith("/"):
        return True
    path = raw_path.partition("?")[0]
    if not _NEEDS_NORMALIZING.search(path):
        return False
    return _OWN_PATH.match(_normalize(path)) is not None


def _normalize(path: str) -> str:
    # Percent signs twice, as a chain of servers may decode twice.
    decoded = unquote(unquote(path.partition("#")[0]))
    # To a server written in C a path ends at NUL; to some a name does not end in blanks.
    names = _PATH_PARAMETERS.sub("", decoded.partition("\0")[0].replace("\\", "/"))
    return posixpath.normpath("/" + _TRAILING_BLANKS.sub("", names).lstrip("/"))


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Dispatches each request to the APIs or the proxy, before aiohttp's router; counts its own."""

    apis: Handler
    proxy: Callable[[IncomingRequest], Awaitable[web.StreamResponse]]
    own_requests: InFlight

    def __call__(self, request: web.BaseRequest) -> Awaitable[web.StreamResponse]:
        return (
            self._answer(request)
            if is_own_path(request.raw_path)
            else self.proxy(IncomingRequest.of(request))
        )

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        task = self.own_requests.begin()
        try:
            return await self.apis(request)
        finally:
            self.own_requests.end(task)


def build_application(apis: Sequence[Api], middleware: AuthMiddleware) -> web.Application:
    @web.middleware
    async def render_routing_errors(request: web.Request, handler: AiohttpHandler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as refused:
            allowed = ", ".join(sorted(refused.allowed_methods))
            message = f"{request.method} is not possible on {request.path}."
            error = MethodNotAllowed(message, hint=f"Allowed: {allowed}.")
            response = error_response(api_of(request.path, apis), error)
            response.headers["Allow"] = allowed
            return response
        except web.HTTPNotFound:
            missing = NotFound(f"nothing is served at {request.path[:200]!r}.")
            return error_response(api_of(request.path, apis), missing)

    app = web.Application(middlewares=[render_routing_errors])
    app.on_response_prepare.append(add_behind_header)
    for api in apis:
        middleware.add_routes(app, api)
    return app


def api_of(path: str, apis: Sequence[Api]) -> Api:
    for api in apis:
        if any(path == prefix or path.startswith(prefix + "/") for prefix in api.prefixes):
            return api
    return apis[0]
