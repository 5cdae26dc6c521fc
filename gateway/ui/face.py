"""`/f/{token}`: the page behind a link with a feedback token. Opening it shows a form; sending that votes."""

from __future__ import annotations

import orjson
from aiohttp import web

from gateway.access.tokens import FeedbackTokens
from gateway.domain.feedback import Feedback
from gateway.domain.filter import All, Is, Op
from gateway.domain.principal import Principal, Scope
from gateway.errors import NotFound
from gateway.feedback.standing import StandingVote, StandingVotes, thumb
from gateway.query import RequestReader
from gateway.ui.form import MAX_FORM_BYTES, Ballot, Thumb, read_ballot
from gateway.ui.pages import Pages
from gateway.web.bodies import read_body
from gateway.web.face import Endpoint, Face

DIALECT = "page"
"""What votes from the page have as their dialect in rows."""


def voting_face(votes: StandingVotes, tokens: FeedbackTokens, requests: RequestReader) -> Face:
    """Return the face of `/f`, for whoever has a link with a feedback token."""
    return _Voting(votes, tokens, requests).face


class _Voting:
    def __init__(self, votes: StandingVotes, tokens: FeedbackTokens, requests: RequestReader) -> None:
        self._votes = votes
        self._tokens = tokens
        self._requests = requests
        self._pages = Pages()
        self.face = Face(
            name=DIALECT,
            prefixes=("/f",),
            draw_error=self._pages.problem,
            endpoints=(
                Endpoint(
                    method="GET", path="/f/style.css", handler=self._send_style, role=None,
                    summary="How the page for a vote looks",
                ),
                Endpoint(
                    method="GET", path="/f/{token}", handler=self._ask, role=None, failures=(401, 404, 503),
                    summary="Ask whoever has this feedback token for a vote",
                    description="A page with a form. Opening it votes for nothing, also with `?v=up` or "
                    "`?v=down`, which choose a thumb beforehand.",
                ),
                Endpoint(
                    method="POST", path="/f/{token}", handler=self._take, role=None,
                    failures=(400, 401, 404, 408, 413, 429, 503),
                    summary="Vote with a feedback token",
                    description="Takes the form of that page, `application/x-www-form-urlencoded`: `vote` is "
                    "`up` or `down`, `comment` may be anything; without that field an earlier comment stays. The "
                    "last vote stands.",
                ),
            ),
        )  # fmt: skip

    async def _ask(self, request: web.Request, _: Principal) -> web.Response:
        voter, scope = self._read_token(request)
        earlier = await self._votes.standing(scope.request_id, voter)
        thumb = Thumb.named(request.query.get("v")) or _thumb_of(earlier)
        chosen = Ballot(thumb, earlier.comment if earlier else None)
        return self._pages.form(chosen, await self._asked_at_us(scope, voter.tenant))

    async def _take(self, request: web.Request, _: Principal) -> web.Response:
        voter, scope = self._read_token(request)
        ballot = read_ballot(request.content_type, await read_body(request, MAX_FORM_BYTES))
        if ballot.thumb is None:
            asked_at_us = await self._asked_at_us(scope, voter.tenant)
            return self._pages.form(ballot, asked_at_us, problem="Please choose one of the two.")
        comment = ballot.comment or None
        if ballot.comment is None:
            earlier = await self._votes.standing(scope.request_id, voter)
            comment = earlier.comment if earlier else None
        await self._votes.cast([_to_vote(ballot.thumb, comment, scope)], voter, dialect=DIALECT)
        return self._pages.thanks(ballot.thumb)

    async def _send_style(self, request: web.Request, _: Principal) -> web.Response:
        return self._pages.style()

    def _read_token(self, request: web.Request) -> tuple[Principal, Scope]:
        if not self._tokens.is_on:
            raise NotFound("this gateway takes no votes by link.")
        voter = self._tokens.read(request.match_info["token"])
        assert voter.scope is not None, "a feedback token always has a scope"
        return voter, voter.scope

    async def _asked_at_us(self, scope: Scope, tenant: str | None) -> int | None:
        """When the request was made; None while it is not logged."""
        ids = (Is("request_id", Op.EQ, scope.request_id), Is("trace_id", Op.EQ, scope.trace_id))
        found = await self._requests.find(All(ids), 1, None, tenant)
        return found.records[0].started_at_us if found.records else None


def _to_vote(chosen: Thumb, comment: str | None, scope: Scope) -> StandingVote:
    raw = orjson.dumps({"vote": chosen, "comment": comment}).decode()
    return thumb(scope.request_id, is_up=chosen is Thumb.UP, comment=comment, raw=raw)


def _thumb_of(earlier: Feedback | None) -> Thumb | None:
    if earlier is None or not earlier.value:
        return None
    return Thumb.UP if earlier.value > 0 else Thumb.DOWN
