"""What happens around every handler of a face: who is it, may they, and what if it fails."""

from __future__ import annotations

import structlog
from aiohttp import web

from gateway.access.keys import KeyRing
from gateway.domain.ids import new_id
from gateway.domain.principal import OPEN
from gateway.errors import GatewayError, StoreUnavailable, Unauthorized
from gateway.web.auth import authenticate, require
from gateway.web.face import Endpoint, Face

log = structlog.get_logger("gateway.web")


class Guard:
    """Puts authentication and error drawing around the endpoints of faces."""

    def __init__(self, keys: KeyRing) -> None:
        self._keys = keys

    def add_routes(self, app: web.Application, face: Face) -> None:
        """Register a face's endpoints, each with and without a trailing slash."""
        for endpoint in face.endpoints:
            handler = self._guarded(face, endpoint)
            for path in dict.fromkeys((endpoint.path, endpoint.path.rstrip("/") + "/")):
                app.router.add_route(endpoint.method, path, handler)

    def _guarded(self, face: Face, endpoint: Endpoint):  # type: ignore[no-untyped-def]
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                principal = OPEN
                if endpoint.role is not None:
                    principal = require(authenticate(request.headers, self._keys), endpoint.role)
                return await endpoint.handler(request, principal)
            except GatewayError as error:
                return draw(face, error)
            except (web.HTTPException, ConnectionError):
                raise
            except Exception:
                return draw(face, unexpected(request.path))

        return handle


def draw(face: Face, error: GatewayError) -> web.Response:
    """Draw an error in the face's shape, with the headers that its kind asks for."""
    response = face.draw_error(error)
    response.headers.update(error_headers(error))
    return response


def error_headers(error: GatewayError) -> dict[str, str]:
    """Return the header fields that an error of this kind comes with, whoever draws it."""
    if isinstance(error, StoreUnavailable):
        return {"Retry-After": str(error.retry_after_seconds)}
    if isinstance(error, Unauthorized):
        return {"WWW-Authenticate": 'Bearer realm="gateway"'}
    return {}


def unexpected(path: str) -> GatewayError:
    """Log the exception that is being handled and return the error to show for it, joined by an id."""
    error_id = new_id()
    log.exception("unexpected error", error_id=error_id, path=path)
    return GatewayError("something went wrong in the gateway.", hint=f"Its log has more under {error_id}.")
