"""Traces and sessions: requests and feedback under one id, and groups of them with metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.models.feedback import Feedback, FeedbackSummary, ScoreSummary
from gateway.models.metrics import FeedbackSums, UsageSums
from gateway.models.request import RequestRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class _Related:
    """Requests by start, and feedback on them."""

    requests: tuple[RequestRecord, ...]
    feedback: tuple[Feedback, ...]
    # Of feedback that counts for these requests; that on a trace or session may count for another one.
    score: ScoreSummary
    # By `seq`, without requests that have none.
    feedback_on: Mapping[int, FeedbackSummary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(_Related):
    trace_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Session(_Related):
    """What is logged under one session."""

    session: str

    @property
    def trace_ids(self) -> tuple[str, ...]:
        # By the start of their first requests.
        return tuple(dict.fromkeys(record.trace_id for record in self.requests))


class GroupField(StrEnum):
    # Requests without a value are in no group.

    TRACE = "trace_id"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class GroupCursor:
    """Position in a walk through the log from its end."""

    # `seq` of the row at which the walk began; later rows are not met in it.
    top: int
    # Of the row at which the walk met the group.
    seq: int


@dataclass(frozen=True, slots=True)
class RequestGroup:
    """A group with the sums of its requests."""

    # The value that its requests have in common.
    name: str
    place: GroupCursor
    started_at_us: int
    ended_at_us: int
    traces: int
    # That answered, or were asked for where none did, sorted; as are `users`.
    models: tuple[str, ...]
    users: tuple[str, ...]
    usage: UsageSums
    feedback_sums: FeedbackSums
