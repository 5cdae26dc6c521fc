"""Api and Endpoint: paths, roles, query parameters and error rendering of one API."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Literal, TypeVar, get_type_hints

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict

from gateway.errors import GatewayError
from gateway.models.principal import Principal, Role
from gateway.web.query_params import QueryParams

# Every valid key may call the endpoint.
ANY_ROLE: Literal["any"] = "any"

_ENDPOINTS = "endpoints"
_PATH_PARAMETER = re.compile(r"\{(\w+)(?::[^{}]*)?\}")

Handler = Callable[[web.Request, Principal], Awaitable[web.StreamResponse]]
ErrorRenderer = Callable[[GatewayError], web.Response]
Authenticator = Callable[[web.Request], Awaitable[Principal]]
Returning = Callable[..., Awaitable[web.StreamResponse | BaseModel]]
Method = TypeVar("Method", bound=Returning)


class Schema(BaseModel):
    """A body or a reply, or a part of one."""

    model_config = ConfigDict(frozen=True)


async def _unbound(request: web.Request, principal: Principal) -> web.StreamResponse:
    raise RuntimeError("the endpoint has no handler")


def _request_path(request: web.Request) -> str | None:
    return request.path


@dataclass(frozen=True, slots=True)
class Tag:
    """Endpoints that belong together: a tag of `/openapi.json` and a page of the documentation."""

    name: str
    description: str = ""

    @property
    def slug(self) -> str:
        return "-".join(re.findall("[a-z0-9]+", self.name.lower()))


# Values of path parameters in examples.
EXAMPLE_IDS: Mapping[str, str] = {
    "trace_id": "trace-8f2a",
    "request_id": "0d9f6a52-5f0e-4f7b-9c39-3f4b8a1c2d7e",
    "log_id": "0d9f6a52-5f0e-4f7b-9c39-3f4b8a1c2d7e",
    "feedback_id": "019b6f3e-7c1d-7a52-8e44-52b1c90d3f6a",
    "export_id": "019b6f40-11aa-7d03-b7f2-8c1e5d2a9b40",
    "webhook_id": "ep_019b6f41-2c3d-7e5f-a1b2-7d9c0e4f6a81",
    "delivery_id": "msg_019b6f42-5a6b-7c8d-9e0f-1a2b3c4d5e6f",
    "rule_id": "rule_019b6f43-8d9e-7f01-b2c3-4d5e6f708192",
    "session": "chat-17",
    "alert_id": "support-errors",
    "user": "ann",
    "metadata_key": "team",
    "token": "TOKEN",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A request as the documentation shows it, which tests send.

    Args:
        path: values of path parameters other than those of `EXAMPLE_IDS`.
        body: JSON.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    body: object = None


NO_EXAMPLE = Example()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One method on one path; decorates the method of an object that handles it.

    Args:
        path: pattern of aiohttp, without trailing slash.
        role: None: open to all.
        description: of a decorated method, its docstring.
        query: of a decorated method, its third argument; None: the query string is not read.
        body: a model, or a union of models.
        reply_types: text media types of a 200 besides JSON.
        failures: statuses besides 401 and 403, and with a body 408, 413 and 503.
        audited_target: target of an admin action in the audit log.
        waits_for_rows: for requests that ended before and are not stored yet; None: all do but those that
            are open to all or give feedback.
        needs_feedback_token: keys are of no use, as its handler says.
        tag: None: that of its API.
    """

    method: str
    path: str
    role: Role | Literal["any"] | None
    summary: str
    _: KW_ONLY
    description: str = ""
    query: type[QueryParams] | None = None
    body: object | None = None
    reply: type[BaseModel] | None = None
    reply_types: tuple[str, ...] = ()
    failures: tuple[int, ...] = ()
    audited_target: Callable[[web.Request], str | None] = _request_path
    accepts_feedback_token: bool = False
    needs_feedback_token: bool = False
    waits_for_rows: bool | None = None
    tag: Tag | None = None
    example: Example = NO_EXAMPLE
    handler: Handler = _unbound

    def __call__(self, handler: Method) -> Method:
        hints = get_type_hints(handler)
        endpoint = replace(
            self,
            description=self.description or " ".join((handler.__doc__ or "").split()),
            query=next((hint for hint in hints.values() if issubclass(hint, QueryParams)), None),
            reply=hints["return"] if issubclass(hints["return"], BaseModel) else self.reply,
        )
        handler.__dict__.setdefault(_ENDPOINTS, []).insert(0, endpoint)
        return handler

    @property
    def path_template(self) -> str:
        return _PATH_PARAMETER.sub(r"{\1}", self.path)

    @property
    def reads_rows(self) -> bool:
        if self.waits_for_rows is not None:
            return self.waits_for_rows
        gives_feedback = self.accepts_feedback_token or self.role in (Role.FEEDBACK, ANY_ROLE)
        return self.role is not None and (self.method == "GET" or not gives_feedback)

    @property
    def is_audited(self) -> bool:
        return self.role is Role.ADMIN and self.method != "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """An API: its endpoints, the paths that are never forwarded, and the shape of its errors.

    Args:
        authenticate: returns the caller where it is not found by the key in a header.
        takes_basic_auth: a gateway key or feedback token may be the password of Basic credentials.
        is_documented: whether `/openapi.json` describes it; pages for people are not.
        tag: of its endpoints; None: named as the API.
    """

    name: str
    prefixes: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    render_error: ErrorRenderer
    error_model: type[BaseModel] | None = None
    authenticate: Authenticator | None = None
    takes_basic_auth: bool = False
    is_documented: bool = True
    tag: Tag | None = None

    def tag_of(self, endpoint: Endpoint) -> Tag:
        return endpoint.tag or self.tag or Tag(self.name)


# Prompts and answers must stay in no cache.
NO_STORE: Mapping[str, str] = {"Cache-Control": "no-store"}


def json_response(
    body: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    content = orjson.dumps(body.model_dump())
    return web.Response(status=status, body=content, content_type="application/json", headers=headers)


def base_url(request: web.Request) -> str:
    """Return the URL of the gateway as a caller reaches it; a proxy in front may speak TLS for it."""
    is_behind_tls = request.headers.get("X-Forwarded-Proto", "").lower() == "https"
    return f"{'https' if is_behind_tls else request.scheme}://{request.host}"


def download_response(body: bytes, file_name: str) -> web.Response:
    """Return bytes of strangers as a file, which no browser renders as what they claim to be."""
    headers = {
        **NO_STORE,
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": f'attachment; filename="{file_name}"',
    }
    return web.Response(body=body, content_type="application/octet-stream", headers=headers)


def endpoints_of(
    handlers: object, prefix: str = "", headers: Mapping[str, str] | None = None, tag: Tag | None = None
) -> tuple[Endpoint, ...]:
    """Return the endpoints that decorate an object's methods, in the order they are written.

    A method gets the parsed query parameters, if the endpoint has any, and may return a model.

    Args:
        headers: of responses made from a model.
    """
    return tuple(
        replace(
            each,
            path=prefix + each.path,
            tag=each.tag or tag,
            handler=_bind(getattr(handlers, name), each.query, headers),
        )
        for name, method in vars(type(handlers)).items()
        for each in getattr(method, "__dict__", {}).get(_ENDPOINTS, ())
    )


def _bind(method: Returning, query: type[QueryParams] | None, headers: Mapping[str, str] | None) -> Handler:
    async def handle(request: web.Request, principal: Principal) -> web.StreamResponse:
        params = () if query is None else (query.parse(request.query.items()),)
        answer = await method(request, principal, *params)
        return json_response(answer, headers=headers) if isinstance(answer, BaseModel) else answer

    return handle
