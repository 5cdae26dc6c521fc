"""Reviews: which requests a person works on or has judged, and scores by several people."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import Conflict
from gateway.models.clock import format_rfc3339
from gateway.models.feedback import Source

# How long an item stays with a reviewer who does not renew the reservation.
RESERVATION_US = 600_000_000

MAX_NOTE_CHARS = 4_000


class ReviewState(StrEnum):
    """A request without a review is open, as is one whose reservation has expired."""

    RESERVED = "reserved"
    REVIEWED = "reviewed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A person's reservation or review of a request. Times are microseconds since the epoch."""

    # Position in this store; 0 of one that is not stored yet.
    seq: int = 0
    # Tenant and ids of the request, of which there may be several rows.
    tenant: str | None
    request_id: str
    trace_id: str
    state: ReviewState
    # Name of the key.
    reviewer: str
    note: str | None = None
    # When it was last reserved, or was reviewed.
    at_us: int
    # None once it is reviewed.
    reserved_until_us: int | None = None

    def is_open(self, at_us: int) -> bool:
        """Tell whether anybody may take the request."""
        return self.reserved_until_us is not None and self.reserved_until_us <= at_us


@dataclass(frozen=True, slots=True)
class ReviewChange:
    """What a reviewer does with a request: reserve or renew it, mark it as reviewed, or open it again."""

    # None: open.
    state: ReviewState | None
    reviewer: str
    at_us: int
    note: str | None = None
    # Whether others' reservations and reviews may be undone.
    is_forced: bool = False

    @property
    def reserved_until_us(self) -> int | None:
        return self.at_us + RESERVATION_US if self.state is ReviewState.RESERVED else None


def review_conflict(review: Review, *, field: str | None = None) -> Conflict:
    """Return the error of a change that somebody else's review is in the way of; it names who and when."""
    if review.reserved_until_us is None:
        text = f"the request was reviewed by {review.reviewer!r} at {format_rfc3339(review.at_us)}."
        hint = "The reviewer or an admin can open it again with the state open."
    else:
        until = format_rfc3339(review.reserved_until_us)
        text = f"the request is reserved by {review.reviewer!r} until {until}."
        hint = "Take another one, or wait."
    return Conflict(text, field=field, hint=hint)


@dataclass(frozen=True, slots=True)
class RequestScore:
    """The score that an entry of feedback gives the request that it counts for."""

    # Position of the entry in this store.
    seq: int
    request_seq: int
    request_started_at_us: int
    author: str | None
    source: Source
    # None of what rates the whole.
    metric: str | None
    score: float
    weight: float
    updated_at_us: int
