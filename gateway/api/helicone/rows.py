"""A logged request as one of Helicone's rows. What there is no value for is null, never left out.

Source: the `HeliconeRequest` type of https://github.com/Helicone/helicone.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.helicone.columns import OTHER_PROVIDER, PROVIDERS
from gateway.domain.clock import rfc_3339
from gateway.domain.exchange import in_small_letters, stated_model
from gateway.domain.request import NANO, RequestRecord
from gateway.query import JudgedRequest, LoggedRequest, Message
from gateway.wire.json_text import loads


class Row(BaseModel):
    """A logged request. Times are RFC 3339 in UTC, durations whole milliseconds."""

    model_config = ConfigDict(frozen=True)

    response_id: str | None = Field(description="The provider's id of its response.")
    response_created_at: str | None
    response_body: object = Field(description="JSON; streams put together. Other text as a string.")
    response_status: int | None = Field(description="Null where the caller left before any was sent.")
    response_model: str | None
    request_id: str
    request_created_at: str
    request_body: object
    request_path: str
    request_user_id: str | None
    request_properties: dict[str, str]
    request_model: str | None
    model_override: str | None = Field(description="The model that the caller said it is.")
    helicone_user: None = None
    provider: str
    delay_ms: int
    time_to_first_token: int | None
    total_tokens: int | None
    prompt_tokens: int | None
    prompt_cache_write_tokens: int | None
    prompt_cache_read_tokens: int | None
    completion_tokens: int | None
    prompt_id: str | None
    feedback_created_at: str | None = Field(description="When the rating shown was given.")
    feedback_id: str | None
    feedback_rating: bool | None = Field(
        description="Whether what was said last of the request, its trace or its session, in whatever "
        "dialect and by whomever, is good or bad."
    )
    signed_body_url: None = None
    llmSchema: None = None
    country_code: None = None
    asset_ids: None = None
    asset_urls: None = None
    scores: dict[str, float]
    costUSD: float | None
    properties: dict[str, str]
    assets: None = None
    target_url: None = None
    model: str | None = Field(
        description="The model that the caller said it is, or else the one that answered, or else that asked for."
    )
    cache_reference_id: None = None
    cache_enabled: None = None
    updated_at: None = None


def to_row(judged: JudgedRequest, logged: LoggedRequest | None = None) -> Row:
    """Return the row of a request; its bodies are null unless `logged` has them."""
    record, rating = judged.record, judged.rating
    properties = _properties(record.metadata)
    cost = record.cost_nanousd
    return Row(
        response_id=record.response_id,
        response_created_at=rfc_3339(record.ended_at_us),
        response_body=_response_body(logged),
        response_status=record.status,
        response_model=record.model,
        request_id=record.request_id,
        request_created_at=rfc_3339(record.started_at_us),
        request_body=_body(logged.request) if logged else None,
        request_path=record.path,
        request_user_id=record.user,
        request_properties=properties,
        request_model=record.requested_model,
        model_override=stated_model(record.metadata),
        provider=PROVIDERS.get(record.provider, OTHER_PROVIDER),
        delay_ms=(record.ended_at_us - record.started_at_us) // 1000,
        time_to_first_token=_first_byte_ms(record),
        total_tokens=record.total_tokens,
        prompt_tokens=record.prompt_tokens,
        prompt_cache_write_tokens=record.cache_write_tokens,
        prompt_cache_read_tokens=record.cached_tokens,
        completion_tokens=record.completion_tokens,
        prompt_id=record.prompt,
        feedback_created_at=rfc_3339(rating.updated_at_us) if rating else None,
        feedback_id=rating.feedback_id if rating else None,
        feedback_rating=rating.score > 0 if rating and rating.score is not None else None,
        scores=dict(judged.scores),
        costUSD=None if cost is None else cost / NANO,
        properties=properties,
        model=record.any_model,
    )


def _properties(metadata: Mapping[str, object]) -> dict[str, str]:
    """Metadata as strings. Of names that differ by case alone, the last one stands with its value."""
    last: dict[str, tuple[str, str]] = {}
    for name, value in metadata.items():
        if value is not None:
            small = in_small_letters(name)
            last.pop(small, None)
            last[small] = (name, _as_text(value))
    return dict(last.values())


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _first_byte_ms(record: RequestRecord) -> int | None:
    first_byte_us = record.first_byte_at_us
    return None if first_byte_us is None else (first_byte_us - record.started_at_us) // 1000


def _response_body(logged: LoggedRequest | None) -> object:
    if logged is None:
        return None
    if isinstance(logged.reassembled, Mapping):
        return logged.reassembled
    return _body(logged.response)


def _body(message: Message | None) -> object:
    """JSON as it was sent, digit for digit; other text as a string; null for the rest."""
    if message is None or not message.body:
        return None
    try:
        loads(message.body)
        return orjson.Fragment(message.body)
    except orjson.JSONDecodeError:
        pass
    try:
        return message.body.decode()
    except UnicodeDecodeError:
        return None
