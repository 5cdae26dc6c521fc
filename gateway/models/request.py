"""A logged request: its row, facts and payload, and what stores total, import and erase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from gateway.models.exchange import (
    NO_OPT_OUT,
    Exchange,
    LoggingOptOut,
    Outcome,
    RawHeaders,
    metadata_model,
    value_class,
)
from gateway.models.feedback import Feedback

NANOUSD_PER_USD = 1_000_000_000
"""Nano-dollars in a dollar. Money is an integer number of nano-dollars, so that sums are exact."""


@value_class()
class Usage:
    """Tokens as the provider counted them. `cached` and `cache_write` are part of `prompt`, `reasoning`
    is part of `completion`, whatever the provider's own way of counting."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


@value_class()
class Charge:
    """What is billed at one model's prices: most answers have one charge.

    Args:
        model: whose prices; None for the model that answered.
        usage: tokens.
        units: what is priced apart, by the name of its unit: parts of the tokens (`input_audio_tokens`,
            `cache_write_1h_tokens`, …) and other things (`web_searches`, `audio_seconds`, …).
        terms: what else decides the price, such as `service_tier`.
    """

    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    units: Mapping[str, float] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Billing:
    """What an answer says of its price beside its tokens.

    Args:
        stated_nanousd: the cost that the provider states, in nano-dollars.
        units: see `Charge`.
        terms: see `Charge`.
        others: charges whose tokens are part of the answer's usage, at prices or under terms of their own.
    """

    stated_nanousd: int | None = None
    units: Mapping[str, float] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)
    others: tuple[Charge, ...] = ()


NO_BILLING = Billing()


@value_class()
class Cost:
    """What a request cost, and the version of the price table that says so."""

    nanousd: int
    price_version: str


@value_class()
class Facts:
    """What was understood of an exchange after it was stored. Everything may be missing."""

    requested_model: str | None = None
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost: Cost | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    user: str | None = None
    """The end user that the request body names (OpenAI's `user`, Anthropic's `metadata.user_id`), or else W3C
    baggage."""
    session: str | None = None
    """The conversation that the request's body or its baggage names."""
    previous_response_id: str | None = None
    """The answer, to an earlier request, that the request continues."""
    note: str | None = None
    """What could not be understood, for people."""
    billing: Billing = NO_BILLING
    """What decides the cost beside the tokens. Not stored."""
    outcome: Outcome | None = None
    """How the exchange ended by what the answer says; None where that is no more than the connection showed."""
    is_stream: bool | None = None
    """Whether the answer was a stream; None where its content type tells as much."""
    other_response_ids: tuple[str, ...] = ()
    """Ids that a stream showed beside `response_id`."""
    is_retrieval: bool = False
    """Whether the answer is one that another request was given before, as polls of background responses are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One row of the log. Times are microseconds since the epoch, sizes bytes."""

    seq: int
    """Position in the log of this store; grows with each row. For paging, not an identity."""
    request_id: str
    trace_id: str
    span_id: str | None
    parent_span_id: str | None
    span_name: str | None
    tenant: str | None
    key_name: str | None
    provider: str
    endpoint: str
    method: str
    path: str
    started_at_us: int
    first_byte_at_us: int | None
    ended_at_us: int
    status: int | None
    outcome: Outcome
    error: str | None
    is_stream: bool
    attempt: int
    client_retry: int
    cache_status: str | None
    user: str | None
    organisation: str | None
    prompt: str | None
    environment: str | None
    session: str | None
    metadata: Mapping[str, object]
    request_size: int
    response_size: int
    requested_model: str | None
    model: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    cost_nanousd: int | None
    price_version: str | None
    response_id: str | None
    finish_reason: str | None
    note: str | None
    interpreted_at_us: int | None
    """None until the exchange has been interpreted, a few milliseconds after it was stored."""

    @property
    def any_model(self) -> str | None:
        """The model that the metadata states, or else the one that answered, or else that asked for."""
        models = (metadata_model(self.metadata), self.model, self.requested_model)
        return next((name for name in models if name is not None), None)

    @property
    def total_tokens(self) -> int | None:
        """All tokens that were counted."""
        counted = [count for count in (self.prompt_tokens, self.completion_tokens) if count is not None]
        return sum(counted) if counted else None


@dataclass(frozen=True, slots=True)
class Payload:
    """Heads and bodies of a logged request as they went over the wire, secrets replaced.

    A side that was omitted is empty.
    """

    request_headers: RawHeaders
    request_body: bytes
    request_truncated: bool
    response_headers: RawHeaders
    response_body: bytes
    response_truncated: bool
    opt_out: LoggingOptOut = NO_OPT_OUT


@dataclass(frozen=True, slots=True)
class ImportedRequest:
    """What came over the wire, what was stated of it, and the verdicts on it.

    Args:
        facts: what its log states. What is missing here may still be read from the bodies.
        feedback: entries that were given elsewhere, each with an id that stays the same.
    """

    exchange: Exchange
    facts: Facts
    feedback: tuple[Feedback, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A row of the log as it is, and the exchange that it was made of, as far as that was kept.

    Args:
        other_response_ids: those that its answer showed beside the one in the row.
    """

    record: RequestRecord
    exchange: Exchange
    other_response_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreTotals:
    """Counts and sums over all that there is. Those of two stores that have nothing in common add up.

    Args:
        body_bytes: as they went over the wire, whether or not they were kept.
        versions: of entries of feedback, the latest ones included.
        weight: sum of the weights of the latest versions.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nanousd: int = 0
    body_bytes: int = 0
    feedback: int = 0
    versions: int = 0
    weight: float = 0.0

    def __add__(self, other: StoreTotals) -> StoreTotals:
        return StoreTotals(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def differs_from(self, other: StoreTotals) -> list[str]:
        """Return the names of the figures in which two differ. Weights are sums of fractions, so the last of their
        digits do not count."""
        return [
            f.name
            for f in fields(self)
            if abs(getattr(self, f.name) - getattr(other, f.name)) > (1e-6 if f.name == "weight" else 0)
        ]


@dataclass(frozen=True, slots=True)
class ErasureScope:
    """What was kept of one person, by what it is found again.

    Args:
        request_seqs: the rows of their requests.
        feedback_ids: entries that they wrote, or that count for one of those requests.
        receipts: scope and key of the calls that made one of these requests or entries.
    """

    request_seqs: tuple[int, ...] = ()
    feedback_ids: tuple[str, ...] = ()
    receipts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ExpiredCounts:
    """How many requests and entries of feedback were deleted because they were too old."""

    requests: int = 0
    feedback: int = 0

    def __add__(self, other: ExpiredCounts) -> ExpiredCounts:
        return ExpiredCounts(self.requests + other.requests, self.feedback + other.feedback)

    def __bool__(self) -> bool:
        return self != ExpiredCounts()
