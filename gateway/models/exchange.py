"""A proxied request on the wire: bytes, times and outcome."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value_class(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """Make a dataclass that only type checkers take for frozen."""
    # Python's own frozen dataclasses take three times as long to make, as each field is set by a call.

    def make(cls: type[T]) -> type[T]:
        return dataclass(slots=True, kw_only=kw_only)(cls)

    return make


# In the order and spelling of the wire.
RawHeaders = tuple[tuple[bytes, bytes], ...]


def first_value(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    # `name` is in lower case.
    length = len(name)
    for field_name, field_value in headers:
        # Most fields differ in length, which is cheaper than a copy in lower case.
        if len(field_name) == length and field_name.lower() == name:
            return field_value
    return b""


_STREAM_TYPES = (
    b"text/event-stream",
    b"application/x-ndjson",
    b"application/stream+json",
    b"application/vnd.amazon.eventstream",
)


def declares_stream(headers: RawHeaders) -> bool:
    # Some streams have another content type.
    return first_value(headers, b"content-type").lower().startswith(_STREAM_TYPES)


class Outcome(StrEnum):
    """How a proxied request ended."""

    COMPLETE = "complete"
    # An error inside an answer whose status was good.
    PROVIDER_ERROR = "provider_error"
    # Refused, reset before the head, or not HTTP.
    UPSTREAM_ERROR = "upstream_error"
    # Broken off after the head, or a stream without its own end.
    UPSTREAM_TRUNCATED = "upstream_truncated"
    CLIENT_CLOSED = "client_closed"
    TIMEOUT = "timeout"
    # The gateway refused or failed after a provider had been chosen.
    GATEWAY_ERROR = "gateway_error"


class PayloadPolicy(StrEnum):
    """How much of headers and bodies is kept."""

    FULL = "full"
    REDACTED = "redacted"
    OFF = "off"


_BY_STRICTNESS = (PayloadPolicy.FULL, PayloadPolicy.REDACTED, PayloadPolicy.OFF)


def strictest_policy(policies: Iterable[PayloadPolicy]) -> PayloadPolicy:
    return max(policies, key=_BY_STRICTNESS.index)


@dataclass(frozen=True, slots=True)
class LoggingOptOut:
    """Sides of an exchange that the caller wants kept nowhere."""

    request: bool = False
    response: bool = False


NO_OPT_OUT = LoggingOptOut()


@value_class()
class Identity:
    """Ids, span and metadata of a request."""

    request_id: str
    trace_id: str
    span_id: str | None = None
    parent_span_id: str | None = None
    span_name: str | None = None
    # JSON object; the keys in `METADATA_KEYS` become columns.
    metadata: Mapping[str, object] = field(default_factory=dict)


def metadata_model(metadata: Mapping[str, object]) -> str | None:
    # Names the model whatever body and answer call it.
    model = metadata.get("_model")
    return model if isinstance(model, str) and model else None


_LOWERCASE = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def lowercase_ascii(name: str) -> str:
    # As databases compare names.
    return name.translate(_LOWERCASE)


@value_class()
class Exchange:
    """A finished proxied request. Bodies may be cut; sizes are those on the wire."""

    identity: Identity
    provider: str
    # Kind of call by its path: `chat.completions`, `messages`, …, or `other`.
    endpoint: str
    method: str
    # As the caller sent it; a whole URL where the request was not proxied.
    path: str
    started_at_us: int
    ended_at_us: int
    outcome: Outcome
    tenant: str | None = None
    key_name: str | None = None
    first_byte_at_us: int | None = None
    # None if the caller left before any was sent.
    status: int | None = None
    error: str | None = None
    attempt: int = 0
    # As the client says, from 0; 0 too where it says nothing.
    client_retry: int = 0
    cache_status: str | None = None
    # Whose answer was given again.
    cache_source_request_id: str | None = None
    # Of a request with a route; one that its caller brought along has no name.
    route: str | None = None
    target: str | None = None
    route_trail: str | None = None
    # With its version, and the variant that was assigned.
    experiment: str | None = None
    variant: str | None = None
    payloads: PayloadPolicy = PayloadPolicy.FULL
    opt_out: LoggingOptOut = NO_OPT_OUT
    request_headers: RawHeaders = ()
    request_body: bytes = b""
    request_size: int = 0
    response_headers: RawHeaders = ()
    response_body: bytes = b""
    response_size: int = 0

    @property
    def is_from_cache(self) -> bool:
        return self.cache_source_request_id is not None

    @property
    def is_stream(self) -> bool:
        return declares_stream(self.response_headers)

    @property
    def keeps_request(self) -> bool:
        return self.payloads is not PayloadPolicy.OFF and not self.opt_out.request

    @property
    def keeps_response(self) -> bool:
        return self.payloads is not PayloadPolicy.OFF and not self.opt_out.response


# Endpoints that answer without a model.
NO_MODEL_CALLS = frozenset(
    {
        "models.show",
        "messages.count_tokens",
        "responses.count_tokens",
        "gemini.count_tokens",
        "bedrock.count_tokens",
    }
)

# Endpoints that describe models or the service to a GET, or carry calls with rows of their own; below some such
# paths models answer a POST.
NO_MODEL_READS = frozenset({"models", "service", "websocket"})

PROBE_METHODS = frozenset({"HEAD", "OPTIONS"})


def is_model_call(method: str, endpoint: str) -> bool:
    # Other calls count for no quota, and are no errors in metrics.
    if method in PROBE_METHODS or endpoint in NO_MODEL_CALLS:
        return False
    return method != "GET" or endpoint not in NO_MODEL_READS


def was_proxied(path: str) -> bool:
    # Requests that were only reported have a whole URL for a path.
    return path.startswith("/")
