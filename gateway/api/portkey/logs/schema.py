"""Portkey's log object: a logged request as it shows one.

Source: the schemas LogObject, LogRequest, LogResponse and AnalyticsMetrics of https://github.com/Portkey-AI/openapi.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

Object = Annotated[object, WithJsonSchema({"type": "object", "additionalProperties": True})]
Headers = dict[str, str]


class _Shape(BaseModel):
    model_config = ConfigDict(frozen=True, populate_by_name=True)


class LogRequest(_Shape):
    """What was asked."""

    url: str
    method: str
    headers: Headers | None = Field(None, description="Secrets replaced.")
    body: Object = Field(None, description="JSON; what is no JSON object is under `content`.")
    portkeyHeaders: Headers = Field(
        description="What was said to the gateway, or is known as if it had been."
    )


class LogResponse(_Shape):
    """What was answered."""

    status: int = Field(description="0 where the caller left before there was any.")
    headers: Headers | None = None
    body: Object = Field(None, description="As in requests; streams put together.")
    responseTime: int = Field(description="Milliseconds.")
    lastUsedOptionJsonPath: str


class AnalyticsMetrics(_Shape):
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


class LogObject(_Shape):
    """A logged request."""

    id: str = Field(alias="_id", description="The request id.")
    request: LogRequest
    response: LogResponse
    organisation_id: str | None = Field(description="The tenant.")
    created_at: str
    metrics: AnalyticsMetrics
