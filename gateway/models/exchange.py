"""One proxied request as it went over the wire: bytes, times and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True)
def value_class(*, kw_only: bool = False) -> Callable[[type[T]], type[T]]:
    """Make a class a dataclass for what is made with every request.

    Python's own frozen dataclasses take three times as long to make, as each field is set by a call.
    """

    def make(cls: type[T]) -> type[T]:
        return dataclass(slots=True, kw_only=kw_only)(cls)

    return make


# Header fields in the order, spelling and number in which they were on the wire.
RawHeaders = tuple[tuple[bytes, bytes], ...]


def first_value(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    """Return the value of the first field called `name` (lower case); empty without one."""
    length = len(name)
    for field_name, field_value in headers:
        # Most fields are told apart by their length, which is cheaper than a copy in lower case.
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
    """Tell whether an answer is a stream of events by its content type. Some are without saying so."""
    return first_value(headers, b"content-type").lower().startswith(_STREAM_TYPES)


class Outcome(StrEnum):
    """How a proxied request ended: exactly one of these, always."""

    COMPLETE = "complete"
    # The provider stated an error inside an answer whose status was good.
    PROVIDER_ERROR = "provider_error"
    # No usable answer came: refused, reset before its head, or not HTTP.
    UPSTREAM_ERROR = "upstream_error"
    # The upstream broke off after its head, or ended a stream before the stream's own end.
    UPSTREAM_TRUNCATED = "upstream_truncated"
    CLIENT_CLOSED = "client_closed"
    TIMEOUT = "timeout"
    # We refused or failed after a provider had been chosen.
    GATEWAY_ERROR = "gateway_error"


class PayloadPolicy(StrEnum):
    """What of headers and bodies is kept: all, all but their text, or nothing."""

    FULL = "full"
    REDACTED = "redacted"
    OFF = "off"


_BY_STRICTNESS = (PayloadPolicy.FULL, PayloadPolicy.REDACTED, PayloadPolicy.OFF)


def strictest_policy(policies: Iterable[PayloadPolicy]) -> PayloadPolicy:
    """Return the policy that keeps least. Raises ValueError for none."""
    return max(policies, key=_BY_STRICTNESS.index)


@dataclass(frozen=True, slots=True)
class LoggingOptOut:
    """Which sides of an exchange, heads and bodies, the caller wants kept nowhere, whatever the policy."""

    request: bool = False
    response: bool = False


NO_OPT_OUT = LoggingOptOut()


@value_class()
class Identity:
    """What a request says it is: its ids, its place in an agent run, and what it is tagged with."""

    request_id: str
    trace_id: str
    span_id: str | None = None
    parent_span_id: str | None = None
    span_name: str | None = None
    # JSON object; `_user`, `_organisation`, `_prompt`, `_environment` and `_session` become columns.
    metadata: Mapping[str, object] = field(default_factory=dict)


def metadata_model(metadata: Mapping[str, object]) -> str | None:
    """Return the model that a request says it uses, whatever its body and its answer call it: `_model`."""
    model = metadata.get("_model")
    return model if isinstance(model, str) and model else None


_LOWERCASE = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def lowercase_ascii(name: str) -> str:
    """Return a property's name as it is compared: without regard to the case of A to Z, as databases do it."""
    return name.translate(_LOWERCASE)


@value_class(kw_only=True)
class Exchange:
    """A finished proxied request. Bodies may be cut at the logging cap; the sizes tell what was forwarded."""

    identity: Identity
    tenant: str | None = None
    key_name: str | None = None
    provider: str
    # Kind of call by its path: `chat.completions`, `messages`, …, or `other`.
    endpoint: str
    method: str
    # Path and query as the caller sent them; see `was_proxied` for what did not pass here.
    path: str
    started_at_us: int
    first_byte_at_us: int | None = None
    ended_at_us: int
    # Status sent to the caller; None if the caller left before any was.
    status: int | None = None
    outcome: Outcome
    # What went wrong, for people; None if nothing did.
    error: str | None = None
    attempt: int = 0
    # Which try of the same call the client says that this is, from 0; 0 too where it says nothing.
    client_retry: int = 0
    cache_status: str | None = None
    payloads: PayloadPolicy = PayloadPolicy.FULL
    opt_out: LoggingOptOut = NO_OPT_OUT
    request_headers: RawHeaders = ()
    request_body: bytes = b""
    request_size: int = 0
    response_headers: RawHeaders = ()
    response_body: bytes = b""
    response_size: int = 0

    @property
    def is_stream(self) -> bool:
        """Whether the response says that it is a stream."""
        return declares_stream(self.response_headers)

    @property
    def keeps_request(self) -> bool:
        """Whether anything of the request's head and body may be kept."""
        return self.payloads is not PayloadPolicy.OFF and not self.opt_out.request

    @property
    def keeps_response(self) -> bool:
        """Whether anything of the response's head and body may be kept."""
        return self.payloads is not PayloadPolicy.OFF and not self.opt_out.response


# Endpoints that are asked about models or tokens, and no model to answer.
NO_MODEL_CALLS = frozenset(
    {
        "models.show",
        "messages.count_tokens",
        "responses.count_tokens",
        "gemini.count_tokens",
        "bedrock.count_tokens",
    }
)

# Endpoints that show models or the service to a GET. Below some such paths models answer, to a POST.
NO_MODEL_READS = frozenset({"models", "service"})

# Methods that ask for no answer.
PROBE_METHODS = frozenset({"HEAD", "OPTIONS"})


def is_model_call(method: str, endpoint: str) -> bool:
    """Tell whether a model was to answer. Other calls fill no limit of requests, and are no errors in figures."""
    if method in PROBE_METHODS or endpoint in NO_MODEL_CALLS:
        return False
    return method != "GET" or endpoint not in NO_MODEL_READS


def was_proxied(path: str) -> bool:
    """Tell by its path whether a request passed through this gateway. One that went elsewhere, and was only
    told of, has its whole URL in the path's place."""
    return path.startswith("/")
