"""A logged request: its row, facts and payload, and what stores total, import and erase."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Annotated

from gateway.models.columns import FILTER, GROUP, HIDDEN, PERSONAL, Column, Origin, Use, columns_of
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
    # Whatever the provider's way of counting: `cached` and `cache_write` are part of `prompt`, `reasoning` is
    # part of `completion`.

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None

    def without(self, parts: Sequence[Usage]) -> Usage:
        """Return this usage less parts of it."""
        counts = {
            field.name: None
            if count is None
            else count - sum(getattr(part, field.name) or 0 for part in parts)
            for field in fields(self)
            for count in [getattr(self, field.name)]
        }
        return Usage(**counts)


@value_class()
class Charge:
    """What is billed at one model's prices; most answers have one charge."""

    # None for the model that answered.
    model: str | None = None
    usage: Usage = field(default_factory=Usage)
    # What is priced apart, by the name of its unit: parts of the tokens (`input_audio_tokens`, …) and other
    # things (`web_searches`, `audio_seconds`, …).
    units: Mapping[str, float] = field(default_factory=dict)
    # What else decides the price, such as `service_tier`.
    terms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Billing:
    """What decides the cost beside tokens; see `Charge`."""

    # The cost that the provider states, in nano-dollars.
    stated_nanousd: int | None = None
    units: Mapping[str, float] = field(default_factory=dict)
    terms: Mapping[str, str] = field(default_factory=dict)
    # Charges whose tokens are part of the answer's usage, at prices or under terms of their own.
    others: tuple[Charge, ...] = ()


NO_BILLING = Billing()


@value_class()
class Cost:
    """Cost, and the version of the price table."""

    nanousd: int
    price_version: str


@value_class()
class Facts:
    """What was read of a stored exchange."""

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


def _declare(origin: Origin, part: str = "", default_uses: Use = Use.NONE) -> Callable[..., Column]:
    def column(description: str, *attributes: str, uses: Use = Use.NONE) -> Column:
        return Column(origin, description, uses | default_uses, attributes, part)

    return column


_id = _declare(Origin.EXCHANGE, "identity", PERSONAL)
_seen = _declare(Origin.EXCHANGE)
_tag = _declare(Origin.METADATA, default_uses=FILTER | GROUP | PERSONAL)
_fact = _declare(Origin.FACT)
_own = _declare(Origin.GATEWAY)
_tokens = _declare(Origin.FACT, "usage")


@value_class(kw_only=True)
class RequestRecord:
    """One row of the log. Times are microseconds since the epoch, sizes bytes."""

    seq: Annotated[int, _own("Position in the log of this store; grows with each row.", uses=HIDDEN)]
    request_id: Annotated[
        str,
        _id(
            "Id of ours or of the caller; tries of one call may share it.", "gateway.request_id", uses=FILTER
        ),
    ]
    trace_id: Annotated[str, _id("Trace that it is part of.", "gateway.trace_id", uses=FILTER)]
    span_id: Annotated[str | None, _id("Its own id in the trace, as the caller gave it.")]
    parent_span_id: Annotated[str | None, _id("Span that it was sent in.")]
    span_name: Annotated[str | None, _id("Name of its span.")]
    tenant: Annotated[str | None, _seen("Tenant of the key.", "gateway.tenant", uses=GROUP)]
    key_name: Annotated[
        str | None,
        _seen(
            "Gateway key that it came with; `import:…` of imported requests.",
            "gateway.key_name",
            uses=FILTER | GROUP,
        ),
    ]
    provider: Annotated[str, _seen("Name of the provider.", "gen_ai.provider.name", uses=FILTER | GROUP)]
    endpoint: Annotated[
        str, _seen("Kind of call, such as `chat.completions`; `other` where unknown.", uses=FILTER | GROUP)
    ]
    method: Annotated[str, _seen("HTTP method.", "http.request.method")]
    path: Annotated[
        str, _seen("Path and query without secrets; a URL where it was not proxied.", uses=PERSONAL)
    ]
    started_at_us: Annotated[int, _seen("When its head had arrived.")]
    first_byte_at_us: Annotated[int | None, _seen("When the first byte of its answer came.")]
    ended_at_us: Annotated[int, _seen("When its answer had been sent.")]
    status: Annotated[
        int | None,
        _seen(
            "Status sent to the caller: `200`, or a class of them such as `4xx`; null if it left before any was.",
            "http.response.status_code",
            uses=FILTER | GROUP,
        ),
    ]
    outcome: Annotated[Outcome, _seen("How the request ended.", "gateway.outcome", uses=FILTER | GROUP)]
    error: Annotated[str | None, _seen("What went wrong.", uses=PERSONAL)]
    is_stream: Annotated[bool, _seen("Whether the answer was a stream.", uses=FILTER | GROUP)]
    attempt: Annotated[int, _seen("Which of the gateway's own tries it was, from 0.", uses=FILTER | GROUP)]
    client_retry: Annotated[
        int,
        _seen(
            "Which try of the call by its client it was, from 0 (`x-stainless-retry-count`).",
            uses=FILTER | GROUP,
        ),
    ]
    cache_status: Annotated[
        str | None,
        _seen(
            "`hit` of answers from a cache; `miss` and `refresh` of those that one might keep.",
            uses=FILTER | GROUP,
        ),
    ]
    cache_source_request_id: Annotated[
        str | None, _seen("Request whose answer was given again from the cache.", uses=PERSONAL)
    ]
    route: Annotated[
        str | None,
        _seen("Route of the configuration that it took.", "gateway.route", uses=FILTER | GROUP),
    ]
    target: Annotated[
        str | None,
        _seen("Target of its route, by name or path.", "gateway.route.target", uses=FILTER | GROUP),
    ]
    route_trail: Annotated[str | None, _seen("Why it went to this target, in sentences.", uses=PERSONAL)]
    experiment: Annotated[
        str | None,
        _seen(
            "Experiment that it was part of, and its version: `tone@2`.",
            "gateway.experiment",
            uses=FILTER | GROUP,
        ),
    ]
    variant: Annotated[
        str | None,
        _seen(
            "Variant that it was assigned to, whichever target answered.",
            "gateway.experiment.variant",
            uses=FILTER | GROUP,
        ),
    ]
    user: Annotated[str | None, _tag("End user of the calling application.", "user.id", "enduser.id")]
    organisation: Annotated[str | None, _tag("Organisation of the end user.", "gateway.organisation")]
    prompt: Annotated[str | None, _tag("Name of the prompt.", "gateway.prompt")]
    prompt_version: Annotated[str | None, _tag("Version of the prompt.", "gen_ai.prompt.version")]
    environment: Annotated[str | None, _tag("Environment of the calling application.", "gateway.environment")]
    session: Annotated[
        str | None,
        _tag("Conversation or agent run that its trace is part of.", "gen_ai.conversation.id", "session.id"),
    ]
    metadata: Annotated[Mapping[str, object], _id("Object that the caller sent with it.")]
    request_size: Annotated[int, _seen("Bytes of the request's body on the wire.")]
    response_size: Annotated[int, _seen("Bytes of the response's body on the wire.")]
    requested_model: Annotated[
        str | None, _fact("Model that was asked for.", "gen_ai.request.model", uses=GROUP)
    ]
    model: Annotated[str | None, _fact("Model that answered.", "gen_ai.response.model", uses=FILTER)]
    prompt_tokens: Annotated[int | None, _tokens("Tokens of the request.", "gen_ai.usage.input_tokens")]
    completion_tokens: Annotated[int | None, _tokens("Tokens of the answer.", "gen_ai.usage.output_tokens")]
    cached_tokens: Annotated[
        int | None,
        _tokens(
            "Part of `prompt_tokens` that was read from a cache.", "gen_ai.usage.cache_read.input_tokens"
        ),
    ]
    # The second attribute is the later name of the first. Phoenix 20 knows only the first.
    cache_write_tokens: Annotated[
        int | None,
        _tokens(
            "Part of `prompt_tokens` that was written to a cache.",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.cache_write.input_tokens",
        ),
    ]
    reasoning_tokens: Annotated[
        int | None,
        _tokens(
            "Part of `completion_tokens` that was spent on reasoning.", "gen_ai.usage.reasoning.output_tokens"
        ),
    ]
    cost_nanousd: Annotated[int | None, _fact("The cost in billionths of a US dollar, exact.")]
    price_version: Annotated[str | None, _fact("Version of the price table that the cost is from.")]
    response_id: Annotated[
        str | None, _fact("The provider's id of its response.", "gen_ai.response.id", uses=PERSONAL)
    ]
    finish_reason: Annotated[str | None, _fact("Why the model stopped, in the provider's words.")]
    note: Annotated[str | None, _fact("What could not be read of the bodies.", uses=PERSONAL)]
    interpreted_at_us: Annotated[
        int | None, _own("When the bodies were read, some milliseconds after its end; null until then.")
    ]

    @property
    def any_model(self) -> str | None:
        # The metadata names it best, then the answer.
        models = (metadata_model(self.metadata), self.model, self.requested_model)
        return next((name for name in models if name is not None), None)

    @property
    def path_at_provider(self) -> str:
        # Without its name, by which the caller chose it.
        rest = self.path.removeprefix(f"/{self.provider}")
        return rest if rest.startswith("/") else self.path

    @property
    def total_tokens(self) -> int | None:
        counted = [count for count in (self.prompt_tokens, self.completion_tokens) if count is not None]
        return sum(counted) if counted else None


REQUEST_COLUMNS = columns_of(RequestRecord)
IDENTITY_FIELDS = tuple(column.name for column in REQUEST_COLUMNS if column.part == "identity")
METADATA_COLUMNS = tuple(column.name for column in REQUEST_COLUMNS if column.origin is Origin.METADATA)
METADATA_KEYS = tuple(f"_{name}" for name in METADATA_COLUMNS)

# Rows that `serve --demo-data` stores have this key name, and this key in their metadata; the oldest of them has
# this request id, by which they are found at once.
DEMO_KEY_NAME = "demo-data"
DEMO_METADATA_KEY = "demo"
DEMO_REQUEST_ID = "demo-data"


@value_class()
class Payload:
    """Heads and bodies of a logged request; empty after an opt-out."""

    request_headers: RawHeaders
    request_body: bytes
    request_truncated: bool
    response_headers: RawHeaders
    response_body: bytes
    response_truncated: bool
    opt_out: LoggingOptOut = NO_OPT_OUT


@dataclass(frozen=True, slots=True)
class ImportedRequest:
    """A request from another log."""

    exchange: Exchange
    # What that log states. What is missing here may still be read from the bodies.
    facts: Facts
    # Entries on it, each with an id that stays the same.
    feedback: tuple[Feedback, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredRequest:
    """A row, and its exchange as far as it was kept."""

    record: RequestRecord
    exchange: Exchange
    # Beside the one in the row.
    other_response_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreTotals:
    """Counts and sums over a store."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nanousd: int = 0
    # On the wire, whether or not they were kept.
    body_bytes: int = 0
    feedback: int = 0
    # Of feedback entries, the latest ones included.
    versions: int = 0
    # Sum of the weights of the latest versions.
    weight: float = 0.0

    def __add__(self, other: StoreTotals) -> StoreTotals:
        return StoreTotals(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def differs_from(self, other: StoreTotals) -> list[str]:
        """Return the names of totals that differ."""
        # Weights are sums of fractions, so the last of their digits do not count.
        return [
            f.name
            for f in fields(self)
            if abs(getattr(self, f.name) - getattr(other, f.name)) > (1e-6 if f.name == "weight" else 0)
        ]


@dataclass(frozen=True, slots=True)
class ErasureScope:
    """What is stored of one person."""

    request_seqs: tuple[int, ...] = ()
    # Entries that they wrote, or that count for one of their requests.
    feedback_ids: tuple[str, ...] = ()
    # Scope and key of the calls that made one of these requests or entries.
    receipts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ExpiredCounts:
    """How many requests and entries were deleted by retention."""

    requests: int = 0
    feedback: int = 0

    def __add__(self, other: ExpiredCounts) -> ExpiredCounts:
        return ExpiredCounts(self.requests + other.requests, self.feedback + other.feedback)

    def __bool__(self) -> bool:
        return self != ExpiredCounts()
