"""`/langsmith/feedback/tokens`: links by which the bearer gives feedback on one run."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import quote, urlencode

import orjson
from aiohttp import web
from pydantic import Field

from gateway.api.langsmith.feedback import DIALECT, FeedbackBody, Json, MessageReply, Score
from gateway.auth.feedback_tokens import FeedbackTokens
from gateway.errors import BadInput, MethodNotAllowed, NotFound
from gateway.feedback.payloads import RATING_METRIC
from gateway.feedback.service import FeedbackService
from gateway.models.clock import parse_iso_us, to_datetime
from gateway.models.ids import new_id
from gateway.models.principal import FeedbackScope, Principal, Role
from gateway.web import feedback as fields
from gateway.web.bodies import REQUEST_BODY, read_json, validate_body
from gateway.web.endpoint import EXAMPLE_IDS, Endpoint, Example, Schema, base_url, json_response
from gateway.web.middleware import MAX_TOKEN_BODY_BYTES
from gateway.web.query_params import QueryParams

TOKENS_PATH = "/langsmith/feedback/tokens"

MAX_TOKENS = 100


class ExpiresIn(Schema):
    days: Annotated[int, Field(ge=0, le=3650)] = 0
    hours: Annotated[int, Field(ge=0, le=100_000)] = 0
    minutes: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class TokenBody(Schema):
    """A link for one run and one name."""

    run_id: fields.AnyId = Field(description="Id of a logged request, response or trace.")
    feedback_key: fields.AnyId = Field(description="What is rated.")
    expires_in: ExpiresIn | None = Field(
        None, description="How long the link is valid; at most `feedback.tokens.ttl_seconds`."
    )
    expires_at: str | None = Field(None, description="Until when it is valid, in place of `expires_in`.")

    def expires_by(self) -> int | None:
        """Return the time in seconds since the epoch. Raises BadInput."""
        if self.expires_in is not None:
            return int((datetime.now(UTC) + timedelta(**self.expires_in.model_dump())).timestamp())
        if self.expires_at is None:
            return None
        at_us = parse_iso_us(self.expires_at)
        if at_us is None:
            raise BadInput("must be a time such as 2026-01-31T09:30:00Z.", field="expires_at")
        return at_us // 1_000_000


class TokenReply(Schema):
    id: str
    url: str = Field(description="Takes a score, a value, a comment and a correction.")
    expires_at: str


class TokenFeedback(Schema):
    score: Score = None
    value: Json = None
    comment: fields.Text = None
    correction: Json = None
    metadata: fields.Metadata = None


class LinkParams(QueryParams):
    key: str = Field(RATING_METRIC, description="What is rated.")
    score: str | None = Field(None, description="A number, `true` or `false`; in the body of a POST.")
    value: str | None = Field(None, description="A label.")
    comment: str | None = None
    correction: str | None = Field(None, description="The answer as it should have been.")


class TokenEndpoints:
    def __init__(self, service: FeedbackService, tokens: FeedbackTokens, max_body_bytes: int) -> None:
        self._service = service
        self._tokens = tokens
        self._max_body_bytes = max_body_bytes

    @Endpoint(
        "POST",
        TOKENS_PATH,
        Role.FEEDBACK,
        "Make links for feedback on runs",
        body=TokenBody | list[TokenBody],
        reply=TokenReply,
        failures=(400, 404, 409),
        example=Example(
            body={
                "run_id": EXAMPLE_IDS["request_id"],
                "feedback_key": "helpful",
                "expires_in": {"days": 0, "hours": 3, "minutes": 0},
            }
        ),
    )
    async def _create(self, request: web.Request, principal: Principal) -> web.Response:
        """A link holds a feedback token. Of an array, an array of them."""
        body = await read_json(request, self._max_body_bytes, MAX_TOKENS)
        wanted = [validate_body(TokenBody, entry, at) for at, entry in fields.list_entries(body)]
        made = [await self._issue(each, base_url(request), principal) for each in wanted]
        if not isinstance(body, list):
            return json_response(made[0])
        listed = orjson.dumps([each.model_dump() for each in made])
        return web.Response(body=listed, content_type="application/json")

    async def _issue(self, wanted: TokenBody, base: str, principal: Principal) -> TokenReply:
        if self._tokens.keys is None:
            raise NotFound("feedback tokens are off.", hint="Set feedback.tokens.keys in the configuration.")
        subject = await self._service.find_subject(wanted.run_id, principal)
        if subject is None or subject.trace_id is None:
            raise NotFound("nothing that a link can be for is logged under this id.", field="run_id")
        # A link for a trace names it in both places.
        scope = FeedbackScope(subject.trace_id, subject.request_id or subject.trace_id)
        asked, latest = wanted.expires_by(), self._tokens.keys.expires_at()
        expires_at = latest if asked is None else min(asked, latest)
        token = self._tokens.issue(scope, subject.tenant, principal.name, expires_at).decode()
        return TokenReply(
            id=new_id(),
            url=f"{base}{TOKENS_PATH}/{quote(token)}?{urlencode({'key': wanted.feedback_key})}",
            expires_at=to_datetime(expires_at * 1_000_000).isoformat(),
        )

    @Endpoint(
        "GET",
        TOKENS_PATH + "/{token:[^/]+}",
        None,
        "Give feedback by a link",
        failures=(400, 401, 403, 405, 429),
        accepts_feedback_token=True,
        example=Example(query={"key": "helpful", "score": "1", "comment": "Just right."}),
    )
    async def _give_by_query(self, request: web.Request, _: Principal, params: LinkParams) -> MessageReply:
        """As pages and mails link it. HEAD stores nothing."""
        if request.method != "GET":
            raise MethodNotAllowed("HEAD stores no feedback.", hint="Allowed: GET, POST.")
        given = params.model_dump(exclude={"key"}, exclude_none=True)
        if params.score is not None:
            given["score"] = _read_score(params.score)
        return await self._give(request, params.key, given)

    @Endpoint(
        "POST",
        TOKENS_PATH + "/{token:[^/]+}",
        None,
        "Give feedback by a link, as JSON",
        body=TokenFeedback,
        failures=(400, 401, 403, 429),
        accepts_feedback_token=True,
        example=Example(query={"key": "helpful"}, body={"score": 0, "comment": "Too long."}),
    )
    async def _give_by_body(self, request: web.Request, _: Principal, params: LinkParams) -> MessageReply:
        """The name is the `key` in the link."""
        request[REQUEST_BODY].max_bytes = MAX_TOKEN_BODY_BYTES
        body = await read_json(request, self._max_body_bytes)
        validate_body(TokenFeedback, body)
        return await self._give(request, params.key, body if isinstance(body, dict) else {})

    async def _give(self, request: web.Request, key: str, given: dict[str, object]) -> MessageReply:
        bearer = self._tokens.read(request.match_info["token"])
        assert bearer.scope is not None, "a feedback token always has a scope"
        if all(given.get(name) is None for name in ("score", "value", "comment", "correction")):
            raise BadInput("has no content.", field="body", hint="Send score, value, comment or correction.")
        raw = {
            **_content(given), "run_id": bearer.scope.request_id, "trace_id": bearer.scope.trace_id, "key": key
        }  # fmt: skip
        item = validate_body(FeedbackBody, {**raw, "extra": given.get("metadata")}).named(raw)
        await self._service.give_named([item], bearer, dialect=DIALECT)
        return MessageReply(message="Feedback submitted")


def _content(given: dict[str, object]) -> dict[str, object]:
    names: Iterable[str] = TokenFeedback.model_fields
    return {name: given[name] for name in names if given.get(name) is not None}


def _read_score(text: str) -> bool | float:
    if text in ("true", "false"):
        return text == "true"
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadInput("must be a number, true or false.", field="score")
    return number
