"""Requests and feedback seen together under one trace id."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.domain.feedback import Feedback, ScoreSummary
from gateway.domain.request import RequestRecord


@dataclass(frozen=True, slots=True)
class Trace:
    """What one trace holds: its requests in the order they started, and what was said about them."""

    trace_id: str
    requests: tuple[RequestRecord, ...]
    feedback: tuple[Feedback, ...]
    score: ScoreSummary
