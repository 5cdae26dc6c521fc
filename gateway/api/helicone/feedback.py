"""Verdicts on a request: a thumb, scores, and properties that it is tagged with."""

from __future__ import annotations

import orjson
from aiohttp import web

from gateway.api.helicone.schemas import (
    DoneReply,
    FeedbackBody,
    PropertyBody,
    ScoreBody,
    done_response,
    read_author,
    read_request_id,
    validate_body_model,
)
from gateway.errors import NotFound
from gateway.feedback.rules import UpsertFeedback, UpsertRule, thumb_feedback
from gateway.models.feedback import Kind, Source
from gateway.models.principal import Principal, Role
from gateway.models.request import METADATA_KEYS
from gateway.store.base import RequestProperties
from gateway.web.bodies import read_json
from gateway.web.endpoint import Endpoint

DIALECT = "helicone"
"""What the dialect is called in rows."""


class FeedbackEndpoints:
    """Handlers of what is said about a request."""

    def __init__(self, upserts: UpsertRule, tags: RequestProperties, max_body_bytes: int) -> None:
        self._upserts = upserts
        self._tags = tags
        self._max_body_bytes = max_body_bytes

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what can be done there."""
        return (
            Endpoint(
                method="POST",
                # Ids may hold slashes.
                path="/v1/request/{request_id:.+}/feedback",
                handler=self._rate,
                role=Role.FEEDBACK,
                summary="Rate a request",
                description="The last rating by the user in `Helicone-User-Id`, or by nobody in particular, "
                "is the one that counts. A request that is not logged yet is waited for.",
                body=FeedbackBody,
                reply=DoneReply,
                failures=(400, 404, 409, 413, 429, 503),
                accepts_feedback_token=True,
            ),
            Endpoint(
                method="POST",
                path="/v1/request/{request_id:.+}/score",
                handler=self._score,
                role=Role.FEEDBACK,
                summary="Score a request",
                description="All scores are stored or none. The last one of each name counts.",
                body=ScoreBody,
                reply=DoneReply,
                failures=(400, 404, 409, 413, 429, 503),
                accepts_feedback_token=True,
            ),
            Endpoint(
                method="PUT",
                path="/v1/request/{request_id:.+}/property",
                handler=self._tag,
                role=Role.FEEDBACK,
                summary="Set a property of a request",
                description=f"These set columns: {', '.join(f'`{key}`' for key in METADATA_KEYS)}.",
                body=PropertyBody,
                reply=DoneReply,
                failures=(400, 404, 409, 413, 503),
            ),
        )

    async def _rate(self, request: web.Request, principal: Principal) -> web.Response:
        author = read_author(request.headers.get("Helicone-User-Id"))
        body = await read_json(request, self._max_body_bytes)
        rating = validate_body_model(FeedbackBody, body).rating
        raw = orjson.dumps(body).decode()
        item = thumb_feedback(read_request_id(request), is_up=rating, author=author, raw=raw)
        return done_response(await self._upserts.upsert([item], principal, dialect=DIALECT))

    async def _score(self, request: web.Request, principal: Principal) -> web.Response:
        given = validate_body_model(ScoreBody, await read_json(request, self._max_body_bytes))
        upserts = [
            score_feedback(read_request_id(request), name, value) for name, value in given.scores.items()
        ]
        return done_response(await self._upserts.upsert(upserts, principal, dialect=DIALECT))

    async def _tag(self, request: web.Request, principal: Principal) -> web.Response:
        given = validate_body_model(PropertyBody, await read_json(request, self._max_body_bytes))
        request_id = read_request_id(request)
        if not await self._tags.set_property(request_id, given.key, given.value, principal.tenant):
            raise NotFound("Request not found")
        return done_response()


def score_feedback(request_id: str, name: str, value: bool | float) -> UpsertFeedback:
    """Return the vote that one score is."""
    return UpsertFeedback(
        request_id=request_id,
        kind=Kind.SCORE,
        metric=name,
        value=float(value),
        score=_scaled_score(value),
        source=Source.CODE,
        raw=orjson.dumps({"scores": {name: value}}).decode(),
    )


def _scaled_score(value: bool | float) -> float | None:
    """A truth is as good or bad as can be. A number counts if it is on our scale; what others mean is unknown."""
    if isinstance(value, bool):
        return 1.0 if value else -1.0
    return float(value) if -1 <= value <= 1 else None
