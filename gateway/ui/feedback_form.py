"""`/f/{token}`: the feedback form behind a link with a feedback token."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from urllib.parse import parse_qsl

import orjson
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.errors import BadInput, GatewayError, NotFound, TooLarge
from gateway.feedback.payloads import NewFeedback, thumb_feedback
from gateway.feedback.rules import upsert
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback
from gateway.models.filters import AllOf, Comparison, Op
from gateway.models.principal import FeedbackScope, Principal
from gateway.query.requests import RequestReader
from gateway.web.bodies import read_body
from gateway.web.endpoint import Api, Endpoint, Tag, endpoints_of

FORM_CONTENT_TYPE = "application/x-www-form-urlencoded"

# In characters.
MAX_COMMENT = 4000
# A character may be four bytes, each of which takes three in a form.
MAX_FORM_BYTES = 64 * 1024
MAX_FIELDS = 10


class Thumb(StrEnum):
    """The choices of the form."""

    UP = "up"
    DOWN = "down"

    @classmethod
    def named(cls, name: str | None) -> Thumb | None:
        """Return the thumb of this name, or None."""
        return cls(name) if name in list(cls) else None


@dataclass(frozen=True, slots=True)
class FeedbackForm:
    """A submitted form.

    Args:
        thumb: None where neither was chosen.
        comment: None where the field was not sent; empty where nothing was written.
    """

    thumb: Thumb | None
    comment: str | None = None


def read_form(content_type: str, body: bytes) -> FeedbackForm:
    """Parse a submitted form.

    Raises:
        BadInput: it is not a form, or not in UTF-8.
        TooLarge: the comment is too long.
    """
    if content_type != FORM_CONTENT_TYPE:
        raise BadInput(f"must be a form, {FORM_CONTENT_TYPE}; got {content_type}.", field="body")
    try:
        text = body.decode()
        fields = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS, errors="strict"))
    except ValueError:
        raise BadInput(f"must be a form in UTF-8 of at most {MAX_FIELDS} fields.", field="body") from None
    comment = fields.get("comment")
    if comment is not None:
        comment = comment.replace("\r\n", "\n").strip()
    if comment is not None and len(comment) > MAX_COMMENT:
        raise TooLarge(f"may have {MAX_COMMENT:,} characters; got {len(comment):,}.", field="comment")
    return FeedbackForm(Thumb.named(fields.get("vote")), comment)


PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    # The address grants access, so it must reach neither other sites nor a cache.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

ERROR_HEADINGS = {
    400: "That did not work",
    401: "This link does not work",
    404: "There is nothing here",
    408: "That took too long",
    413: "That was too long",
    429: "That was a little fast",
    503: "Your vote could not be kept",
}
OTHER_ERROR_HEADING = "Something went wrong"


class FormPages:
    """Renders the pages, which hold and allow neither scripts nor foreign content."""

    def form(
        self, chosen: FeedbackForm, requested_at_us: int | None, problem: str | None = None
    ) -> web.Response:
        """Return the form.

        Args:
            chosen: the values of its fields.
            requested_at_us: time of the rated request, if it is known.
            problem: the error of the submitted form.
        """
        at = None if requested_at_us is None else datetime.fromtimestamp(requested_at_us // 1_000_000, UTC)
        html = self._render("form.html", chosen=chosen, at=at, problem=problem, max_comment=MAX_COMMENT)
        return _html_response(html, status=400 if problem else 200)

    def thanks(self, thumb: Thumb) -> web.Response:
        """Return the page after feedback was stored."""
        return _html_response(self._render("thanks.html", thumb=thumb))

    def problem(self, error: GatewayError) -> web.Response:
        """Return an error as a page."""
        # A message may quote a path that is not UTF-8.
        message = str(error).encode(errors="replace").decode()
        sentence = message[:1].upper() + message[1:]
        heading = ERROR_HEADINGS.get(error.status, OTHER_ERROR_HEADING)
        html = self._render("problem.html", heading=heading, message=sentence)
        return _html_response(html, status=error.status)

    def style(self) -> web.Response:
        """Return the style sheet."""
        headers = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}
        return web.Response(text=self._render("style.css"), content_type="text/css", headers=headers)

    @cached_property
    def _templates(self) -> Environment:
        return Environment(
            loader=PackageLoader("gateway.ui"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def _render(self, name: str, **values: object) -> str:
        return self._templates.get_template(name).render(values)


def _html_response(html: str, *, status: int = 200) -> web.Response:
    return web.Response(text=html, content_type="text/html", status=status, headers=PAGE_HEADERS)


# How the form is called in stored rows.
DIALECT = "page"


def feedback_form_api(feedback: FeedbackService, tokens: FeedbackTokens, requests: RequestReader) -> Api:
    """Return the API of `/f`, for holders of a link with a feedback token."""
    handlers = _FeedbackFormEndpoints(feedback, tokens, requests)
    return Api(
        name=DIALECT,
        tag=Tag("Feedback Form", "The page behind a link with a feedback token, for people without a key."),
        prefixes=("/f",),
        render_error=handlers.pages.problem,
        endpoints=endpoints_of(handlers),
    )


class _FeedbackFormEndpoints:
    def __init__(self, feedback: FeedbackService, tokens: FeedbackTokens, requests: RequestReader) -> None:
        self.pages = FormPages()
        self._feedback = feedback
        self._tokens = tokens
        self._requests = requests

    @Endpoint("GET", "/f/style.css", None, "The style sheet of the feedback form")
    async def _send_style(self, request: web.Request, _: Principal) -> web.Response:
        return self.pages.style()

    @Endpoint(
        "GET", "/f/{token}", None, "Show the feedback form of a feedback token", failures=(401, 404, 503)
    )
    async def _show_form(self, request: web.Request, _: Principal) -> web.Response:
        """A page with a form. Opening it stores no feedback, not even with `?v=up` or `?v=down`, which
        preselect a thumb."""
        principal, scope = self._read_token(request)
        earlier = await self._feedback.current(scope.request_id, principal)
        thumb = Thumb.named(request.query.get("v")) or _thumb_of(earlier)
        chosen = FeedbackForm(thumb, earlier.comment if earlier else None)
        return self.pages.form(chosen, await self._requested_at_us(scope, principal.tenant))

    @Endpoint(
        "POST",
        "/f/{token}",
        None,
        "Give feedback with a feedback token",
        failures=(400, 401, 404, 408, 413, 429, 503),
    )
    async def _submit_form(self, request: web.Request, _: Principal) -> web.Response:
        """Takes the form of that page, `application/x-www-form-urlencoded`: `vote` is `up` or `down`,
        `comment` may be anything; without that field an earlier comment stays. The last feedback counts."""
        principal, scope = self._read_token(request)
        submitted = read_form(request.content_type, await read_body(request, MAX_FORM_BYTES))
        if submitted.thumb is None:
            requested_at_us = await self._requested_at_us(scope, principal.tenant)
            return self.pages.form(submitted, requested_at_us, problem="Please choose one of the two.")
        comment = submitted.comment or None
        if submitted.comment is None:
            earlier = await self._feedback.current(scope.request_id, principal)
            comment = earlier.comment if earlier else None
        item = _to_feedback(submitted.thumb, comment, scope)
        await self._feedback.give([item], principal, dialect=DIALECT, rule=upsert)
        return self.pages.thanks(submitted.thumb)

    def _read_token(self, request: web.Request) -> tuple[Principal, FeedbackScope]:
        if self._tokens.keys is None:
            raise NotFound("this gateway takes no feedback by link.")
        principal = self._tokens.read(request.match_info["token"])
        assert principal.scope is not None, "a feedback token always has a scope"
        return principal, principal.scope

    async def _requested_at_us(self, scope: FeedbackScope, tenant: str | None) -> int | None:
        # None while the request is not logged yet.
        ids = {"request_id": scope.request_id, "trace_id": scope.trace_id}
        is_it = AllOf(tuple(Comparison(name, Op.EQ, value) for name, value in ids.items()))
        found = await self._requests.find(is_it, 1, None, tenant)
        return found.records[0].started_at_us if found.records else None


def _to_feedback(chosen: Thumb, comment: str | None, scope: FeedbackScope) -> NewFeedback:
    raw = orjson.dumps({"vote": chosen, "comment": comment}).decode()
    return thumb_feedback(scope.request_id, is_up=chosen is Thumb.UP, comment=comment, raw=raw)


def _thumb_of(earlier: Feedback | None) -> Thumb | None:
    if earlier is None or not earlier.value:
        return None
    return Thumb.UP if earlier.value > 0 else Thumb.DOWN
