"""The documentation face: `/openapi.json`, and the same document as a page to read at `/docs`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import orjson
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway.api.native.openapi import Json, build_openapi
from gateway.api.native.replies import ErrorReply, draw_error
from gateway.domain.principal import Principal
from gateway.web.face import Endpoint, Face, Handler

PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def documentation_face(faces: Sequence[Face], version: str) -> Face:
    """Return the face that documents `faces` and itself, for everybody to read."""
    return _Documentation(faces, version).face


class _Documentation:
    """The document and its pages, made when first asked for and kept."""

    def __init__(self, faces: Sequence[Face], version: str) -> None:
        self._faces = faces
        self._version = version
        self.face = Face(
            name="documentation",
            prefixes=("/openapi.json", "/docs"),
            endpoints=(
                _page("/openapi.json", self._send_document, "The gateway's API as an OpenAPI 3.1 document"),
                _page("/docs", self._send_page, "The same as a page to read"),
                _page("/docs/style.css", self._send_style, "How that page looks"),
            ),
            draw_error=draw_error,
            error_model=ErrorReply,
        )

    @cached_property
    def _document(self) -> Json:
        return build_openapi((*self._faces, self.face), self._version)

    @cached_property
    def _templates(self) -> Environment:
        templates = Environment(
            loader=PackageLoader("gateway.api.native"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        templates.filters["prose"] = to_html
        return templates

    @cached_property
    def _html(self) -> str:
        return self._templates.get_template("docs.html").render(document=self._document)

    async def _send_document(self, request: web.Request, principal: Principal) -> web.Response:
        return web.Response(body=orjson.dumps(self._document), content_type="application/json")

    async def _send_page(self, request: web.Request, principal: Principal) -> web.Response:
        return web.Response(text=self._html, content_type="text/html", headers=PAGE_HEADERS)

    async def _send_style(self, request: web.Request, principal: Principal) -> web.Response:
        style = self._templates.get_template("docs.css").render()
        return web.Response(text=style, content_type="text/css", headers=PAGE_HEADERS)


def _page(path: str, handler: Handler, summary: str) -> Endpoint:
    return Endpoint(method="GET", path=path, handler=handler, role=None, summary=summary)


def to_html(text: str) -> Markup:
    """Turn prose with blank lines between paragraphs and `code` in backticks into HTML, all else escaped."""
    with_code = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text.strip())))
    paragraphs = [paragraph for paragraph in re.split(r"\n\s*\n", with_code) if paragraph]
    return Markup("".join(f"<p>{paragraph}</p>" for paragraph in paragraphs))
