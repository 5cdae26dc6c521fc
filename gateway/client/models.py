"""Replies of the gateway as frozen data; `/docs` describes the fields.

A field with a default may be missing from a reply; unknown fields are ignored.
"""

# Spelled out, not derived from the columns: callers' type checkers and editors read these fields, and a client
# that decodes needs no server models. Tests compare the names with what the API sends.

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackReceipt:
    """Confirms that feedback is stored; the ids are in the order of the entries."""

    feedback_ids: tuple[str, ...]
    # Repeating the call with it changes nothing.
    idempotency_key: str

    @property
    def feedback_id(self) -> str:
        """The id of the first entry."""
        return self.feedback_ids[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenFeedback:
    """Feedback as it was stored; unless it is `joined`, it waits for a request with its `id`."""

    feedback_id: str
    id: str
    joined: bool
    # Repeating the call with it changes nothing.
    idempotency_key: str
    # `trace`, `request` or `session`.
    target: str | None = None
    trace_id: str | None = None
    request_id: str | None = None
    session: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueWeight:
    """The value and weight of one feedback entry."""

    value: float
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """A proxied request. Model, tokens and cost are None until some milliseconds after its end."""

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
    """The latest version of a feedback entry."""

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
    # With requests: the target that the feedback was given on, `request`, `trace` or `session`.
    via: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The mean score of feedback: from -1 to 1, None where the total weight is 0."""

    count: int
    weighted_sum: float
    total_weight: float
    weighted_mean: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The requests of one trace id by start time, and their feedback."""

    trace_id: str
    requests: tuple[LoggedRequest, ...]
    feedback: tuple[Feedback, ...]
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header field as sent."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A body without its content-encoding."""

    # `json`, `text` or `base64`.
    encoding: str
    content: object
    # Bytes on the wire; `truncated` if fewer were kept.
    size: int
    truncated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One direction of a logged request; `reassembled` is a stream as one object."""

    headers: tuple[Header, ...]
    body: Body
    reassembled: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDetail(LoggedRequest):
    """A logged request with its messages, which are None where no payload was kept."""

    request: Message | None = None
    response: Message | None = None
    feedback: tuple[Feedback, ...] = ()
