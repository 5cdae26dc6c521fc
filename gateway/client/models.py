"""What the gateway tells, as plain data. Fields mean what `/docs` says of them.

A field with a default may be missing from a reply; fields that are not known here are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackReceipt:
    """Proof that feedback is stored.

    Args:
        feedback_ids: ids of the entries, in the order in which they were given.
        idempotency_key: what the call was sent under; the same call under the same key changes nothing more.
    """

    feedback_ids: tuple[str, ...]
    idempotency_key: str

    @property
    def feedback_id(self) -> str:
        """The id of the entry, of the first one where there are several."""
        return self.feedback_ids[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFeedback:
    """What became of feedback that was given. Unless it is joined, its ids are None.

    Args:
        id: what it is about, as it was given.
        joined: whether something is logged under that id; if not, it waits for it, and `note` says so.
        target: what the id names: `trace`, `request` or `session`.
        idempotency_key: what the call was sent under; the same call under the same key changes nothing more.
    """

    feedback_id: str
    id: str
    joined: bool
    idempotency_key: str
    target: str | None = None
    trace_id: str | None = None
    request_id: str | None = None
    session: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueWeight:
    """What an entry of feedback says, and how much it counts."""

    value: float
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """A request that went through the gateway. Model, tokens and cost are None until it was interpreted, a
    few milliseconds after its end."""

    request_id: str
    trace_id: str
    provider: str
    endpoint: str
    method: str
    path: str
    started_at: datetime
    ended_at: datetime
    outcome: str
    latency_ms: float
    first_byte_at: datetime | None = None
    time_to_first_byte_ms: float | None = None
    status: int | None = None
    error: str | None = None
    is_stream: bool = False
    attempt: int = 0
    client_retry: int = 0
    cache_status: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    span_name: str | None = None
    tenant: str | None = None
    key_name: str | None = None
    user: str | None = None
    organisation: str | None = None
    prompt: str | None = None
    prompt_version: str | None = None
    environment: str | None = None
    session: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    request_size: int = 0
    response_size: int = 0
    requested_model: str | None = None
    model: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_usd: float | None = None
    cost_nanousd: int | None = None
    price_version: str | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    note: str | None = None
    interpreted_at: datetime | None = None
    feedback_count: int = 0
    mean_score: float | None = None
    feedback_pairs: tuple[ValueWeight, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """The latest version of a feedback entry, whatever the dialect it was given in."""

    feedback_id: str
    subject_id: str
    dialect: str
    created_at: datetime
    updated_at: datetime
    version: int = 1
    target: str = "trace"
    kind: str = "rating"
    source: str = "human"
    weight: float = 1.0
    value: float | None = None
    score: float | None = None
    grade: float | None = None
    trace_id: str | None = None
    request_id: str | None = None
    session: str | None = None
    joined_at: datetime | None = None
    tenant: str | None = None
    metric: str | None = None
    label: str | None = None
    comment: str | None = None
    original_text: str | None = None
    edited_text: str | None = None
    original_id: str | None = None
    author: str | None = None
    app_id: str | None = None
    app_version: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    raw: object = None
    key_name: str | None = None
    via: str | None = None
    """What it was given on, where it is shown with requests: `request`, `trace` or `session`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Feedback as one figure: `weighted_mean` is from -1 to 1, None where nothing weighs anything."""

    count: int
    weighted_sum: float
    total_weight: float
    weighted_mean: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """What happened under one trace id, in the order it started, and what was said about it."""

    trace_id: str
    requests: tuple[LoggedRequest, ...]
    feedback: tuple[Feedback, ...]
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header field as it was on the wire."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A body with its content-encoding undone.

    Args:
        encoding: `json`: content is the value that was sent; `text` or `base64`: a string.
        size: bytes on the wire, however many were kept.
        truncated: whether only the beginning was kept.
    """

    encoding: str
    content: object
    size: int
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One direction of a logged request; `reassembled` is a stream put together as one object."""

    headers: tuple[Header, ...]
    body: Body
    reassembled: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDetail(LoggedRequest):
    """A logged request with all that was kept of it. Messages are None where no payload was."""

    request: Message | None = None
    response: Message | None = None
    feedback: tuple[Feedback, ...] = ()
