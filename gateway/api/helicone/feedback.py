"""`/v1/request/{id}`: ratings, scores and properties of a request."""

from collections.abc import Awaitable, Callable

import orjson
from aiohttp import web

from gateway.api.helicone import schemas
from gateway.errors import NotFound
from gateway.feedback.payloads import NewFeedback, thumb_feedback, thumb_scale, unit_scale
from gateway.feedback.rules import upsert
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback, Kind, Source, Target
from gateway.models.principal import Principal, Role
from gateway.models.request import METADATA_KEYS
from gateway.web.bodies import read_json, validate_body
from gateway.web.endpoint import Endpoint, Example

# How this API is called in stored rows.
DIALECT = "helicone"


# Sets a property of a request, given its id, key, value and tenant; returns the number of its rows.
SetProperty = Callable[[str, str, str, str | None], Awaitable[int]]


class FeedbackEndpoints:
    def __init__(self, feedback: FeedbackService, set_property: SetProperty, max_body_bytes: int) -> None:
        self._feedback = feedback
        self._set_property = set_property
        self._max_body_bytes = max_body_bytes

    # Ids may contain slashes.
    @Endpoint(
        "POST",
        "/v1/request/{request_id:.+}/feedback",
        Role.FEEDBACK,
        "Rate a request",
        body=schemas.FeedbackBody,
        reply=schemas.DoneReply,
        failures=(400, 404, 409, 429),
        accepts_feedback_token=True,
        example=Example(body={"rating": True}),
    )
    async def _rate(self, request: web.Request, principal: Principal) -> web.Response:
        """The last rating by the user in `Helicone-User-Id`, or without a user, is the one that counts. A
        rating may come before its request is logged."""
        author = schemas.read_author(request.headers.get("Helicone-User-Id"))
        body = await read_json(request, self._max_body_bytes)
        rating = validate_body(schemas.FeedbackBody, body).rating
        raw = orjson.dumps(body).decode()
        item = thumb_feedback(schemas.read_request_id(request), is_up=rating, author=author, raw=raw)
        return schemas.done_response(await self._upsert([item], principal))

    @Endpoint(
        "POST",
        "/v1/request/{request_id:.+}/score",
        Role.FEEDBACK,
        "Score a request",
        body=schemas.ScoreBody,
        reply=schemas.DoneReply,
        failures=(400, 404, 409, 429),
        accepts_feedback_token=True,
        example=Example(body={"scores": {"helpful": 8, "polite": True}}),
    )
    async def _score(self, request: web.Request, principal: Principal) -> web.Response:
        """All scores are stored or none. The last one of each name counts."""
        given = validate_body(schemas.ScoreBody, await read_json(request, self._max_body_bytes))
        request_id = schemas.read_request_id(request)
        items = [score_feedback(request_id, name, value) for name, value in given.scores.items()]
        return schemas.done_response(await self._upsert(items, principal))

    async def _upsert(self, items: list[NewFeedback], principal: Principal) -> list[Feedback]:
        return await self._feedback.give(items, principal, dialect=DIALECT, rule=upsert)

    @Endpoint(
        "PUT",
        "/v1/request/{request_id:.+}/property",
        Role.FEEDBACK,
        "Set a property of a request",
        description=f"These set columns: {', '.join(f'`{key}`' for key in METADATA_KEYS)}.",
        body=schemas.PropertyBody,
        reply=schemas.DoneReply,
        failures=(400, 404, 409),
        example=Example(body={"key": "team", "value": "support"}),
    )
    async def _set_one_property(self, request: web.Request, principal: Principal) -> web.Response:
        given = validate_body(schemas.PropertyBody, await read_json(request, self._max_body_bytes))
        request_id = schemas.read_request_id(request)
        if not await self._set_property(request_id, given.key, given.value, principal.tenant):
            raise NotFound("Request not found")
        return schemas.done_response()


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
