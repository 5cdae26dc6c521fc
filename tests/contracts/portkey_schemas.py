"""The schemas of Portkey's OpenAPI document for logs and exports, as far as replies follow them.

Source: https://github.com/Portkey-AI/openapi.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

Check = Callable[[Any], object]
"""Raises, or returns what is false, for a value that a schema does not allow."""

Schema = Mapping[str, Check]
"""What each field of an object must be."""


def text(value: Any) -> bool:
    return isinstance(value, str)


def number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def integer(value: Any) -> bool:
    return type(value) is int


def flag(value: Any) -> bool:
    return isinstance(value, bool)


def an_object(value: Any) -> bool:
    return isinstance(value, dict)


def texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(text, value))


def headers(value: Any) -> bool:
    return isinstance(value, dict) and all(map(text, value.values()))


def url(value: Any) -> bool:
    return bool(urlsplit(value).scheme and urlsplit(value).hostname)


def one_of(*allowed: str) -> Check:
    return lambda value: value in allowed


def or_null(check: Check) -> Check:
    return lambda value: value is None or check(value)


METHODS = one_of("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
COLUMNS = (
    "id", "trace_id", "created_at", "request", "response", "is_success", "ai_org", "ai_model", "req_units",
    "res_units", "total_units", "request_url", "cost", "cost_currency", "response_time",
    "response_status_code", "mode", "config", "prompt_slug", "metadata",
)  # fmt: skip

LOG_OBJECT: Schema = {
    "_id": or_null(UUID), "request": an_object, "response": an_object, "organisation_id": or_null(text),
    "created_at": or_null(datetime.fromisoformat), "metrics": an_object,
}  # fmt: skip
LOG_REQUEST: Schema = {
    "url": url,
    "method": METHODS,
    "headers": headers,
    "body": an_object,
    "portkeyHeaders": headers,
}
LOG_RESPONSE: Schema = {
    "status": integer,
    "headers": headers,
    "body": an_object,
    "responseTime": integer,
    "lastUsedOptionJsonPath": text,
}
METRICS: Schema = {
    "id": UUID, "organisation_id": text, "created_at": datetime.fromisoformat, "is_success": flag, "ai_org": text,
    "ai_model": text, "req_units": number, "res_units": number, "total_units": number, "cost": number,
    "cost_currency": text, "request_url": url, "request_method": text, "response_status_code": integer,
    "response_time": integer, "is_proxy_call": flag, "cache_status": or_null(text), "stream_mode": integer,
    "retry_success_count": integer, "trace_id": text, "span_id": text, "span_name": text,
    "parent_span_id": text, "mode": text, "virtual_key": text, "prompt_slug": text, "metadata.key": texts,
    "metadata.value": texts, "api_key_id": text,
}  # fmt: skip
EXPORT_ITEM: Schema = {
    "id": UUID, "organisation_id": UUID, "filters": an_object, "requested_data": texts,
    "status": one_of("draft", "in_progress", "success", "failed", "stopped"), "description": text,
    "created_at": datetime.fromisoformat, "last_updated_at": datetime.fromisoformat, "created_by": UUID,
    "workspace_id": UUID, "object": one_of("export"),
}  # fmt: skip
OUR_OWN = {"total_records", "rows_done", "progress", "error", "tenant", "key_name"}
"""What the gateway shows of an export besides."""

UPDATED: Schema = {"id": UUID, "total": integer, "object": one_of("export")}
TASK: Schema = {"message": text, "object": one_of("export")}


def follows(reply: Mapping[str, Any], schema: Schema, *, optional: Collection[str] = ()) -> None:
    """Check that an object has the fields of a schema, and no others."""
    assert set(schema) - set(reply) <= set(optional)
    assert set(reply) <= set(schema)
    assert [name for name, value in reply.items() if not schema[name](value)] == []
