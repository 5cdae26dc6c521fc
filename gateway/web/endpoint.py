"""Api and Endpoint: paths, roles, query parameters and error rendering of one API."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from gateway.errors import BadInput, GatewayError
from gateway.models.principal import Principal, Role

ANY_ROLE: Literal["any"] = "any"
"""For endpoints that take every valid key, whatever its role."""

_PATH_PARAMETER = re.compile(r"\{(\w+)(?::[^{}]*)?\}")

Handler = Callable[[web.Request, Principal], Awaitable[web.StreamResponse]]
ErrorRenderer = Callable[[GatewayError], web.Response]


def _request_path(request: web.Request) -> str | None:
    return request.path


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter, as `/openapi.json` shows it."""

    name: str
    description: str
    schema: dict[str, object] = field(default_factory=lambda: {"type": "string"})
    is_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One method on one path.

    Args:
        path: aiohttp's pattern, without trailing slash (one is taken as well).
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
    handler: Handler
    role: Role | Literal["any"] | None
    summary: str
    description: str = ""
    parameters: tuple[Parameter, ...] = ()
    body: object | None = None
    reply: type[BaseModel] | None = None
    reply_types: tuple[str, ...] = ()
    failures: tuple[int, ...] = ()
    audited_target: Callable[[web.Request], str | None] = _request_path
    accepts_feedback_token: bool = False

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


def refuse_unknown_params(names: Iterable[str], known: Iterable[str]) -> None:
    """Raise BadInput for a query parameter that is not among `known`."""
    allowed = tuple(known)
    for name in names:
        if name not in allowed:
            hint = f"Allowed: {', '.join(allowed)}." if allowed else "None is taken here."
            raise BadInput("is not a query parameter here.", field=name, hint=hint)


def unique_params(query: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Return a query string's pairs by name. Raises BadInput for a name that comes twice or has no value."""
    given: dict[str, str] = {}
    for name, text in query:
        if name in given:
            raise BadInput("is given twice; give it once.", field=name)
        if not text:
            raise BadInput("has no value; leave it out or give it one.", field=name)
        given[name] = text
    return given
