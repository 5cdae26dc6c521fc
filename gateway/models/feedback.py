"""Feedback on a request, trace or session, and the subject that an id names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Annotated

from gateway.errors import Ambiguous
from gateway.models.columns import FILTER, HIDDEN, Column, Origin, columns_of
from gateway.models.exchange import value_class


class Kind(StrEnum):
    """Kind of an entry."""

    RATING = "rating"
    THUMB = "thumb"
    SCORE = "score"
    EDIT = "edit"
    ORIGINAL = "original"
    COMMENT = "comment"
    CUSTOM = "custom"


class Source(StrEnum):
    """Who or what gave an entry."""

    HUMAN = "human"
    MODEL = "model"
    CODE = "code"
    IMPLICIT = "implicit"


class Target(StrEnum):
    """What an entry is on."""

    TRACE = "trace"
    REQUEST = "request"
    SESSION = "session"


_column = partial(Column, Origin.GATEWAY)
_filter = partial(Column, Origin.GATEWAY, uses=FILTER)


@value_class(kw_only=True)
class Feedback:
    """One version of an entry. Times are microseconds since the epoch."""

    feedback_id: Annotated[str, _filter("Id of the entry.")]
    version: Annotated[int, _column("1 for the first, one more with each change.")] = 1
    tenant: Annotated[str | None, _column("Tenant of the key that gave it.")] = None
    subject_id: Annotated[str, _filter("Id that it was given on, whatever it names.")]
    # What is about a trace or a session is about each of its requests.
    target: Annotated[Target, _column("What the id names: a request, a trace or a session.")] = Target.TRACE
    trace_id: Annotated[str | None, _filter("Trace that it is on, or that its request is part of.")] = None
    request_id: Annotated[str | None, _filter("Request that it is on; null on a trace or session.")] = None
    session: Annotated[str | None, _filter("Session that it is on as a whole.")] = None
    joined_at_us: Annotated[
        int | None, _column("When its trace, request or session was found; null while it waits.")
    ] = None
    kind: Annotated[Kind, _filter("Kind of feedback.")] = Kind.RATING
    metric: Annotated[str | None, _column("What is rated, where there are several measures.")] = None
    value: Annotated[float | None, _column("As it was given.")] = None
    weight: Annotated[float, _column("How much it counts, from 0 to 1.")] = 1.0
    score: Annotated[float | None, _column("`value` on the scale from -1 to 1; null without a value.")] = None
    # Ten times the score, but as given by those who grade from -10 to 10.
    grade: Annotated[float | None, _column("`value` on the scale from -10 to 10.")] = None
    label: Annotated[str | None, _filter("Label, such as `off-topic`.")] = None
    comment: Annotated[str | None, _column("Comment in words.")] = None
    original_text: Annotated[str | None, _column("The answer before it was edited.")] = None
    edited_text: Annotated[str | None, _column("The answer as it should have been.")] = None
    # Set by the store alone.
    original_id: Annotated[
        str | None,
        _column(
            "The entry of kind `original` that `original_text` is from; null where it is this entry's own."
        ),
    ] = None
    author: Annotated[str | None, _filter("Who gave it.")] = None
    app_id: Annotated[str | None, _filter("Application that it was given in.")] = None
    app_version: Annotated[str | None, _column("Version of that application.")] = None
    source: Annotated[Source, _filter("Who or what gave it.")] = Source.HUMAN
    metadata: Annotated[Mapping[str, object], _column("Object that was sent with it.")] = field(
        default_factory=dict
    )
    dialect: Annotated[str, _filter("API that the latest version was given through.")]
    raw: Annotated[str, _column("The entry's JSON as it came in.")]
    key_name: Annotated[str | None, _filter("Name of the gateway key that gave it.")] = None
    created_at_us: Annotated[int, _column("When the first version was given.")]
    updated_at_us: Annotated[int, _column("When this version was given.")]
    deleted_at_us: Annotated[int | None, _column("When it was withdrawn; null if it was not.", HIDDEN)] = None


FEEDBACK_COLUMNS = columns_of(Feedback)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A carried-out call with an idempotency key."""

    # Separates the keys of different callers.
    scope: str
    key: str
    # Hash of the content, to tell a retry from another call under the same key.
    digest: str
    # What the call created, in its order.
    feedback_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ScoreSummary:
    """Sums of scores. Entries without a score are only counted."""

    count: int
    weighted_sum: float
    total_weight: float

    @property
    def weighted_mean(self) -> float | None:
        """In −1…1; None where all weigh 0."""
        return self.weighted_sum / self.total_weight if self.total_weight else None


@dataclass(frozen=True, slots=True, order=True)
class FeedbackPair:
    """An entry with a value in short; `via` is what it was given on."""

    value: float
    weight: float
    kind: Kind
    via: Target


@dataclass(frozen=True, slots=True)
class FeedbackSummary:
    """Feedback on one request, its trace and its session."""

    score: ScoreSummary
    # Of entries with a value, the latest first, at most `MAX_SUMMARY_PAIRS`.
    pairs: tuple[FeedbackPair, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitingFeedback:
    """Entries whose subject is not logged; `ids` are some that they are about, the latest first."""

    count: int = 0
    oldest_at_us: int | None = None
    ids: tuple[str, ...] = ()


MAX_SUMMARY_PAIRS = 20

NO_FEEDBACK = FeedbackSummary(ScoreSummary(0, 0.0, 0.0))


def summarise_feedback(entries: Sequence[Feedback]) -> FeedbackSummary:
    """Sum up the latest versions of entries that are not deleted."""
    valued = [entry for entry in entries if entry.value is not None]
    latest = sorted(valued, key=lambda entry: entry.updated_at_us, reverse=True)[:MAX_SUMMARY_PAIRS]
    pairs = tuple(
        FeedbackPair(entry.value, entry.weight, entry.kind, entry.target)
        for entry in latest
        if entry.value is not None
    )
    return FeedbackSummary(summarise_scores(entries), pairs)


def summarise_scores(entries: Sequence[Feedback]) -> ScoreSummary:
    """Sum up the latest versions of entries that are not deleted."""
    scored = [(entry.weight, entry.score) for entry in entries if entry.score is not None]
    return ScoreSummary(
        # An original alone rates nothing.
        count=sum(entry.kind is not Kind.ORIGINAL or entry.score is not None for entry in entries),
        weighted_sum=sum(weight * score for weight, score in scored),
        total_weight=sum(weight for weight, _ in scored),
    )


# Most candidates of an ambiguous id; of more, the newest.
MAX_CANDIDATES = 10

# A response id no longer names an answer once another has come under it so much later.
RESPONSE_ID_REUSE_US = 600_000_000


@dataclass(frozen=True, slots=True)
class Subject:
    """A trace, a request of one, or a session."""

    tenant: str | None
    trace_id: str | None
    request_id: str | None
    # Of the request's latest response, if known.
    response_id: str | None
    # The latest row that belongs to it.
    seq: int
    session: str | None = None

    @property
    def target(self) -> Target:
        if self.session is not None:
            return Target.SESSION
        return Target.TRACE if self.request_id is None else Target.REQUEST


def single_subject(any_id: str, subjects: Sequence[Subject], *, field: str | None = None) -> Subject | None:
    """Return what an id names, None without any; `subjects`: the newest first. Raises Ambiguous."""
    if len(subjects) > 1:
        raise Ambiguous(
            f"{any_id!r} names {_describe_subjects(subjects)}.",
            candidates=[_candidate_ids(subject) for subject in subjects],
            field=field,
            hint="Name one by an id that only it has.",
        )
    return subjects[0] if subjects else None


def _describe_subjects(subjects: Sequence[Subject]) -> str:
    if subjects[0].target is not Target.REQUEST:
        owners = (_describe_owner(subject) for subject in subjects)
        return f"{subjects[0].target}s of several tenants, the newest first: {', '.join(owners)}"
    has_several_tenants = len({subject.tenant for subject in subjects}) > 1
    requests = (_describe_request(subject, names_owner=has_several_tenants) for subject in subjects)
    return f"several requests, the newest first: {'; '.join(requests)}"


def _describe_request(subject: Subject, *, names_owner: bool) -> str:
    owner = f" of {_describe_owner(subject)}" if names_owner else ""
    response = f", response {subject.response_id!r}" if subject.response_id else ""
    return f"request {subject.request_id!r} in trace {subject.trace_id!r}{owner}{response}"


def _describe_owner(subject: Subject) -> str:
    return "no tenant" if subject.tenant is None else f"tenant {subject.tenant!r}"


def _candidate_ids(subject: Subject) -> dict[str, str | int | None]:
    return {
        "trace_id": subject.trace_id,
        "request_id": subject.request_id,
        "response_id": subject.response_id,
        "tenant": subject.tenant,
        "row": subject.seq,
    }
