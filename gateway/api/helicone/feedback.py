"""Verdicts on a request: a thumb, scores, and properties that it is tagged with."""

from __future__ import annotations

import orjson
from aiohttp import web

from gateway.api.helicone.bodies import (
    FeedbackBody,
    PropertyBody,
    ScoreBody,
    checked,
    read_author,
    request_id_of,
)
from gateway.api.helicone.replies import DoneReply, done
from gateway.domain.feedback import Kind, Source
from gateway.domain.principal import Principal, Role
from gateway.errors import NotFound
from gateway.feedback.standing import StandingVote, StandingVotes, thumb
from gateway.store.base import RequestTags
from gateway.web.bodies import read_json
from gateway.web.face import Endpoint

DIALECT = "helicone"
"""What the dialect is called in rows."""


class VerdictEndpoints:
    """Handlers of what is said about a request."""

    def __init__(self, votes: StandingVotes, tags: RequestTags, max_body_bytes: int) -> None:
        self._votes = votes
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
                takes_tokens=True,
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
                takes_tokens=True,
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
        rating = checked(FeedbackBody, body).rating
        raw = orjson.dumps(body).decode()
        vote = thumb(request_id_of(request), is_up=rating, author=author, raw=raw)
        return done(await self._votes.cast([vote], principal, dialect=DIALECT))

    async def _score(self, request: web.Request, principal: Principal) -> web.Response:
        given = checked(ScoreBody, await read_json(request, self._max_body_bytes))
        votes = [to_score(request_id_of(request), name, value) for name, value in given.scores.items()]
        return done(await self._votes.cast(votes, principal, dialect=DIALECT))

    async def _tag(self, request: web.Request, principal: Principal) -> web.Response:
        given = checked(PropertyBody, await read_json(request, self._max_body_bytes))
        request_id = request_id_of(request)
        if not await self._tags.set_property(request_id, given.key, given.value, principal.tenant):
            raise NotFound("Request not found")
        return done()


def to_score(request_id: str, name: str, value: bool | float) -> StandingVote:
    """Return the vote that one score is."""
    return StandingVote(
        request_id=request_id,
        kind=Kind.SCORE,
        metric=name,
        value=float(value),
        score=_score_of(value),
        source=Source.CODE,
        raw=orjson.dumps({"scores": {name: value}}).decode(),
    )


def _score_of(value: bool | float) -> float | None:
    """A truth is as good or bad as can be. A number counts if it is on our scale; what others mean is unknown."""
    if isinstance(value, bool):
        return 1.0 if value else -1.0
    return float(value) if -1 <= value <= 1 else None
