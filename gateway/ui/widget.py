"""`/widget.js`: the custom element by which pages of other origins take feedback."""

from __future__ import annotations

from functools import cached_property
from hashlib import sha256
from importlib.resources import files

from aiohttp import web

from gateway.errors import GatewayError
from gateway.models.principal import Principal
from gateway.ui.feedback_form import WITHOUT_KEYS
from gateway.web.endpoint import Api, Endpoint, endpoints_of

PATH = "/widget.js"

HEADERS = {
    "Cache-Control": "public, max-age=3600",
    "X-Content-Type-Options": "nosniff",
    # It is public: any page may load it, also as a module or with `integrity`. Which pages may send feedback is
    # decided where they send it.
    "Access-Control-Allow-Origin": "*",
    "Cross-Origin-Resource-Policy": "cross-origin",
}


def widget_api() -> Api:
    """Return the API of `/widget.js`, open to all."""
    endpoints = endpoints_of(_WidgetEndpoint())
    return Api(
        name="widget", tag=WITHOUT_KEYS, prefixes=(PATH,), endpoints=endpoints, render_error=_render_error
    )


class _WidgetEndpoint:
    @cached_property
    def _script(self) -> bytes:
        return (files("gateway.ui") / "static" / "widget.js").read_bytes()

    @cached_property
    def _etag(self) -> str:
        return sha256(self._script).hexdigest()[:16]

    @Endpoint("GET", PATH, None, "The element <gateway-feedback> for pages of your own")
    async def _send(self, request: web.Request, _: Principal) -> web.Response:
        known = {each.value for each in request.if_none_match or ()}
        if self._etag in known:
            response = web.Response(status=304, headers=HEADERS)
        else:
            response = web.Response(
                body=self._script, content_type="text/javascript", charset="utf-8", headers=HEADERS
            )
        response.etag = self._etag
        return response


def _render_error(error: GatewayError) -> web.Response:
    return web.Response(text=f"{error}\n", status=error.status)
