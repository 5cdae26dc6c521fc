"""Standing votes: verdicts of which the last one counts. Voting again revises the entry, never adds one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from gateway.domain.clock import now_us
from gateway.domain.feedback import Feedback, Kind, Source, Target
from gateway.domain.principal import Principal
from gateway.errors import Conflict, NotFound
from gateway.feedback.contention import MAX_ATTEMPTS, too_busy
from gateway.feedback.scales import grade_of
from gateway.store.base import FeedbackStore


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
    author: str | None = None
    source: Source = Source.HUMAN
    raw: str


class StandingVotes:
    """Keeps one entry for each tenant, request, author and metric: what was said last.

    A vote on a request that is not logged waits for it, as all feedback does. Only an id that tells its own
    age is refused when that is more than `orphan_window_seconds` and nothing of that name is logged.
    """

    def __init__(self, store: FeedbackStore, orphan_window_seconds: float) -> None:
        self._store = store
        self._orphan_window_us = round(orphan_window_seconds * 1e6)

    async def cast(
        self, votes: Sequence[StandingVote], principal: Principal, *, dialect: str
    ) -> list[Feedback]:
        """Store votes, all or none, and return the versions of the entries that they became, in order.

        Votes must differ in what they stand for.

        Raises:
            NotFound: a request is not logged, and too long ago to be still under way.
            Conflict: the place of an entry is taken by one that is another tenant's or no such vote.
            StoreUnavailable: nothing was stored; the same call may work later.
        """
        for request_id in dict.fromkeys(vote.request_id for vote in votes):
            await self._refuse_lost(request_id, principal)
        for _ in range(MAX_ATTEMPTS):
            entries = await self._next_versions(votes, principal, dialect)
            try:
                await self._store.put_feedback(entries)
            except Conflict:
                continue
            return entries
        raise too_busy()

    async def _refuse_lost(self, request_id: str, principal: Principal) -> None:
        made_at_us = _made_at_us(request_id)
        if made_at_us is None or now_us() - made_at_us <= self._orphan_window_us:
            return
        if not await self._store.resolve([request_id], principal.tenant, Target.REQUEST):
            raise NotFound("Request not found")

    async def _next_versions(
        self, votes: Sequence[StandingVote], principal: Principal, dialect: str
    ) -> list[Feedback]:
        firsts = [_first_version(vote, principal, dialect) for vote in votes]
        standing = await self._store.feedback_by_ids([first.feedback_id for first in firsts])
        known = {entry.feedback_id: entry for entry in standing}
        return [_following(known.get(first.feedback_id), first, principal) for first in firsts]


def standing_id(tenant: str | None, request_id: str, author: str | None, metric: str) -> str:
    """Return the id of the entry that stands for these: a UUIDv8 (RFC 9562, section 5.8) made from the
    SHA-256 of all four, so that votes at the same time meet in one entry without asking each other."""
    named = json.dumps([tenant, request_id, author, metric])
    value = int.from_bytes(hashlib.sha256(named.encode()).digest()[:16], "big")
    value = value & ~(0xF << 76) | (0x8 << 76)
    value = value & ~(0x3 << 62) | (0x2 << 62)
    return str(UUID(int=value))


def _first_version(vote: StandingVote, principal: Principal, dialect: str) -> Feedback:
    at_us = now_us()
    return Feedback(
        feedback_id=standing_id(principal.tenant, vote.request_id, vote.author, vote.metric),
        tenant=principal.tenant,
        subject_id=vote.request_id,
        target=Target.REQUEST,
        kind=vote.kind,
        metric=vote.metric,
        value=vote.value,
        score=vote.score,
        grade=grade_of(vote.score),
        author=vote.author,
        source=vote.source,
        dialect=dialect,
        raw=vote.raw,
        key_name=principal.name,
        created_at_us=at_us,
        updated_at_us=at_us,
    )


def _following(standing: Feedback | None, first: Feedback, principal: Principal) -> Feedback:
    """The version of `first` that follows what stands. The store joins it to its request, be it there."""
    if standing is None:
        return first
    if not _is_same_place(standing, first, principal):
        raise Conflict(f"the id {first.feedback_id} is that of another entry.")
    return replace(
        first,
        version=standing.version + 1,
        tenant=standing.tenant,
        target=standing.target,
        trace_id=standing.trace_id,
        request_id=standing.request_id,
        joined_at_us=standing.joined_at_us,
        created_at_us=standing.created_at_us,
        updated_at_us=max(first.updated_at_us, standing.updated_at_us),
    )


def _is_same_place(standing: Feedback, first: Feedback, principal: Principal) -> bool:
    # An entry given without a tenant has taken that of its request, so only a tenant's own must be equal.
    is_same_vote = (standing.subject_id, standing.metric) == (first.subject_id, first.metric)
    return is_same_vote and principal.sees(standing.tenant)


def _made_at_us(any_id: str) -> int | None:
    """When a UUIDv7 says that it was made (RFC 9562, section 5.7); None for any other id."""
    try:
        found = UUID(any_id)
    except ValueError:
        return None
    is_plain = str(found) == any_id.lower()
    return (found.int >> 80) * 1000 if is_plain and found.version == 7 else None
