"""Traces and sessions: requests and feedback under one id, and groups of them with metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.models.feedback import Feedback, FeedbackSummary, ScoreSummary
from gateway.models.metrics import FeedbackSums, UsageSums
from gateway.models.request import RequestRecord


@dataclass(frozen=True, slots=True)
class Trace:
    """What one trace holds: its requests in the order they started, and what was said about them.

    Args:
        score: of what counts for these requests; what is said of their session may count for another one.
        feedback_on: what was said of each request, by `seq`; without those of which nothing was.
    """

    trace_id: str
    requests: tuple[RequestRecord, ...]
    feedback: tuple[Feedback, ...]
    score: ScoreSummary
    feedback_on: Mapping[int, FeedbackSummary] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Session:
    """What one session holds: its requests in the order they started, and what was said about them.

    Args:
        score: of what counts for these requests; what is said of a trace that goes beyond may count elsewhere.
        feedback_on: as that of a trace.
    """

    session: str
    requests: tuple[RequestRecord, ...]
    feedback: tuple[Feedback, ...]
    score: ScoreSummary
    feedback_on: Mapping[int, FeedbackSummary] = field(default_factory=dict)

    @property
    def trace_ids(self) -> tuple[str, ...]:
        """Its traces, in the order in which their first requests started."""
        return tuple(dict.fromkeys(record.trace_id for record in self.requests))


class GroupField(StrEnum):
    """The field of requests that groups are made by. Requests without a value are in no group."""

    TRACE = "trace_id"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class GroupCursor:
    """Where a group stands in a walk through the log, from its end to its beginning.

    Args:
        top: `seq` of the row at which the walk began; what was stored later is not met in it.
        seq: the row at which the walk met the group.
    """

    top: int
    seq: int


@dataclass(frozen=True, slots=True)
class RequestGroup:
    """A group with the figures of all its requests. Times are microseconds since the epoch.

    Args:
        name: the value that its requests have in common.
        models: those that answered, or were asked for where none did, in the order of the alphabet.
        users: the end users, in the order of the alphabet.
    """

    name: str
    place: GroupCursor
    started_at_us: int
    ended_at_us: int
    traces: int
    models: tuple[str, ...]
    users: tuple[str, ...]
    usage: UsageSums
    verdicts: FeedbackSums
