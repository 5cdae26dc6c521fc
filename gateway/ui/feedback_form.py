"""`/f/{token}`: the feedback form behind a link with a feedback token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property
from importlib.resources import files
from urllib.parse import parse_qsl

import orjson
from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.errors import BadInput, GatewayError, NotFound, TokenExpired, TooLarge
from gateway.feedback.payloads import NewFeedback, thumb_feedback
from gateway.feedback.rules import upsert
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback
from gateway.models.filters import AllOf, Comparison, Op
from gateway.models.principal import FeedbackScope, Principal
from gateway.query.requests import RequestReader
from gateway.ui.form_texts import ENGLISH, FormTexts, texts_for
from gateway.web.bodies import read_body
from gateway.web.endpoint import Api, Endpoint, Tag, endpoints_of
from gateway.web.middleware import error_headers

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
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
    # The address grants access, so it must reach neither other sites nor a cache.
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
ASSET_HEADERS = {"Cache-Control": "max-age=3600", "X-Content-Type-Options": "nosniff"}


class FormPages:
    """Renders the pages, which hold and allow no foreign content, and no script but the one that shows times.

    Args:
        app_name: whose answers are rated; None shows no name. A reload replaces it.
    """

    def __init__(self, app_name: str | None = None) -> None:
        self.app_name = app_name

    def form(
        self, texts: FormTexts, chosen: FeedbackForm, requested_at_us: int | None, problem: str | None = None
    ) -> web.Response:
        """Return the form.

        Args:
            chosen: the values of its fields.
            requested_at_us: time of the rated request, if it is known.
            problem: the error of the submitted form.
        """
        at = None if requested_at_us is None else datetime.fromtimestamp(requested_at_us // 1_000_000, UTC)
        status = 400 if problem else 200
        values = {"chosen": chosen, "at": at, "problem": problem, "max_comment": MAX_COMMENT}
        return self._page("form.html", texts, status, **values)

    def thanks(self, texts: FormTexts, submitted: FeedbackForm) -> web.Response:
        """Return the page after feedback was stored."""
        return self._page("thanks.html", texts, 200, submitted=submitted)

    def problem(self, error: GatewayError, texts: FormTexts = ENGLISH) -> web.Response:
        """Return an error as a page, in words for a reader who knows no gateway."""
        heading, sentence = texts.errors.get(error.status, texts.other_error)
        at = None
        if isinstance(error, TokenExpired):
            heading, sentence = texts.expired
            at = datetime.fromtimestamp(error.expired_at, UTC)
        return self._page("problem.html", texts, error.status, heading=heading, sentence=sentence, at=at)

    @cached_property
    def _templates(self) -> Environment:
        return Environment(
            loader=PackageLoader("gateway.ui"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def _page(self, name: str, texts: FormTexts, status: int, **values: object) -> web.Response:
        template = self._templates.get_template(name)
        html = template.render(texts=texts, app_name=self.app_name, **values)
        headers = {**PAGE_HEADERS, "Content-Language": texts.language}
        return web.Response(text=html, content_type="text/html", status=status, headers=headers)


def _asset(name: str, content_type: str) -> web.Response:
    text = (files("gateway.ui") / "static" / name).read_text()
    return web.Response(text=text, content_type=content_type, headers=ASSET_HEADERS)


# How the form is called in stored rows.
DIALECT = "page"


WITHOUT_KEYS = Tag(
    "Feedback Form", "What takes feedback from people without a key, who have a feedback token."
)


def feedback_form_api(
    feedback: FeedbackService,
    tokens: FeedbackTokens,
    requests: RequestReader,
    pages: FormPages,
) -> Api:
    """Return the API of `/f`, for holders of a link with a feedback token."""
    handlers = _FeedbackFormEndpoints(feedback, tokens, requests, pages)
    return Api(
        name=DIALECT,
        tag=WITHOUT_KEYS,
        prefixes=("/f",),
        render_error=pages.problem,
        endpoints=endpoints_of(handlers),
    )


class _FeedbackFormEndpoints:
    def __init__(
        self, feedback: FeedbackService, tokens: FeedbackTokens, requests: RequestReader, pages: FormPages
    ) -> None:
        self._pages = pages
        self._feedback = feedback
        self._tokens = tokens
        self._requests = requests

    @Endpoint("GET", "/f/style.css", None, "The style sheet of the feedback form")
    async def _send_style(self, request: web.Request, _: Principal) -> web.Response:
        return _asset("form.css", "text/css")

    @Endpoint(
        "GET", "/f/form.js", None, "The script of the feedback form, which shows times in the reader's zone"
    )
    async def _send_script(self, request: web.Request, _: Principal) -> web.Response:
        return _asset("form.js", "text/javascript")

    @Endpoint(
        "GET", "/f/{token}", None, "Show the feedback form of a feedback token", failures=(401, 404, 503)
    )
    async def _show_form(self, request: web.Request, _: Principal) -> web.Response:
        """A page with a form, in English or German by `Accept-Language`. Opening it stores no feedback, not
        even with `?v=up` or `?v=down`, which preselect a thumb."""
        return await self._answer_in_language(request, self._form)

    async def _form(self, request: web.Request, texts: FormTexts) -> web.Response:
        principal, scope = self._read_token(request)
        earlier = await self._feedback.current(scope.request_id, principal)
        thumb = Thumb.named(request.query.get("v")) or _thumb_of(earlier)
        chosen = FeedbackForm(thumb, earlier.comment if earlier else None)
        return self._pages.form(texts, chosen, await self._requested_at_us(scope, principal.tenant))

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
        return await self._answer_in_language(request, self._submit)

    async def _submit(self, request: web.Request, texts: FormTexts) -> web.Response:
        principal, scope = self._read_token(request)
        submitted = read_form(request.content_type, await read_body(request, MAX_FORM_BYTES))
        if submitted.thumb is None:
            requested_at_us = await self._requested_at_us(scope, principal.tenant)
            return self._pages.form(texts, submitted, requested_at_us, problem=texts.choose_one)
        earlier = await self._feedback.current(scope.request_id, principal)
        if submitted.comment is None and earlier is not None:
            submitted = replace(submitted, comment=earlier.comment)
        # The form has no field for a label, which the widget may have given.
        item = replace(_to_feedback(submitted, scope), label=earlier.label if earlier else None)
        await self._feedback.give([item], principal, dialect=DIALECT, rule=upsert)
        return self._pages.thanks(texts, submitted)

    async def _answer_in_language(
        self, request: web.Request, answer: Callable[[web.Request, FormTexts], Awaitable[web.Response]]
    ) -> web.Response:
        texts = texts_for(request.headers.get("Accept-Language", ""))
        try:
            return await answer(request, texts)
        except GatewayError as error:
            response = self._pages.problem(error, texts)
            response.headers.update(error_headers(error))
            return response

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


def _to_feedback(form: FeedbackForm, scope: FeedbackScope) -> NewFeedback:
    comment = form.comment or None
    raw = orjson.dumps({"vote": form.thumb, "comment": comment}).decode()
    return thumb_feedback(scope.request_id, is_up=form.thumb is Thumb.UP, comment=comment, raw=raw)


def _thumb_of(earlier: Feedback | None) -> Thumb | None:
    # Not by the value, which is positive for one star.
    if earlier is None or not earlier.score:
        return None
    return Thumb.UP if earlier.score > 0 else Thumb.DOWN
