"""A logged request as the log object of the Portkey API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from gateway.api.portkey.schemas import NANOUSD_A_CENT, iso_time
from gateway.models.exchange import was_proxied
from gateway.models.request import RequestRecord
from gateway.query.requests import LoggedRequest, Message
from gateway.wire.json_fields import parse_json

UrlResolver = Callable[[str, str], str | None]
"""Tells the URL that a provider of this name was asked at, for a caller's path; None where it is not known."""

CURRENCY = "USD"
MODE = "single"
"""How a provider was chosen: there was only the one that was asked."""


def is_success(record: RequestRecord) -> bool:
    """Tell whether the status was one of success."""
    return record.status is not None and HTTPStatus.OK <= record.status < HTTPStatus.MULTIPLE_CHOICES


def cost_cents(record: RequestRecord) -> float | None:
    """Return the cost in US cents."""
    return None if record.cost_nanousd is None else record.cost_nanousd / NANOUSD_A_CENT


def response_ms(record: RequestRecord) -> int:
    """Return the whole milliseconds from a request's arrival to the end of its response."""
    return (record.ended_at_us - record.started_at_us) // 1000


def request_url(record: RequestRecord, url_of: UrlResolver) -> str:
    """Return where the provider was asked; the caller's path, where that is not known."""
    if not was_proxied(record.path):
        return record.path
    return url_of(record.provider, record.path) or record.path


def request_body(logged: LoggedRequest) -> bytes | None:
    """Return what was sent as JSON on one line; see `_as_json`."""
    return _as_json(logged.request)


def response_body(logged: LoggedRequest) -> bytes | None:
    """Return what was answered as JSON on one line, a stream put together; see `_as_json`."""
    if isinstance(logged.reassembled, Mapping):
        return orjson.dumps(logged.reassembled)
    return _as_json(logged.response)


def _as_json(message: Message | None) -> bytes | None:
    """JSON as it was sent, digit for digit; other text as a string; None for the rest."""
    if message is None or not message.body:
        return None
    try:
        parse_json(message.body)
        # Between the tokens of JSON a line break is as good as a space, and inside them there is none.
        return message.body.replace(b"\r", b" ").replace(b"\n", b" ")
    except orjson.JSONDecodeError:
        pass
    try:
        return orjson.dumps(message.body.decode())
    except UnicodeDecodeError:
        return None


Object = Annotated[object, WithJsonSchema({"type": "object", "additionalProperties": True})]
Headers = dict[str, str]


class _LogSchema(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class LogRequest(_LogSchema):
    """What was asked."""

    url: str
    method: str
    headers: Headers | None = Field(None, description="Secrets replaced.")
    body: Object = Field(None, description="JSON; what is no JSON object is under `content`.")
    portkeyHeaders: Headers = Field(
        description="What was said to the gateway, or is known as if it had been."
    )


class LogResponse(_LogSchema):
    """What was answered."""

    status: int = Field(description="0 where the caller left before there was any.")
    headers: Headers | None = None
    body: Object = Field(None, description="As in requests; streams put together.")
    responseTime: int = Field(description="Milliseconds.")
    lastUsedOptionJsonPath: str


class AnalyticsMetrics(_LogSchema):
    """What is known of a request in figures and names."""

    id: str
    organisation_id: str | None = None
    created_at: str
    is_success: bool
    ai_org: str
    ai_model: str | None = None
    req_units: int | None = None
    res_units: int | None = None
    total_units: int | None = None
    cost: float | None = Field(None, description="US cents.")
    cost_currency: str
    request_url: str
    request_method: str
    response_status_code: int | None = None
    response_time: int
    is_proxy_call: bool = Field(
        description="Whether it passed through this gateway; false for inserted logs."
    )
    cache_status: str | None = None
    stream_mode: int = Field(description="1 if the answer came as a stream.")
    retry_success_count: int
    trace_id: str
    span_id: str | None = None
    span_name: str | None = None
    parent_span_id: str | None = None
    mode: str
    virtual_key: str
    prompt_slug: str | None = None
    metadata_key: list[str] = Field(alias="metadata.key")
    metadata_value: list[str] = Field(alias="metadata.value")
    api_key_id: str | None = Field(None, description="Name of the gateway key that the caller came with.")


class LogObject(_LogSchema):
    """A logged request."""

    id: str = Field(alias="_id", description="The request id.")
    request: LogRequest
    response: LogResponse
    organisation_id: str | None = Field(description="The tenant.")
    created_at: str
    metrics: AnalyticsMetrics


LAST_USED_OPTION = "config"
"""Which option of a routing config was used: without options it is the config itself."""

NO_STATUS = 0
"""Status of a request whose caller left before there was one."""

_PORTKEY = "x-portkey-"


def to_log_object(logged: LoggedRequest, url_of: UrlResolver) -> bytes:
    """Return a logged request as Portkey's JSON."""
    record = logged.record
    shown = LogObject.model_validate(
        {
            "_id": record.request_id,
            "request": _log_request(logged, url_of),
            "response": _log_response(logged),
            "organisation_id": record.tenant,
            "created_at": iso_time(record.started_at_us),
            "metrics": _metrics(record, url_of),
        }
    )
    return orjson.dumps(shown.model_dump(by_alias=True, exclude_unset=True))


def _log_request(logged: LoggedRequest, url_of: UrlResolver) -> dict[str, object]:
    headers = _header_fields(logged.request)
    return _without_none(
        url=request_url(logged.record, url_of),
        method=logged.record.method,
        headers={name: value for name, value in headers.items() if not _is_portkeys(name)} or None,
        body=_as_object(request_body(logged)),
        portkeyHeaders=_known_portkey_headers(logged.record)
        | {name.lower(): value for name, value in headers.items() if _is_portkeys(name)},
    )


def _log_response(logged: LoggedRequest) -> dict[str, object]:
    return _without_none(
        status=NO_STATUS if logged.record.status is None else logged.record.status,
        headers=_header_fields(logged.response) or None,
        body=_as_object(response_body(logged)),
        responseTime=response_ms(logged.record),
        lastUsedOptionJsonPath=LAST_USED_OPTION,
    )


def _metrics(record: RequestRecord, url_of: UrlResolver) -> dict[str, object]:
    named = {
        "metadata.key": list(record.metadata),
        "metadata.value": [_as_text(value) for value in record.metadata.values()],
    }
    return named | _without_none(
        id=record.request_id,
        organisation_id=record.tenant,
        created_at=iso_time(record.started_at_us),
        is_success=is_success(record),
        ai_org=record.provider,
        ai_model=record.any_model,
        req_units=record.prompt_tokens,
        res_units=record.completion_tokens,
        total_units=record.total_tokens,
        cost=cost_cents(record),
        cost_currency=CURRENCY,
        request_url=request_url(record, url_of),
        request_method=record.method,
        response_status_code=record.status,
        response_time=response_ms(record),
        is_proxy_call=was_proxied(record.path),
        cache_status=record.cache_status,
        stream_mode=int(record.is_stream),
        retry_success_count=record.attempt,
        trace_id=record.trace_id,
        span_id=record.span_id,
        span_name=record.span_name,
        parent_span_id=record.parent_span_id,
        mode=MODE,
        virtual_key=record.provider,
        prompt_slug=record.prompt,
        api_key_id=record.key_name,
    )


def _known_portkey_headers(record: RequestRecord) -> dict[str, str]:
    """The fields that would say what is known of a request's identity."""
    values = {
        "trace-id": record.trace_id,
        "span-id": record.span_id,
        "span-name": record.span_name,
        "parent-span-id": record.parent_span_id,
        "provider": record.provider,
        "metadata": _as_text(dict(record.metadata)) if record.metadata else None,
    }
    return {f"{_PORTKEY}{name}": value for name, value in values.items() if value is not None}


def _header_fields(message: Message | None) -> dict[str, str]:
    """Header fields by name; the values of repeated ones in one, as RFC 9110, section 5.3, has it."""
    joined: dict[str, str] = {}
    for raw_name, raw_value in message.headers if message else ():
        name, value = (part.decode("utf-8", "backslashreplace") for part in (raw_name, raw_value))
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _is_portkeys(name: str) -> bool:
    return name.lower().startswith(_PORTKEY)


def _as_object(body: bytes | None) -> orjson.Fragment | None:
    """A body in the only form that Portkey's document has for one."""
    if body is None:
        return None
    return orjson.Fragment(body if body.lstrip().startswith(b"{") else b'{"content": %b}' % body)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _without_none(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
