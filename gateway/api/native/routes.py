"""Routes of the native API and of the documentation pages."""

import re
from collections.abc import Callable, Sequence
from functools import cached_property

import orjson
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway.api.native.audit import AuditEndpoints
from gateway.api.native.compare import CompareEndpoints
from gateway.api.native.conversation import ConversationEndpoints
from gateway.api.native.feedback import FeedbackEndpoints
from gateway.api.native.groups import GroupEndpoints
from gateway.api.native.http_responses import NO_STORE_HEADERS, ErrorReply, render_error
from gateway.api.native.keys import KeyEndpoints
from gateway.api.native.metrics import AggregateEndpoints
from gateway.api.native.overview import OverviewEndpoints
from gateway.api.native.requests import RequestEndpoints
from gateway.api.native.reviews import ReviewEndpoints
from gateway.api.native.search import SearchEndpoints
from gateway.api.native.tail import TailEndpoints
from gateway.api.native.users import UserEndpoints
from gateway.auth.api_keys import ApiKeys
from gateway.auth.quotas import Quotas
from gateway.feedback.payloads import Scale
from gateway.feedback.service import FeedbackService
from gateway.models.principal import Principal
from gateway.query.readers import Readers
from gateway.query.tail import RequestTail
from gateway.reviews.agreement import AgreementReader
from gateway.reviews.queue import ReviewQueue
from gateway.web.endpoint import Api, Endpoint, endpoints_of
from gateway.web.openapi import Json, build_openapi


def native_api(
    readers: Readers,
    feedback: FeedbackService,
    tail: RequestTail,
    keys: ApiKeys,
    quotas: Quotas,
    scale_of: Callable[[Principal], Scale],
    max_body_bytes: int,
    reviews: ReviewQueue,
    agreement: AgreementReader,
) -> Api:
    """Return the API of `/api/v1`.

    Args:
        scale_of: returns how a caller's values become scores.
    """
    handlers = (
        # Before those of one request or session, whose ids may hold slashes.
        TailEndpoints(tail, keys),
        ConversationEndpoints(readers.conversations, readers.requests, readers.receipts),
        RequestEndpoints(readers.requests, reviews),
        ReviewEndpoints(reviews, agreement, readers.requests, max_body_bytes),
        GroupEndpoints(readers.traces, readers.sessions),
        SearchEndpoints(readers.search),
        UserEndpoints(readers.users, readers.eraser),
        AggregateEndpoints(readers.metrics),
        CompareEndpoints(readers.compare),
        OverviewEndpoints(readers.overview),
        FeedbackEndpoints(
            feedback, readers.feedback, readers.texts, readers.eraser, scale_of, max_body_bytes
        ),
        AuditEndpoints(readers.audit),
        KeyEndpoints(keys, quotas),
    )
    endpoints = (endpoint for each in handlers for endpoint in endpoints_of(each, headers=NO_STORE_HEADERS))
    return Api(
        name="native",
        prefixes=("/api/v1",),
        endpoints=tuple(endpoints),
        render_error=render_error,
        error_model=ErrorReply,
    )


PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def documentation_api(apis: Sequence[Api], version: str) -> Api:
    """Return the API that documents `apis` and itself, open to all."""
    return _DocumentationEndpoints(apis, version).api


class _DocumentationEndpoints:
    def __init__(self, apis: Sequence[Api], version: str) -> None:
        self._apis = apis
        self._version = version
        self.api = Api(
            name="documentation",
            prefixes=("/openapi.json", "/docs"),
            endpoints=endpoints_of(self),
            render_error=render_error,
            error_model=ErrorReply,
        )

    # Built on the first request: it takes long, and most processes are never asked.
    @cached_property
    def _document(self) -> Json:
        return build_openapi((*self._apis, self.api), self._version)

    @cached_property
    def _templates(self) -> Environment:
        templates = Environment(
            loader=PackageLoader("gateway.api.native"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        templates.filters["prose"] = prose_to_html
        return templates

    @cached_property
    def _html(self) -> str:
        return self._templates.get_template("docs.html").render(document=self._document)

    @Endpoint("GET", "/openapi.json", None, "The gateway's API as an OpenAPI 3.1 document")
    async def _send_document(self, request: web.Request, principal: Principal) -> web.Response:
        return web.Response(body=orjson.dumps(self._document), content_type="application/json")

    @Endpoint("GET", "/docs", None, "The same as a page to read")
    async def _send_page(self, request: web.Request, principal: Principal) -> web.Response:
        return web.Response(text=self._html, content_type="text/html", headers=PAGE_HEADERS)

    @Endpoint("GET", "/docs/style.css", None, "The style sheet of that page")
    async def _send_style(self, request: web.Request, principal: Principal) -> web.Response:
        style = self._templates.get_template("docs.css").render()
        return web.Response(text=style, content_type="text/css", headers=PAGE_HEADERS)


def prose_to_html(text: str) -> Markup:
    """Return text with blank lines between paragraphs and `code` in backticks as HTML, all else escaped."""
    with_code = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text.strip())))
    paragraphs = [paragraph for paragraph in re.split(r"\n\s*\n", with_code) if paragraph]
    return Markup("".join(f"<p>{paragraph}</p>" for paragraph in paragraphs))
