"""A logged request as the log object of the Portkey API."""

from collections.abc import Callable, Mapping
from typing import Annotated

import orjson
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from gateway.api.portkey.schemas import NANOUSD_A_CENT, iso_time
from gateway.models.exchange import was_proxied
from gateway.models.request import RequestRecord
from gateway.query.requests import LoggedRequest, Message
from gateway.web.bodies import as_text
from gateway.wire.json_fields import parse_json

# Returns the URL of a provider for a caller's path; None where it is not known.
UrlResolver = Callable[[str, str], str | None]


def _is_success(record: RequestRecord) -> bool:
    return record.status is not None and 200 <= record.status < 300


def _response_ms(record: RequestRecord) -> int:
    return (record.ended_at_us - record.started_at_us) // 1000


def request_url(record: RequestRecord, url_of: UrlResolver) -> str:
    """Return the URL at the provider; the caller's path where it is not known."""
    if not was_proxied(record.path):
        return record.path
    return url_of(record.provider, record.path) or record.path


def request_body(logged: LoggedRequest) -> bytes | None:
    """Return the body of the request as JSON on one line."""
    return _as_json(logged.request)


def response_body(logged: LoggedRequest) -> bytes | None:
    """Return the body of the response as JSON on one line, a stream reassembled."""
    if isinstance(logged.reassembled, Mapping):
        return orjson.dumps(logged.reassembled)
    return _as_json(logged.response)


def _as_json(message: Message | None) -> bytes | None:
    # JSON stays as it was sent, digit for digit; other text is a string; bytes that are neither are None.
    if message is None or not message.body:
        return None
    try:
        parse_json(message.body)
        # JSON has line breaks only between tokens, where a space means the same.
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
    """The request as it was sent."""

    url: str
    method: str
    headers: Headers | None = Field(None, description="Secrets replaced.")
    body: Object = Field(None, description="JSON; anything but an object is under `content`.")
    portkeyHeaders: Headers = Field(
        description="Headers to the gateway, sent or derived from what is logged."
    )


class LogResponse(_LogSchema):
    """The response as it was sent."""

    status: int = Field(description="0 where the caller left before there was one.")
    headers: Headers | None = None
    body: Object = Field(None, description="As in requests; streams reassembled.")
    responseTime: int = Field(description="Milliseconds.")
    lastUsedOptionJsonPath: str


class AnalyticsMetrics(_LogSchema):
    """Fields of a request without its bodies."""

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
    stream_mode: int = Field(description="1 if the response was a stream.")
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
    api_key_id: str | None = Field(None, description="Name of the caller's API key.")


class LogObject(_LogSchema):
    """A logged request."""

    id: str = Field(alias="_id", description="The request id.")
    request: LogRequest
    response: LogResponse
    organisation_id: str | None = Field(description="The tenant.")
    created_at: str
    metrics: AnalyticsMetrics


# Path of the option of a routing config that was used: without options, the config itself.
LAST_USED_OPTION = "config"
_PORTKEY = "x-portkey-"


def to_log_object(logged: LoggedRequest, url_of: UrlResolver) -> bytes:
    """Return a logged request as the JSON of a log object."""
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
        status=logged.record.status or 0,
        headers=_header_fields(logged.response) or None,
        body=_as_object(response_body(logged)),
        responseTime=_response_ms(logged.record),
        lastUsedOptionJsonPath=LAST_USED_OPTION,
    )


# Fields of logs and of exports. The mode is single, since a request goes to the provider that it names.
RECORD_FIELDS: Mapping[str, Callable[[RequestRecord, UrlResolver], object]] = {
    "id": lambda record, _: record.request_id,
    "organisation_id": lambda record, _: record.tenant,
    "created_at": lambda record, _: iso_time(record.started_at_us),
    "is_success": lambda record, _: _is_success(record),
    "ai_org": lambda record, _: record.provider,
    "ai_model": lambda record, _: record.any_model,
    "req_units": lambda record, _: record.prompt_tokens,
    "res_units": lambda record, _: record.completion_tokens,
    "total_units": lambda record, _: record.total_tokens,
    "cost": lambda record, _: None if record.cost_nanousd is None else record.cost_nanousd / NANOUSD_A_CENT,
    "cost_currency": lambda record, _: "USD",
    "request_url": lambda record, url_of: request_url(record, url_of),
    "request_method": lambda record, _: record.method,
    "response_status_code": lambda record, _: record.status,
    "response_time": lambda record, _: _response_ms(record),
    "is_proxy_call": lambda record, _: was_proxied(record.path),
    "cache_status": lambda record, _: record.cache_status,
    "stream_mode": lambda record, _: int(record.is_stream),
    "retry_success_count": lambda record, _: record.attempt,
    "trace_id": lambda record, _: record.trace_id,
    "span_id": lambda record, _: record.span_id,
    "span_name": lambda record, _: record.span_name,
    "parent_span_id": lambda record, _: record.parent_span_id,
    "mode": lambda record, _: "single",
    "virtual_key": lambda record, _: record.provider,
    "prompt_slug": lambda record, _: record.prompt,
    "api_key_id": lambda record, _: record.key_name,
}


def _metrics(record: RequestRecord, url_of: UrlResolver) -> dict[str, object]:
    return {
        "metadata.key": list(record.metadata),
        "metadata.value": [as_text(value) for value in record.metadata.values()],
        **_without_none(**{name: read(record, url_of) for name, read in RECORD_FIELDS.items()}),
    }


def _known_portkey_headers(record: RequestRecord) -> dict[str, str]:
    values = {
        "trace-id": record.trace_id,
        "span-id": record.span_id,
        "span-name": record.span_name,
        "parent-span-id": record.parent_span_id,
        "provider": record.provider,
        "metadata": as_text(dict(record.metadata)) if record.metadata else None,
    }
    return {f"{_PORTKEY}{name}": value for name, value in values.items() if value is not None}


def _header_fields(message: Message | None) -> dict[str, str]:
    # Values of a repeated field are joined by a comma (RFC 9110, section 5.3).
    joined: dict[str, str] = {}
    for raw_name, raw_value in message.headers if message else ():
        name, value = (part.decode("utf-8", "backslashreplace") for part in (raw_name, raw_value))
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _is_portkeys(name: str) -> bool:
    return name.lower().startswith(_PORTKEY)


def _as_object(body: bytes | None) -> orjson.Fragment | None:
    # Portkey documents bodies as objects only.
    if body is None:
        return None
    return orjson.Fragment(body if body.lstrip().startswith(b"{") else b'{"content": %b}' % body)


def _without_none(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
