"""A logged request: its row, facts and payload, and what stores total, import and erase."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import partial
from typing import Annotated

from gateway.models.columns import FILTER, GROUP, HIDDEN, PERSONAL, Column, Origin, columns_of
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

# Money is an integer number of nano-dollars, so that sums are exact.
NANOUSD_PER_USD = 1_000_000_000


@value_class()
class Usage:
    """Tokens, whatever the provider's way of counting: `cached` and `cache_write` are part of `prompt`, `reasoning`
    is part of `completion`."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


@value_class()
class Charge:
    """What is billed at one model's prices: most answers have one charge.

    Args:
        model: None for the model that answered.
        units: what is priced apart, by the name of its unit: parts of the tokens (`input_audio_tokens`, …) and
            other things (`web_searches`, `audio_seconds`, …).
        terms: what else decides the price, such as `service_tier`.
    """

    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    units: Mapping[str, float] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Billing:
    """What decides an answer's cost beside its tokens; `units` and `terms` as in `Charge`.

    Args:
        stated_nanousd: the cost that the provider states, in nano-dollars.
        others: charges whose tokens are part of the answer's usage, at prices or under terms of their own.
    """

    stated_nanousd: int | None = None
    units: Mapping[str, float] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)
    others: tuple[Charge, ...] = ()


NO_BILLING = Billing()


@value_class()
class Cost:
    """What a request cost, and the version of the price table used."""

    nanousd: int
    price_version: str


@value_class()
class Facts:
    """What was read of an exchange after it was stored. Everything may be missing."""

    requested_model: str | None = None
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    cost: Cost | None = None
    response_id: str | None = None
    finish_reason: str | None = None
    # From the body (OpenAI's `user`, Anthropic's `metadata.user_id`), else from W3C baggage.
    user: str | None = None
    session: str | None = None
    # Of the answer to an earlier request that this one continues.
    previous_response_id: str | None = None
    # What could not be understood, for people.
    note: str | None = None
    # Not stored.
    billing: Billing = NO_BILLING
    # None where the answer shows no more than the connection did.
    outcome: Outcome | None = None
    # None where the content type shows it.
    is_stream: bool | None = None
    # Ids that a stream showed beside `response_id`.
    other_response_ids: tuple[str, ...] = ()
    # Whether another request was given this answer before, as polls of background responses are.
    is_retrieval: bool = False

    @property
    def cost_nanousd(self) -> int | None:
        return None if self.cost is None else self.cost.nanousd

    @property
    def price_version(self) -> str | None:
        return None if self.cost is None else self.cost.price_version


_id = partial(Column, Origin.EXCHANGE, part="identity")
_seen = partial(Column, Origin.EXCHANGE)
_tag = partial(Column, Origin.METADATA, uses=FILTER | GROUP | PERSONAL)
_fact = partial(Column, Origin.FACT)
_tokens = partial(Column, Origin.FACT, part="usage")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One row of the log. Times are microseconds since the epoch, sizes bytes."""

    seq: Annotated[
        int, Column(Origin.GATEWAY, "Position in the log of this store; grows with each row.", HIDDEN)
    ]
    request_id: Annotated[
        str,
        _id(
            "Id of ours or of the caller; tries of one call may share it.",
            FILTER | PERSONAL,
            ("gateway.request_id",),
        ),
    ]
    trace_id: Annotated[str, _id("Trace that it is part of.", FILTER | PERSONAL, ("gateway.trace_id",))]
    span_id: Annotated[str | None, _id("Its own id in the trace, as the caller gave it.", PERSONAL)]
    parent_span_id: Annotated[str | None, _id("Span that it was sent in.", PERSONAL)]
    span_name: Annotated[str | None, _id("Name of its span.", PERSONAL)]
    tenant: Annotated[str | None, _seen("Tenant of the key.", GROUP, ("gateway.tenant",))]
    key_name: Annotated[
        str | None,
        _seen(
            "Gateway key that it came with; `import:…` of imported requests.", GROUP, ("gateway.key_name",)
        ),
    ]
    provider: Annotated[str, _seen("Name of the provider.", FILTER | GROUP, ("gen_ai.provider.name",))]
    endpoint: Annotated[
        str, _seen("Kind of call, such as `chat.completions`; `other` where unknown.", FILTER | GROUP)
    ]
    method: Annotated[str, _seen("HTTP method.", attributes=("http.request.method",))]
    path: Annotated[str, _seen("Path and query without secrets; a URL where it was not proxied.", PERSONAL)]
    started_at_us: Annotated[int, _seen("When its head had arrived.")]
    first_byte_at_us: Annotated[int | None, _seen("When the first byte of its answer came.")]
    ended_at_us: Annotated[int, _seen("When its answer had been sent.")]
    status: Annotated[
        int | None,
        _seen(
            "Status sent to the caller: `200`, or a class of them such as `4xx`; null if it left before any was.",
            FILTER | GROUP,
            ("http.response.status_code",),
        ),
    ]
    outcome: Annotated[Outcome, _seen("How the request ended.", FILTER | GROUP, ("gateway.outcome",))]
    error: Annotated[str | None, _seen("What went wrong.", PERSONAL)]
    is_stream: Annotated[bool, _seen("Whether the answer was a stream.", GROUP)]
    attempt: Annotated[int, _seen("Which of the gateway's own tries it was, from 0.", GROUP)]
    client_retry: Annotated[
        int,
        _seen(
            "Which try of the call by its client it was, from 0 (`x-stainless-retry-count`).", FILTER | GROUP
        ),
    ]
    cache_status: Annotated[str | None, _seen("`hit` of answers from a cache.", GROUP)]
    user: Annotated[
        str | None, _tag("End user of the calling application.", attributes=("user.id", "enduser.id"))
    ]
    organisation: Annotated[
        str | None, _tag("Organisation of the end user.", attributes=("gateway.organisation",))
    ]
    prompt: Annotated[str | None, _tag("Name of the prompt.", attributes=("gateway.prompt",))]
    prompt_version: Annotated[
        str | None, _tag("Version of the prompt.", attributes=("gen_ai.prompt.version",))
    ]
    environment: Annotated[
        str | None, _tag("Environment of the calling application.", attributes=("gateway.environment",))
    ]
    session: Annotated[
        str | None,
        _tag(
            "Conversation or agent run that its trace is part of.",
            attributes=("gen_ai.conversation.id", "session.id"),
        ),
    ]
    metadata: Annotated[Mapping[str, object], _id("Object that the caller sent with it.", PERSONAL)]
    request_size: Annotated[int, _seen("Bytes of the request's body on the wire.")]
    response_size: Annotated[int, _seen("Bytes of the response's body on the wire.")]
    requested_model: Annotated[
        str | None, _fact("Model that was asked for.", GROUP, ("gen_ai.request.model",))
    ]
    model: Annotated[str | None, _fact("Model that answered.", FILTER, ("gen_ai.response.model",))]
    prompt_tokens: Annotated[
        int | None, _tokens("Tokens of the request.", attributes=("gen_ai.usage.input_tokens",))
    ]
    completion_tokens: Annotated[
        int | None, _tokens("Tokens of the answer.", attributes=("gen_ai.usage.output_tokens",))
    ]
    cached_tokens: Annotated[
        int | None,
        _tokens(
            "Part of `prompt_tokens` that was read from a cache.",
            attributes=("gen_ai.usage.cache_read.input_tokens",),
        ),
    ]
    cache_write_tokens: Annotated[
        int | None,
        _tokens(
            "Part of `prompt_tokens` that was written to a cache.",
            # The second is the later name of the first. Phoenix 20 knows only the first.
            attributes=("gen_ai.usage.cache_creation.input_tokens", "gen_ai.usage.cache_write.input_tokens"),
        ),
    ]
    reasoning_tokens: Annotated[
        int | None,
        _tokens(
            "Part of `completion_tokens` that was spent on reasoning.",
            attributes=("gen_ai.usage.reasoning.output_tokens",),
        ),
    ]
    cost_nanousd: Annotated[int | None, _fact("The cost in billionths of a US dollar, exact.")]
    price_version: Annotated[str | None, _fact("Version of the price table that the cost is from.")]
    response_id: Annotated[
        str | None, _fact("The provider's id of its response.", PERSONAL, ("gen_ai.response.id",))
    ]
    finish_reason: Annotated[str | None, _fact("Why the model stopped, in the provider's words.")]
    note: Annotated[str | None, _fact("What could not be read of the bodies.", PERSONAL)]
    interpreted_at_us: Annotated[
        int | None,
        Column(
            Origin.GATEWAY, "When the bodies were read, some milliseconds after its end; null until then."
        ),
    ]

    @property
    def any_model(self) -> str | None:
        """The model that the metadata states, or else the one that answered, or else that asked for."""
        models = (metadata_model(self.metadata), self.model, self.requested_model)
        return next((name for name in models if name is not None), None)

    @property
    def total_tokens(self) -> int | None:
        counted = [count for count in (self.prompt_tokens, self.completion_tokens) if count is not None]
        return sum(counted) if counted else None


REQUEST_COLUMNS = columns_of(RequestRecord)
IDENTITY_FIELDS = tuple(column.name for column in REQUEST_COLUMNS if column.part == "identity")
METADATA_COLUMNS = tuple(column.name for column in REQUEST_COLUMNS if column.origin is Origin.METADATA)
METADATA_KEYS = tuple(f"_{name}" for name in METADATA_COLUMNS)


@dataclass(frozen=True, slots=True)
class Payload:
    """Heads and bodies of a logged request, secrets replaced; a side that the caller opted out of is empty."""

    request_headers: RawHeaders
    request_body: bytes
    request_truncated: bool
    response_headers: RawHeaders
    response_body: bytes
    response_truncated: bool
    opt_out: LoggingOptOut = NO_OPT_OUT


@dataclass(frozen=True, slots=True)
class ImportedRequest:
    """A request from another log.

    Args:
        facts: what that log states. What is missing here may still be read from the bodies.
        feedback: entries on it, each with an id that stays the same.
    """

    exchange: Exchange
    facts: Facts
    feedback: tuple[Feedback, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A row of the log, and as far as it was kept the exchange that it was made of."""

    record: RequestRecord
    exchange: Exchange
    # Beside the one in the row.
    other_response_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreTotals:
    """Counts and sums over everything in a store; those of two stores that have nothing in common add up.

    Args:
        body_bytes: on the wire, whether or not they were kept.
        versions: of feedback entries, the latest ones included.
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
        """Return the names of the totals in which two differ."""
        # Weights are sums of fractions, so the last of their digits do not count.
        return [
            f.name
            for f in fields(self)
            if abs(getattr(self, f.name) - getattr(other, f.name)) > (1e-6 if f.name == "weight" else 0)
        ]


@dataclass(frozen=True, slots=True)
class ErasureScope:
    """What is stored of one person.

    Args:
        feedback_ids: entries that they wrote, or that count for one of their requests.
        receipts: scope and key of the calls that made one of these requests or entries.
    """

    request_seqs: tuple[int, ...] = ()
    feedback_ids: tuple[str, ...] = ()
    receipts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ExpiredCounts:
    """How many requests and feedback entries were deleted because they were too old."""

    requests: int = 0
    feedback: int = 0

    def __add__(self, other: ExpiredCounts) -> ExpiredCounts:
        return ExpiredCounts(self.requests + other.requests, self.feedback + other.feedback)

    def __bool__(self) -> bool:
        return self != ExpiredCounts()
