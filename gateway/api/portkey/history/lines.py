"""Lines of Portkey's log exports: what is taken of one, and how it is checked.

Source: `LogExportsRequestedData` of https://github.com/Portkey-AI/openapi. What the fields mean, their older names,
and metadata as two lists: product/observability/logs-export* and the sample files of
https://github.com/Portkey-AI/docs-core.
"""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
from pydantic import AliasChoices, BeforeValidator, Field

from gateway.web.exported import Amount, Count, ExportedRow, Id, Millis, Status, TimeUs
from gateway.web.validation import shown


def _metadata(value: object) -> dict[str, object]:
    try:
        found = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"must be an object, or a string that holds one as JSON; got {shown(value)}")
    if set(found) == {"key", "value"} and all(isinstance(part, list) for part in found.values()):
        return paired(found["key"], found["value"])
    return found


def paired(keys: list[object], values: list[object]) -> dict[str, object]:
    """Return the metadata that is written as a list of keys and one of values."""
    return {str(key): value for key, value in zip(keys, values, strict=False)}


Metadata = Annotated[dict[str, object], BeforeValidator(_metadata)]


class PortkeyRow(ExportedRow):
    """A logged request. Whoever asks for an export chooses the fields; only the time is needed."""

    id: Id | None = None
    trace_id: Id | None = None
    created_at: TimeUs
    request: object = Field(None, validation_alias=AliasChoices("request", "request.body"))
    response: object = Field(None, validation_alias=AliasChoices("response", "response.body"))
    is_success: bool = True
    ai_org: str = "unknown"
    ai_model: str | None = None
    req_units: Count | None = None
    res_units: Count | None = None
    request_url: str | None = None
    request_method: str = "POST"
    cost: Amount | None = None
    cost_currency: Literal["USD"] = Field("USD", validation_alias=AliasChoices("cost_currency", "currency"))
    response_time: Millis | None = None
    response_status_code: Status | None = None
    cache_status: str | None = None
    config: str | None = None
    prompt_slug: str | None = None
    metadata: Metadata | None = None
    metadata_keys: list[object] = Field([], validation_alias="metadata.key")
    metadata_values: list[object] = Field([], validation_alias="metadata.value")
    portkeyHeaders: dict[str, object] | None = None
    feedback: object = None
