"""Whose path is it: every path the gateway owns, on one page. All others are the proxy's."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from urllib.parse import unquote

from aiohttp import web
from aiohttp.typedefs import Handler as FaceHandler
from aiohttp.typedefs import Middleware

from gateway.errors import GatewayError, MethodNotAllowed, NotFound
from gateway.web.face import Face
from gateway.web.guard import Guard, draw

RESERVED = (
    "/v1/feedback", "/v1/request", "/v1/logs", "/v1/analytics",
    "/api", "/feedback", "/ui", "/f", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs",
)  # fmt: skip
"""Prefixes that are never forwarded, whether or not a face answers there yet."""

_RESERVED = re.compile("(?:" + "|".join(map(re.escape, RESERVED)) + r")(?![^/?])", re.IGNORECASE)
_UNUSUAL = re.compile(r"//|/\.|[%;#\\]")
_PARAMETERS = re.compile(r";[^/]*")
_BLANK_ENDS = re.compile(r"[\x01-\x20]+(?=/|$)")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def is_owned(raw_path: str) -> bool:
    """Tell whether a path, as it came in the request line, is the gateway's own.

    Judged by what any server behind might take it for: `//v1/feedback`, `/v1/x/../feedback`, `/V1/Feedback`,
    `/v1/%66eedback`, `/v1/feedback;a=1` and `/v1/feedback%00` are as much ours as `/v1/feedback`.
    """
    if _RESERVED.match(raw_path) or not raw_path.startswith("/"):
        return True
    path = raw_path.partition("?")[0]
    if not _UNUSUAL.search(path):
        return False
    return _RESERVED.match(_plain(path)) is not None


def _plain(path: str) -> str:
    """Undo the ways of writing the same path differently. Percent signs twice, as chains of servers may."""
    decoded = unquote(unquote(path.partition("#")[0]))
    # To a server written in C a path ends at NUL; to some a name does not end in blanks.
    names = _PARAMETERS.sub("", decoded.partition("\0")[0].replace("\\", "/"))
    return posixpath.normpath("/" + _BLANK_ENDS.sub("", names).lstrip("/"))


class FrontDoor:
    """First look at each request: ours goes to the faces, all else to the proxy, without any routing table.

    Args:
        counting: counts what is answered by the faces.
    """

    def __init__(
        self, faces: Handler, proxy: Handler, counting: Callable[[], AbstractContextManager[object]]
    ) -> None:
        self._faces = faces
        self._proxy = proxy
        self._counting = counting

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request."""
        if is_owned(request.raw_path):
            with self._counting():
                return await self._faces(request)
        return await self._proxy(request)


def build_faces(faces: Sequence[Face], guard: Guard) -> web.Application:
    """Return the application that answers on the gateway's own paths.

    A path of a face that it does not serve, or not with this method, gets an error in that face's shape.
    """
    app = web.Application(middlewares=[_in_shape(faces)])
    for face in faces:
        guard.add_routes(app, face)
    return app


def _in_shape(faces: Sequence[Face]) -> Middleware:
    @web.middleware
    async def draw_routing_errors(request: web.Request, handler: FaceHandler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPMethodNotAllowed as refused:
            error: GatewayError = MethodNotAllowed(
                f"{request.method} is not possible on {request.path}.",
                hint=f"Allowed: {', '.join(sorted(refused.allowed_methods))}.",
            )
            response = draw(face_of(request.path, faces), error)
            response.headers["Allow"] = ", ".join(sorted(refused.allowed_methods))
            return response
        except web.HTTPNotFound:
            return draw(
                face_of(request.path, faces), NotFound(f"nothing is served at {request.path[:200]!r}.")
            )

    return draw_routing_errors


def face_of(path: str, faces: Sequence[Face]) -> Face:
    """Return the face that a path belongs to; the first of all where it is nobody's."""
    for face in faces:
        if any(path == prefix or path.startswith(prefix + "/") for prefix in face.prefixes):
            return face
    return faces[0]
