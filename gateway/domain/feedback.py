"""A verdict on a request, a trace or a session, whatever the dialect it was given in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What sort of verdict an entry is."""

    RATING = "rating"
    THUMB = "thumb"
    SCORE = "score"
    EDIT = "edit"
    ORIGINAL = "original"
    COMMENT = "comment"
    CUSTOM = "custom"


class Source(StrEnum):
    """Who or what judged."""

    HUMAN = "human"
    MODEL = "model"
    CODE = "code"
    IMPLICIT = "implicit"


class Target(StrEnum):
    """What an entry is about."""

    TRACE = "trace"
    REQUEST = "request"
    SESSION = "session"


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """One version of one feedback entry. Times are microseconds since the epoch.

    `subject_id` is the id as the voter gave it. `trace_id`, `request_id` and `session` are what it was found to
    name; until `joined_at_us` is set nothing of that name has been logged yet. What is about a trace or a session
    is about each of its requests.
    """

    feedback_id: str
    version: int = 1
    tenant: str | None = None
    subject_id: str
    target: Target = Target.TRACE
    trace_id: str | None = None
    request_id: str | None = None
    session: str | None = None
    joined_at_us: int | None = None
    kind: Kind = Kind.RATING
    metric: str | None = None
    """Name of what is judged, where one target is judged by several measures."""
    value: float | None = None
    weight: float = 1.0
    score: float | None = None
    """`value` on the scale −1…1; None for an entry without a value."""
    grade: float | None = None
    """`value` on the scale −10…10: as it was given by those who grade on it, else ten times the score."""
    label: str | None = None
    comment: str | None = None
    original_text: str | None = None
    edited_text: str | None = None
    original_id: str | None = None
    """The entry of kind `original` that `original_text` was taken from; None where it is this entry's own. Set by
    the store alone."""
    author: str | None = None
    app_id: str | None = None
    app_version: str | None = None
    source: Source = Source.HUMAN
    metadata: Mapping[str, object] = field(default_factory=dict)
    dialect: str
    raw: str
    """The entry's JSON as it came in."""
    key_name: str | None = None
    created_at_us: int
    updated_at_us: int
    deleted_at_us: int | None = None


@dataclass(frozen=True, slots=True)
class Receipt:
    """Proof that a call with an idempotency key was carried out, and what it made.

    Args:
        scope: whose key it is, so that two callers' keys never meet.
        key: the caller's idempotency key.
        digest: hash of the call's content, to tell a retry from a different call under the same key.
        feedback_ids: what the call created, in its order.
    """

    scope: str
    key: str
    digest: str
    feedback_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """Scores of several entries as one figure. Entries without a score or with weight 0 are only counted."""

    count: int
    weighted_sum: float
    total_weight: float

    @property
    def weighted_mean(self) -> float | None:
        """Sum of weight × score over the sum of weights, in −1…1; None if no entry weighs anything."""
        return self.weighted_sum / self.total_weight if self.total_weight else None


@dataclass(frozen=True, slots=True)
class FeedbackSummary:
    """What was said of one request, its trace and its session, as a list shows it.

    Args:
        score: of all entries.
        pairs: value and weight of those that have a value, the latest first, at most `MAX_PAIRS`.
    """

    score: ScoreSummary
    pairs: tuple[tuple[float, float], ...] = ()


MAX_PAIRS = 20
"""Of how many entries at most a summary tells value and weight."""

NOT_JUDGED = FeedbackSummary(ScoreSummary(0, 0.0, 0.0))


def summarise_one(entries: Sequence[Feedback]) -> FeedbackSummary:
    """Sum up the latest versions of the entries on one request; deleted ones must be left out by the caller."""
    valued = [entry for entry in entries if entry.value is not None]
    latest = sorted(valued, key=lambda entry: entry.updated_at_us, reverse=True)[:MAX_PAIRS]
    pairs = tuple((entry.value, entry.weight) for entry in latest if entry.value is not None)
    return FeedbackSummary(summarise(entries), pairs)


def summarise(entries: Sequence[Feedback]) -> ScoreSummary:
    """Sum up the latest versions of entries; deleted ones must be left out by the caller."""
    scored = [(entry.weight, entry.score) for entry in entries if entry.score is not None]
    return ScoreSummary(
        # An original alone is no verdict.
        count=sum(entry.kind is not Kind.ORIGINAL or entry.score is not None for entry in entries),
        weighted_sum=sum(weight * score for weight, score in scored),
        total_weight=sum(weight for weight, _ in scored),
    )
