"""CORS: which pages of other origins may call the paths that take feedback tokens.

Source: the Fetch standard, section 3.3, https://fetch.spec.whatwg.org/#http-cors-protocol
"""

from __future__ import annotations

from collections.abc import Collection

from aiohttp import web

from gateway.domain.credentials import CREDENTIAL_HEADERS
from gateway.web.auth import TOKEN_HEADER
from gateway.web.feedback import JOINED_HEADER
from gateway.web.validation import IDEMPOTENCY_KEY

ANY_ORIGIN = "*"

MAX_AGE_SECONDS = 7200
"""How long a browser may remember what it was told; Chromium does not do so for longer."""

_ALLOW_ORIGIN = "Access-Control-Allow-Origin"
_ON_PREFLIGHT = {
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": ", ".join(
        (TOKEN_HEADER, *CREDENTIAL_HEADERS, "Content-Type", IDEMPOTENCY_KEY)
    ),
    "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
}


class AllowedOrigins:
    """Tells browsers what pages of other origins may do: nothing, unless their origin is here.

    Args:
        origins: as browsers write them, such as https://app.example.com, or `*` for all; may be replaced.
    """

    def __init__(self, origins: Collection[str] = ()) -> None:
        self.origins = origins

    def headers(self, request: web.Request) -> dict[str, str]:
        """Return the fields to add to an answer."""
        if not self.origins:
            return {}
        origin = ANY_ORIGIN if ANY_ORIGIN in self.origins else request.headers.get("Origin")
        if origin is None or origin not in self.origins:
            return {"Vary": "Origin"}
        return {
            _ALLOW_ORIGIN: origin,
            "Access-Control-Expose-Headers": f"Retry-After, {JOINED_HEADER}",
            "Vary": "Origin",
        }

    async def preflight(self, request: web.Request) -> web.Response:
        """Answer a browser that asks whether a page may send what it wants to send."""
        headers = self.headers(request)
        terms = _ON_PREFLIGHT if _ALLOW_ORIGIN in headers else {}
        return web.Response(status=204, headers={**headers, **terms})
