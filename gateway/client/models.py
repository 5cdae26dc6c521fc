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
    idempotency_key: str
    # `trace`, `request` or `session`.
    target: str | None = None
    trace_id: str | None = None
    request_id: str | None = None
    session: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueWeight:
    """A feedback entry in short; `via` is its target."""

    value: float
    weight: float
    kind: str = "rating"
    via: str = "trace"


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
    cache_source_request_id: str | None = None
    route: str | None = None
    target: str | None = None
    route_trail: str | None = None
    experiment: str | None = None
    variant: str | None = None
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
class NamedRecord:
    """What a searched text is the id or name of; `path` is where the gateway serves it."""

    kind: str
    id: str
    path: str
    tenant: str | None = None
    trace_id: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TextMatch:
    """A text with all words, cut around the first; `place` is `question`, `answer` or `comment`."""

    place: str
    before: str
    match: str
    after: str
    feedback_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """A request that contains the searched words."""

    request: LoggedRequest
    matches: tuple[TextMatch, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitingMatch:
    """A comment with all words, of feedback whose request is not logged; `id` is what it was given on."""

    feedback_id: str
    id: str
    created_at: datetime
    before: str
    match: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPage:
    """Hits, the newest first, and how far back the search came; unless `is_complete`, `next_cursor` goes on."""

    ids: tuple[NamedRecord, ...]
    data: tuple[SearchHit, ...]
    is_complete: bool
    searched: int
    next_cursor: str | None = None
    searched_from: datetime | None = None
    # None where there was no time to look.
    waiting: tuple[WaitingMatch, ...] | None = ()


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
class ListedFeedback(Feedback):
    """An entry with the texts of the request that it counts for, where they were asked for."""

    question: str | None = None
    answer: str | None = None
    # Why there is no answer.
    no_answer: str | None = None


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
class Review:
    """A person's reservation or review of a request; `state` is `reserved` or `reviewed`."""

    request_id: str
    trace_id: str
    state: str
    reviewer: str
    at: datetime
    tenant: str | None = None
    note: str | None = None
    reserved_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NextReview:
    """A request that was reserved for the caller."""

    request: LoggedRequest
    review: Review


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A value with its 95 % confidence interval, None where too little is known for one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PairAgreement:
    """Two people who scored the same requests."""

    people: tuple[str, ...]
    requests: int
    same_sign: Estimate
    kappa: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleAgreement:
    """People on requests that at least two of them scored."""

    people: int
    requests: int
    same_sign: Estimate | None = None
    alpha: Estimate | None = None
    alpha_ordinal: float | None = None
    pairs: tuple[PairAgreement, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelAgreement:
    """Mean scores of people and of models on requests that both scored."""

    requests: int
    human_mean: float | None = None
    model_mean: float | None = None
    same_sign: Estimate | None = None
    correlation: Estimate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Agreement of scores; `read_back_to` is None where all were read."""

    scores: int
    people: PeopleAgreement
    models: ModelAgreement
    read_back_to: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDetail(LoggedRequest):
    """A logged request with its messages, which are None where no payload was kept."""

    request: Message | None = None
    response: Message | None = None
    feedback: tuple[Feedback, ...] = ()
    # None where nobody has reserved or reviewed it.
    review: Review | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost of the requests whose price is known."""

    usd: float
    nanousd: int
    priced_requests: int
    usd_per_request: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Tokens of the requests where they are known; `cached` is part of `prompt`."""

    prompt: int
    completion: int
    cached: int
    counted_requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Milliseconds from arrival to the end of the answer."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A group of requests in a comparison; `filters` list its requests."""

    arm: str | float | bool | None
    requests: int
    errors: int
    people: int
    entries: int
    cost: Cost
    tokens: Tokens
    filters: Mapping[str, str] | None = None
    error_rate: Estimate | None = None
    mean_score: Estimate | None = None
    share_positive: Estimate | None = None
    coverage: float | None = None
    latency_ms: Latency | None = None
    first_byte_ms: float | None = None
    first_byte_latency_ms: Latency | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmPair:
    """The difference of the scores of two arms, the one with the higher score first."""

    arm: str | float | bool | None
    other: str | float | bool | None
    difference: Estimate
    p_value: float
    is_different: bool
    more_people_needed: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Groups of requests side by side; `summary` says what can be claimed and what not."""

    summary: str
    method: str
    arms: tuple[Arm, ...]
    pairs: tuple[ArmPair, ...] = ()
    warnings: tuple[str, ...] = ()
    unknown_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackMetrics:
    """Feedback that counts for requests, entry by entry."""

    count: int
    total_weight: float
    mean_score: Estimate | None = None
    share_positive: Estimate | None = None
    average_weighted_grade: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Usage of requests and the feedback on them."""

    requests: int
    errors: int
    cost: Cost
    tokens: Tokens
    feedback: FeedbackMetrics
    error_rate: float | None = None
    coverage: float | None = None
    latency_ms: Latency | None = None
    first_byte_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPoint(Metrics):
    """The requests that started in one interval."""

    starts_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsGroup(Metrics):
    """The requests of one model or prompt; `filters` list them."""

    group: str | float | bool | None
    filters: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttentionItem:
    """Something that costs money or feedback unseen; `path` lists its rows with `filters`."""

    kind: str
    message: str
    count: int
    path: str
    filters: Mapping[str, str]
    share: float | None = None
    tokens: int | None = None
    cost_usd: float | None = None
    since: datetime | None = None
    ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Metrics of a time and of the period of the same length before."""

    starts_at: datetime
    ends_at: datetime
    interval_seconds: int
    total: Metrics
    before: Metrics
    series: tuple[MetricsPoint, ...]
    by_model: tuple[MetricsGroup, ...]
    by_prompt: tuple[MetricsGroup, ...]
    attention: tuple[AttentionItem, ...]
    unknown_keys: tuple[str, ...] = ()
