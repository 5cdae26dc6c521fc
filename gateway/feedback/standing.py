"""Standing votes: verdicts of which the last one counts. Voting again revises the entry, never adds one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from gateway.domain.clock import now_us
from gateway.domain.feedback import Feedback, Kind, Source, Target
from gateway.domain.principal import Principal
from gateway.domain.subject import only_subject
from gateway.errors import Conflict, NotFound
from gateway.feedback.contention import MAX_ATTEMPTS, too_busy
from gateway.feedback.linking import as_joined
from gateway.feedback.places import Place, place_of
from gateway.feedback.scales import grade_of
from gateway.feedback.scope import Spend, author_of, refuse_beyond_scope, unlimited
from gateway.feedback.versions import Tell, next_version, tell_nobody, withdrawn
from gateway.store.base import FeedbackStore

RATING = "rating"
"""The metric of thumbs: a voter's thumb on a request is one vote, wherever it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingVote:
    """A vote on a request. Fields mean what they mean in `Feedback`.

    Args:
        request_id: the request's id as the voter gave it: ours, or its provider's response id.
        metric: what is judged; with the request and the author it says which entry stands for the vote.
    """

    request_id: str
    kind: Kind
    metric: str
    value: float
    score: float | None
    comment: str | None = None
    author: str | None = None
    source: Source = Source.HUMAN
    raw: str


def thumb(
    request_id: str, *, is_up: bool, raw: str, author: str | None = None, comment: str | None = None
) -> StandingVote:
    """Return the vote that a thumb up or down on a request is; `raw` is the JSON that it came in."""
    value = 1.0 if is_up else -1.0
    return StandingVote(
        request_id=request_id,
        kind=Kind.THUMB,
        metric=RATING,
        value=value,
        score=value,
        comment=comment,
        author=author,
        raw=raw,
    )


class StandingVotes:
    """Keeps one entry for each request, author and metric: what was said last, by whatever id of the request.

    A vote on a request that is not logged waits for it, as all feedback does. Only an id that tells its own
    age is refused when that is more than `orphan_window_seconds` and nothing of that name is logged.

    Votes that came before their request, by different ids of it or by callers of different tenancy, are
    entries of their own until the author votes again; then the last one stands and the others are withdrawn.

    Args:
        spend: counts the votes of callers that may judge one request alone.
        tell: told of versions once they are stored.
    """

    def __init__(
        self,
        store: FeedbackStore,
        orphan_window_seconds: float,
        spend: Spend = unlimited,
        tell: Tell = tell_nobody,
    ) -> None:
        self._store = store
        self._tell = tell
        self.orphan_window_seconds = orphan_window_seconds
        self._spend = spend

    async def cast(
        self, votes: Sequence[StandingVote], principal: Principal, *, dialect: str
    ) -> list[Feedback]:
        """Store votes, all or none, and return the versions of the entries that they became, in order.

        Votes must differ in what they stand for.

        Raises:
            NotFound: a request is not logged, and too long ago to be still under way.
            Ambiguous: the id of a request names several.
            Conflict: the place of an entry is taken by one that is another tenant's or no such vote.
            Forbidden, TooManyRequests, TooLarge: the caller may not give them, or not so many.
            StoreUnavailable: nothing was stored; the same call may work later.
        """
        subjects = [(vote.request_id, Target.REQUEST) for vote in votes]
        await refuse_beyond_scope(subjects, principal, self._store, self._spend)
        for _ in range(MAX_ATTEMPTS):
            places = await self._places(votes, principal)
            standing = await self._standing(places, principal)
            entries = [
                _next_version(vote, place, there[0] if there else None, principal, dialect)
                for vote, place, there in zip(votes, places, standing, strict=True)
            ]
            replaced = [
                next_version(entry, withdrawn(entry), principal, dialect)
                for there in standing
                for entry in there[1:]
                if entry.deleted_at_us is None
            ]
            try:
                await self._store.put_feedback([*entries, *replaced])
            except Conflict:
                continue
            self._tell([*entries, *replaced])
            return await as_joined(self._store, entries)
        raise too_busy()

    async def standing(self, request_id: str, principal: Principal, metric: str = RATING) -> Feedback | None:
        """Return the vote of a caller with a feedback token that stands now; None where there is none."""
        named = (await self._store.resolve([request_id], principal.tenant, Target.REQUEST)).get(
            request_id, ()
        )
        subject = named[0] if len(named) == 1 else None
        place = place_of(request_id, subject, principal.tenant, author_of(principal, None), metric)
        [there] = await self._standing([place], principal)
        return next((entry for entry in there if entry.deleted_at_us is None), None)

    async def _places(self, votes: Sequence[StandingVote], principal: Principal) -> list[Place]:
        request_ids = list(dict.fromkeys(vote.request_id for vote in votes))
        named = await self._store.resolve(request_ids, principal.tenant, Target.REQUEST)
        subjects = {each: only_subject(each, named.get(each, ()), field="request_id") for each in request_ids}
        for request_id, subject in subjects.items():
            if subject is None:
                self._refuse_lost(request_id)
        return [
            place_of(
                vote.request_id,
                subjects[vote.request_id],
                principal.tenant,
                author_of(principal, vote.author),
                vote.metric,
            )
            for vote in votes
        ]

    async def _standing(self, places: Sequence[Place], principal: Principal) -> list[list[Feedback]]:
        found = await self._store.feedback_by_ids([each for place in places for each in place.ids])
        known = {entry.feedback_id: entry for entry in found}
        return [place.entries(known, principal) for place in places]

    def _refuse_lost(self, request_id: str) -> None:
        made_at_us = _made_at_us(request_id)
        if made_at_us is not None and now_us() - made_at_us > self.orphan_window_seconds * 1e6:
            raise NotFound("Request not found")


def _next_version(
    vote: StandingVote, place: Place, standing: Feedback | None, principal: Principal, dialect: str
) -> Feedback:
    """The version that a vote makes of what stands. One that waits is joined by the store."""
    first = first_version(vote, place, principal, dialect, now_us())
    if standing is None:
        return first
    return replace(
        first,
        feedback_id=standing.feedback_id,
        version=standing.version + 1,
        tenant=standing.tenant,
        target=standing.target,
        trace_id=standing.trace_id,
        request_id=standing.request_id,
        joined_at_us=standing.joined_at_us,
        created_at_us=standing.created_at_us,
        updated_at_us=max(first.updated_at_us, standing.updated_at_us),
    )


def first_version(
    vote: StandingVote, place: Place, principal: Principal, dialect: str, at_us: int
) -> Feedback:
    """Return the entry of a vote that is the first in its place, given at this time."""
    subject = place.subject
    return Feedback(
        feedback_id=place.ids[0],
        tenant=subject.tenant if subject else principal.tenant,
        subject_id=vote.request_id,
        target=Target.REQUEST,
        trace_id=subject.trace_id if subject else None,
        request_id=subject.request_id if subject else None,
        joined_at_us=at_us if subject else None,
        kind=vote.kind,
        metric=vote.metric,
        value=vote.value,
        score=vote.score,
        grade=grade_of(vote.score),
        comment=vote.comment,
        author=author_of(principal, vote.author),
        source=vote.source,
        dialect=dialect,
        raw=vote.raw,
        key_name=principal.name,
        created_at_us=at_us,
        updated_at_us=at_us,
    )


def _made_at_us(any_id: str) -> int | None:
    """When a UUIDv7 says that it was made (RFC 9562, section 5.7); None for any other id."""
    try:
        found = UUID(any_id)
    except ValueError:
        return None
    is_plain = str(found) == any_id.lower()
    return (found.int >> 80) * 1000 if is_plain and found.version == 7 else None
