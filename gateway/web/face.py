"""Face: one dialect's paths, and how it draws an error. Everything else about a dialect is in its handlers."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from gateway.domain.principal import Principal, Role
from gateway.errors import GatewayError

ANY_ROLE: Literal["any"] = "any"
"""For endpoints that take every valid key, whatever its role."""

_PARAMETER_IN_PATH = re.compile(r"\{(\w+)(?::[^{}]*)?\}")

Handler = Callable[[web.Request, Principal], Awaitable[web.StreamResponse]]
ErrorDrawing = Callable[[GatewayError], web.Response]


def _path(request: web.Request) -> str | None:
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
    audited_target: Callable[[web.Request], str | None] = _path
    takes_tokens: bool = False

    @property
    def plain_path(self) -> str:
        """The path with its parameters as `{name}`, whatever they may hold."""
        return _PARAMETER_IN_PATH.sub(r"{\1}", self.path)

    @property
    def is_audited(self) -> bool:
        """Whether it changes what only an admin may change."""
        return self.role is Role.ADMIN and self.method != "GET"


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """A dialect.

    Args:
        name: what the dialect is called in logs, rows and the documentation.
        prefixes: paths that belong to it with all below them; none of these is ever forwarded upstream.
        error_model: the shape that `draw_error` gives to a body, for `/openapi.json`.
    """

    name: str
    prefixes: tuple[str, ...]
    endpoints: tuple[Endpoint, ...]
    draw_error: ErrorDrawing
    error_model: type[BaseModel] | None = None
