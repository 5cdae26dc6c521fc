"""From a logged request to Portkey's log object. What is not known is left out."""

from __future__ import annotations

import orjson

from gateway.api.portkey import records
from gateway.api.portkey.logs.schema import LogObject
from gateway.api.portkey.records import CURRENCY, MODE, UrlOf
from gateway.api.portkey.values import iso_time
from gateway.domain.exchange import was_proxied
from gateway.domain.request import RequestRecord
from gateway.query import LoggedRequest, Message

LAST_USED_OPTION = "config"
"""Which option of a routing config was used: without options it is the config itself."""

NO_STATUS = 0
"""Status of a request whose caller left before there was one."""

_PORTKEY = "x-portkey-"


def to_log_object(logged: LoggedRequest, url_of: UrlOf) -> bytes:
    """Return a logged request as Portkey's JSON."""
    record = logged.record
    shown = LogObject.model_validate(
        {
            "_id": record.request_id,
            "request": _request(logged, url_of),
            "response": _response(logged),
            "organisation_id": record.tenant,
            "created_at": iso_time(record.started_at_us),
            "metrics": _metrics(record, url_of),
        }
    )
    return orjson.dumps(shown.model_dump(by_alias=True, exclude_unset=True))


def _request(logged: LoggedRequest, url_of: UrlOf) -> dict[str, object]:
    headers = _headers(logged.request)
    return _known(
        url=records.request_url(logged.record, url_of),
        method=logged.record.method,
        headers={name: value for name, value in headers.items() if not _is_portkeys(name)} or None,
        body=_as_object(records.request_body(logged)),
        portkeyHeaders=_portkey_headers(logged.record)
        | {name.lower(): value for name, value in headers.items() if _is_portkeys(name)},
    )


def _response(logged: LoggedRequest) -> dict[str, object]:
    return _known(
        status=NO_STATUS if logged.record.status is None else logged.record.status,
        headers=_headers(logged.response) or None,
        body=_as_object(records.response_body(logged)),
        responseTime=records.response_ms(logged.record),
        lastUsedOptionJsonPath=LAST_USED_OPTION,
    )


def _metrics(record: RequestRecord, url_of: UrlOf) -> dict[str, object]:
    named = {
        "metadata.key": list(record.metadata),
        "metadata.value": [_as_text(value) for value in record.metadata.values()],
    }
    return named | _known(
        id=record.request_id,
        organisation_id=record.tenant,
        created_at=iso_time(record.started_at_us),
        is_success=records.is_success(record),
        ai_org=record.provider,
        ai_model=record.any_model,
        req_units=record.prompt_tokens,
        res_units=record.completion_tokens,
        total_units=record.total_tokens,
        cost=records.cents(record),
        cost_currency=CURRENCY,
        request_url=records.request_url(record, url_of),
        request_method=record.method,
        response_status_code=record.status,
        response_time=records.response_ms(record),
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


def _portkey_headers(record: RequestRecord) -> dict[str, str]:
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


def _headers(message: Message | None) -> dict[str, str]:
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


def _known(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}
