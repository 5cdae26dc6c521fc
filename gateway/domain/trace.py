"""Requests and feedback seen together under one trace id, or in one session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.feedback import Feedback, FeedbackSummary, ScoreSummary
from gateway.domain.request import RequestRecord


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
