"""Requests that callers tell of, which went elsewhere: what is said of one, and the exchange that it becomes.

Source: the schema CustomLog of https://github.com/Portkey-AI/openapi, and the names that Portkey's page on
inserting a log has besides: `provider`, `time`, `streamingMode`, `traceId` and its like.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import orjson
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictBool

from gateway.api.portkey.logs.fields import (
    Body,
    HeaderFields,
    Method,
    Milliseconds,
    ProviderName,
    Status,
    Url,
)
from gateway.domain.exchange import Exchange, Identity, Outcome, RawHeaders
from gateway.domain.ids import is_valid_id, new_id
from gateway.errors import BadInput
from gateway.web.feedback import Metadata, one_or_many
from gateway.web.validation import checked, field_path, parse_id
from gateway.wire import endpoint_of

_PLACES = {
    "trace_id": ("trace_id", "traceId"),
    "span_id": ("span_id", "spanId"),
    "parent_span_id": ("parent_span_id", "parentSpanId"),
    "span_name": ("span_name", "spanName"),
}
"""Keys of metadata that say where a request belongs, in the two spellings that Portkey's pages have."""

_TAGS = {"_user": "user", "_organisation": "organization"}
"""Keys of metadata that Portkey's page names, by those that mean the same everywhere else."""

_OF_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding"})
"""Header fields about how a body was sent, which is not how it is told here."""


class CustomLogRequest(BaseModel):
    """What was asked."""

    model_config = ConfigDict(frozen=True)

    url: Url = Field(description="The whole URL. A name and password in it are left out.")
    method: Method = "POST"
    provider: ProviderName = Field(
        None, description="Any name; else that of the header `x-portkey-provider`, else the URL's host."
    )
    headers: HeaderFields = None
    body: Body = Field(description="JSON, or other text as a string; null for none.")


class CustomLogResponse(BaseModel):
    """What was answered."""

    model_config = ConfigDict(frozen=True)

    status: Status = Field(None, description="200 if nothing is said.")
    headers: HeaderFields = None
    body: Body = Field(description="As in requests; a stream as its text, or put together as JSON.")
    response_time: Milliseconds = Field(
        None,
        validation_alias=AliasChoices("response_time", "time"),
        description="Milliseconds that it took, up to now.",
    )
    streamingMode: StrictBool | None = Field(
        None, description="Whether it came as a stream; where headers have a content type, that says so."
    )


class CustomLog(BaseModel):
    """A request that went elsewhere."""

    model_config = ConfigDict(frozen=True)

    request: CustomLogRequest
    response: CustomLogResponse
    metadata: Metadata = Field(
        None,
        description="`trace_id`, `span_id`, `parent_span_id` and `span_name`, and anything else that is to be "
        "found with it; as of a request that passes the gateway in `x-portkey-metadata`.",
    )


def to_exchanges(body: object, at_us: int) -> list[Exchange]:
    """Return the requests that a body tells of: one, or an array of 1 to 1,000.

    Args:
        at_us: when they ended.

    Raises:
        BadInput: one is not as `CustomLog` wants it; names the field, with its index in an array.
    """
    return [_exchange(checked(CustomLog, entry, at), at, at_us) for at, entry in one_or_many(body)]


def _exchange(log: CustomLog, at: str, at_us: int) -> Exchange:
    asked, answered = log.request, log.response
    request_body, response_body = _to_bytes(asked.body), _to_bytes(answered.body)
    return Exchange(
        identity=_identity(log.metadata or {}, at),
        provider=_provider(log),
        endpoint=endpoint_of(urlsplit(asked.url).path),
        method=asked.method,
        path=asked.url,
        started_at_us=at_us - round(1000 * (answered.response_time or 0)),
        ended_at_us=at_us,
        status=200 if answered.status is None else answered.status,
        outcome=Outcome.COMPLETE,
        request_headers=_fields(asked.headers or {}),
        request_body=request_body,
        request_size=len(request_body),
        response_headers=_typed(_fields(answered.headers or {}), is_stream=bool(answered.streamingMode)),
        response_body=response_body,
        response_size=len(response_body),
    )


def _identity(metadata: Mapping[str, object], at: str) -> Identity:
    ids: dict[str, str] = {}
    rest = dict(metadata)
    for name, spellings in _PLACES.items():
        for spelling in spellings:
            if (value := rest.pop(spelling, None)) is not None:
                ids[name] = _to_id(value, field_path(["metadata", spelling], at))
    tags = {tag: rest[name] for tag, name in _TAGS.items() if name in rest}
    trace_id = ids.pop("trace_id", None) or new_id()
    return Identity(new_id(), trace_id, **ids, metadata=tags | rest)


def _to_id(value: object, field: str) -> str:
    try:
        return parse_id(value)
    except ValueError as problem:
        raise BadInput(f"{problem}.", field=field) from None


def _provider(log: CustomLog) -> str:
    """The provider's name: as it is given, or as the request's own header has it, or else the URL's host."""
    if log.request.provider is not None:
        return log.request.provider
    for name, value in (log.request.headers or {}).items():
        if name.lower() == "x-portkey-provider" and is_valid_id(named := value.removeprefix("@")):
            return named
    return urlsplit(log.request.url).hostname or ""


def _fields(headers: Mapping[str, str]) -> RawHeaders:
    return tuple(
        (name.encode(), value.encode()) for name, value in headers.items() if name.lower() not in _OF_THE_WIRE
    )


def _typed(fields: RawHeaders, *, is_stream: bool) -> RawHeaders:
    if any(name.lower() == b"content-type" for name, _ in fields):
        return fields
    return (*fields, (b"content-type", b"text/event-stream" if is_stream else b"application/json"))


def _to_bytes(body: object) -> bytes:
    if body is None:
        return b""
    return body.encode() if isinstance(body, str) else orjson.dumps(body)
