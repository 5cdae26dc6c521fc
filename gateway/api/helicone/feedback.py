"""Verdicts on a request: a thumb, scores, and properties that it is tagged with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

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
from gateway.feedback.payloads import NewFeedback, thumb_feedback, thumb_scale, unit_scale
from gateway.feedback.rules import upsert
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback, Kind, Source, Target
from gateway.models.principal import Principal, Role
from gateway.web.bodies import read_json
from gateway.web.endpoint import Endpoint

DIALECT = "helicone"
"""What the dialect is called in rows."""

# Sets a key of a request's metadata, given its id, key, value and tenant; returns how many rows it has.
SetProperty = Callable[[str, str, str, str | None], Awaitable[int]]


class FeedbackEndpoints:
    """Handlers of what is said about a request."""

    def __init__(self, feedback: FeedbackService, set_property: SetProperty, max_body_bytes: int) -> None:
        self._feedback = feedback
        self._set_property = set_property
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
                description="`_user`, `_organisation`, `_prompt`, `_environment` and `_session` set those columns.",
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
        return done_response(await self._upsert([item], principal))

    async def _score(self, request: web.Request, principal: Principal) -> web.Response:
        given = validate_body_model(ScoreBody, await read_json(request, self._max_body_bytes))
        request_id = read_request_id(request)
        items = [score_feedback(request_id, name, value) for name, value in given.scores.items()]
        return done_response(await self._upsert(items, principal))

    async def _upsert(self, items: list[NewFeedback], principal: Principal) -> list[Feedback]:
        return await self._feedback.give(items, principal, dialect=DIALECT, rule=upsert)

    async def _tag(self, request: web.Request, principal: Principal) -> web.Response:
        given = validate_body_model(PropertyBody, await read_json(request, self._max_body_bytes))
        request_id = read_request_id(request)
        if not await self._set_property(request_id, given.key, given.value, principal.tenant):
            raise NotFound("Request not found")
        return done_response()


def score_feedback(request_id: str, name: str, value: bool | float) -> NewFeedback:
    """Return one score of a request, to be upserted."""
    # A number beyond -1…1 is on a scale that the caller does not name.
    number_scale = unit_scale if -1 <= value <= 1 else None
    return NewFeedback(
        subject_id=request_id,
        subject_field="request_id",
        target=Target.REQUEST,
        kind=Kind.SCORE,
        metric=name,
        value=float(value),
        scale=thumb_scale if isinstance(value, bool) else number_scale,
        source=Source.CODE,
        raw=orjson.dumps({"scores": {name: value}}).decode(),
    )
