"""ReviewQueue: reserve requests, mark them as reviewed, open them again, and list reviews."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.errors import NotFound
from gateway.models.clock import now_us
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Not, Op, Page, Sort
from gateway.models.principal import Principal, Role
from gateway.models.request import RequestRecord
from gateway.models.reviews import Review, ReviewChange, ReviewState
from gateway.query.requests import NEWEST_FIRST, find_request, find_unknown_request_keys
from gateway.store.base import FeedbackStore

NEWEST_REVIEWS_FIRST = Sort("at_us", descending=True, then=Sort("seq", descending=True))

# The reviewer on a gateway without keys.
UNNAMED_REVIEWER = "anyone"

# Open requests read at a time; others may reserve some of them before the caller does.
CANDIDATES = 20

# Time and `seq` of the last review of the page before.
ReviewCursor = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ReviewSlice:
    """A page of reviews, newest first; `next_cursor` is None on the last page."""

    reviews: tuple[Review, ...]
    next_cursor: ReviewCursor | None


@dataclass(frozen=True, slots=True)
class ReservedRequest:
    """A request and its review, or why there is none: `unknown_keys` are metadata keys that no request has."""

    record: RequestRecord | None = None
    review: Review | None = None
    unknown_keys: tuple[str, ...] = ()


def reviewer_of(principal: Principal) -> str:
    """Return the name that a caller reviews under: that of its key."""
    return principal.name or UNNAMED_REVIEWER


class ReviewQueue:
    """Reviews of requests by several people; `clock` returns microseconds since the epoch."""

    def __init__(self, store: FeedbackStore, clock: Callable[[], int] = now_us) -> None:
        self._store = store
        self._clock = clock

    async def change(
        self,
        any_id: str,
        state: ReviewState | None,
        principal: Principal,
        *,
        note: str | None = None,
        trace_id: str | None = None,
        row: int | None = None,
    ) -> ReservedRequest:
        """Reserve a request or renew that, mark it as reviewed, or open it (None), by our id or the provider's.

        Raises Conflict, which names the other reviewer, NotFound or Ambiguous.
        """
        record = await find_request(self._store, any_id, principal.tenant, trace_id, row)
        if record is None:
            raise NotFound(f"no request has the id {any_id!r}.", field="request_id")
        is_forced = principal.has_role(Role.ADMIN)
        change = ReviewChange(state, reviewer_of(principal), self._clock(), note, is_forced)
        return ReservedRequest(record, await self._store.change_review(record.seq, change))

    async def reserve_next(self, where: Filter, principal: Principal) -> ReservedRequest:
        """Reserve the newest matching request that nobody has reserved or reviewed."""
        is_open = AllOf((where, Not(Comparison("held_until_us", Op.GT, self._clock()))))
        last: int | None = None
        while True:
            following = is_open if last is None else AllOf((is_open, Comparison("seq", Op.LT, last)))
            found = await self._store.find_requests(
                following, NEWEST_FIRST, Page(CANDIDATES), principal.tenant
            )
            if not found:
                break
            change = ReviewChange(ReviewState.RESERVED, reviewer_of(principal), self._clock())
            taken = await self._store.reserve_first([record.seq for record in found], change)
            if taken is not None:
                by_seq = {record.seq: record for record in found}
                return ReservedRequest(by_seq[taken[0]], taken[1])
            last = found[-1].seq
        if last is not None:
            return ReservedRequest()
        unknown = await find_unknown_request_keys(self._store, where, principal.tenant)
        return ReservedRequest(unknown_keys=unknown)

    async def find(
        self, where: Filter, limit: int, after: ReviewCursor | None, tenant: str | None
    ) -> ReviewSlice:
        """Return reviews and reservations that have not expired, newest first."""
        is_live = AnyOf(
            (
                Comparison("reserved_until_us", Op.EQ, None),
                Comparison("reserved_until_us", Op.GT, self._clock()),
            )
        )
        parts = (where, is_live, *(() if after is None else (_follows(after),)))
        found = await self._store.find_reviews(AllOf(parts), NEWEST_REVIEWS_FIRST, Page(limit + 1), tenant)
        reviews = tuple(found[:limit])
        cursor = (reviews[-1].at_us, reviews[-1].seq) if len(found) > limit else None
        return ReviewSlice(reviews, cursor)

    async def reviews_of(self, records: Sequence[RequestRecord]) -> dict[int, Review]:
        """Return the review or live reservation of each request, by `seq`."""
        reviews = await self._store.reviews_of([record.seq for record in records])
        at_us = self._clock()
        return {seq: review for seq, review in reviews.items() if not review.is_open(at_us)}


def _follows(cursor: ReviewCursor) -> Filter:
    at_us, seq = cursor
    same_time = AllOf((Comparison("at_us", Op.EQ, at_us), Comparison("seq", Op.LT, seq)))
    return AnyOf((Comparison("at_us", Op.LT, at_us), same_time))
