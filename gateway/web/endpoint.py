"""Api and Endpoint: paths, roles, query parameters and error rendering of one API."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, replace
from types import MappingProxyType
from typing import Literal, TypeVar, get_type_hints

import orjson
from aiohttp import web
from pydantic import BaseModel

from gateway.errors import GatewayError
from gateway.models.principal import Principal, Role
from gateway.web.query_params import QueryParams

ANY_ROLE: Literal["any"] = "any"
"""For endpoints that take every valid key, whatever its role."""

_ENDPOINTS = "endpoints"
_PATH_PARAMETER = re.compile(r"\{(\w+)(?::[^{}]*)?\}")

Handler = Callable[[web.Request, Principal], Awaitable[web.StreamResponse]]
ErrorRenderer = Callable[[GatewayError], web.Response]
Method = TypeVar("Method", bound=Callable[..., Awaitable[web.StreamResponse | BaseModel]])


async def _unbound(request: web.Request, principal: Principal) -> web.StreamResponse:
    raise NotImplementedError


def _request_path(request: web.Request) -> str | None:
    return request.path


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path. As a decorator it makes a method its handler; see `endpoints_of`.

    Args:
        path: aiohttp's pattern, without trailing slash (one is taken as well).
        query: the query parameters; None where the query string is not read.
        role: what a caller must be allowed; `ANY_ROLE` lets in whoever has a key, None everybody.
        body: what the JSON body must look like: a model, or several of which one must fit.
        reply: what a 200 looks like; None where it is not JSON of a fixed shape.
        reply_types: other media types that a 200 may have, of text.
        failures: statuses that callers should expect besides 401 and 403, and with a body 408, 413 and 503.
        audited_target: what stands in the audit log as that on which a change was made that only an admin may make;
            by default the path that was called. Such changes are all audited.
        takes_tokens: whether a feedback token does as well as a key, also from pages of other origins.
    """

    method: str
    path: str
    _: KW_ONLY
    role: Role | Literal["any"] | None
    summary: str
    description: str = ""
    query: type[QueryParams] | None = None
    body: object | None = None
    reply: type[BaseModel] | None = None
    reply_types: tuple[str, ...] = ()
    failures: tuple[int, ...] = ()
    audited_target: Callable[[web.Request], str | None] = _request_path
    accepts_feedback_token: bool = False
    handler: Handler = _unbound

    def __call__(self, handler: Method) -> Method:
        returned = get_type_hints(handler)["return"]
        endpoint = replace(self, reply=returned) if issubclass(returned, BaseModel) else self
        handler.__dict__.setdefault(_ENDPOINTS, []).insert(0, endpoint)
        return handler

    @property
    def path_template(self) -> str:
        """The path with its parameters as `{name}`, whatever they may hold."""
        return _PATH_PARAMETER.sub(r"{\1}", self.path)

    @property
    def is_audited(self) -> bool:
        """Whether it changes what only an admin may change."""
        return self.role is Role.ADMIN and self.method != "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """A dialect.

    Args:
        name: what the dialect is called in logs, rows and the documentation.
        prefixes: paths that belong to it with all below them; none of these is ever forwarded upstream.
        error_model: the shape that `draw_error` gives to a body, for `/openapi.json`.
    """

    name: str
    prefixes: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    render_error: ErrorRenderer
    error_model: type[BaseModel] | None = None


# Prompts and answers must stay in no cache.
NO_STORE = MappingProxyType({"Cache-Control": "no-store"})


def json_response(
    body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return a model as a JSON response."""
    content = orjson.dumps(body.model_dump())
    return web.Response(status=status, body=content, content_type="application/json", headers=headers)


def endpoints_of(
    handlers: object, prefix: str = "", headers: Mapping[str, str] | None = None
) -> tuple[Endpoint, ...]:
    """Return the endpoints that decorate an object's methods, in the order they are written.

    A method of an endpoint with query parameters gets them as its third argument. A method that returns a model
    needs no `reply`.

    Args:
        prefix: put before the paths.
        headers: response headers of methods that return a model.
    """
    return tuple(
        replace(
            endpoint,
            path=prefix + endpoint.path,
            handler=_bind(getattr(handlers, name), endpoint.query, headers),
        )
        for name, method in vars(type(handlers)).items()
        for endpoint in getattr(method, "__dict__", {}).get(_ENDPOINTS, ())
    )


def _bind(
    method: Callable[..., Awaitable[web.StreamResponse | BaseModel]],
    query: type[QueryParams] | None,
    headers: Mapping[str, str] | None,
) -> Handler:
    async def handle(request: web.Request, principal: Principal) -> web.StreamResponse:
        params = () if query is None else (query.parse(request.query.items()),)
        answer = await method(request, principal, *params)
        return json_response(answer, headers=headers) if isinstance(answer, BaseModel) else answer

    return handle
