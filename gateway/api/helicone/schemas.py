"""Bodies, rows and replies of the Helicone API."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import orjson
from aiohttp import web
from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt

from gateway.api.helicone.filters import OTHER_PROVIDER, PROVIDERS
from gateway.errors import BadInput, GatewayError, NotFound
from gateway.models.clock import format_rfc3339
from gateway.models.exchange import lowercase_ascii, metadata_model
from gateway.models.feedback import Feedback
from gateway.models.ids import MAX_ID_BYTES, is_valid_id
from gateway.models.request import NANOUSD_PER_USD, RequestRecord
from gateway.query.requests import LoggedRequest, Message, RatedRequest
from gateway.web.bodies import abbreviate, as_text, parse_id
from gateway.web.endpoint import NO_STORE, Schema, json_response
from gateway.web.feedback import joined_headers
from gateway.wire.json_fields import parse_json

MAX_LIMIT = 1000
MAX_SCORES = 1000
# In characters.
MAX_PROPERTY = 64 * 1024


def _check_score(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    raise ValueError(f"must be a number, true or false; got {abbreviate(value)}")


def _check_property(value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_PROPERTY and "\0" not in value:
        return value
    limit = f"at most {MAX_PROPERTY:,} characters, none of them U+0000"
    raise ValueError(f"must be a string of {limit}; got {abbreviate(value)}")


Name = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES), BeforeValidator(parse_id)]
Score = Annotated[bool | int | float, BeforeValidator(_check_score)]
PropertyValue = Annotated[str, Field(max_length=MAX_PROPERTY), BeforeValidator(_check_property)]


class FeedbackBody(Schema):
    """A rating."""

    rating: StrictBool = Field(description="true: up, false: down.")


class ScoreBody(Schema):
    """Scores by name."""

    scores: dict[Name, Score] = Field(
        min_length=1, max_length=MAX_SCORES, description="Each a number, or true or false."
    )


class PropertyBody(Schema):
    """One property."""

    key: Name
    value: PropertyValue


class QueryBody(Schema):
    """A query of requests. A null field counts as absent."""

    filter: object = Field("all", description="A filter tree; `all` or absent: every request.")
    offset: Annotated[StrictInt, Field(ge=0, lt=2**63)] | None = Field(0, description="Requests to skip.")
    limit: Annotated[StrictInt, Field(ge=1, le=MAX_LIMIT)] | None = Field(
        10, description="Most requests to return."
    )
    sort: object = Field(
        None,
        description='Such as `{"created_at": "desc"}`, the default; of several columns the first one first.',
    )
    isCached: StrictBool | None = Field(None, description="true: only those answered from a cache.")
    includeInputs: StrictBool | None = Field(
        None, description="Ignored; inputs of prompts are only in their bodies."
    )
    isScored: StrictBool | None = Field(None, description="Only those with a score, or only those without.")
    isPartOfExperiment: StrictBool | None = Field(
        None, description="true matches nothing, false everything: there are no experiments."
    )


def read_request_id(request: web.Request) -> str:
    """Return the request id in a path. Raises NotFound for an id that no request can have."""
    request_id = request.match_info["request_id"]
    if not is_valid_id(request_id):
        raise NotFound("Request not found")
    return request_id


def read_author(user_id: str | None) -> str | None:
    """Return the author in `Helicone-User-Id`. Raises BadInput for an invalid name."""
    if user_id is not None and not is_valid_id(user_id):
        raise BadInput(f"must be 1 to {MAX_ID_BYTES} bytes of printable text.", field="Helicone-User-Id")
    return user_id


class Row(Schema):
    """A logged request. Times are RFC 3339 in UTC, durations whole milliseconds."""

    response_id: str | None = Field(description="The provider's id of its response.")
    response_created_at: str | None
    response_body: object = Field(description="JSON; streams reassembled. Other text as a string.")
    response_status: int | None = Field(description="Null where the caller left before one was sent.")
    response_model: str | None
    request_id: str
    request_created_at: str
    request_body: object
    request_path: str
    request_user_id: str | None
    request_properties: dict[str, str]
    request_model: str | None
    model_override: str | None = Field(description="The model that the caller named in a property.")
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
    feedback_created_at: str | None = Field(description="When the rating was given.")
    feedback_id: str | None
    feedback_rating: bool | None = Field(
        description="Whether the latest rating of the request, its trace or its session is good, by any author "
        "and through any API."
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
        description="The model that the caller named in a property, else that answered, else that was requested."
    )
    cache_reference_id: None = None
    cache_enabled: None = None
    updated_at: None = None


def to_row(rated: RatedRequest, logged: LoggedRequest | None = None) -> Row:
    """Return the row of a request; its bodies are null unless `logged` has them."""
    record, rating = rated.record, rated.rating
    properties = _properties(record.metadata)
    cost = record.cost_nanousd
    return Row(
        response_id=record.response_id,
        response_created_at=format_rfc3339(record.ended_at_us),
        response_body=_response_body(logged),
        response_status=record.status,
        response_model=record.model,
        request_id=record.request_id,
        request_created_at=format_rfc3339(record.started_at_us),
        request_body=_body_content(logged.request) if logged else None,
        request_path=record.path,
        request_user_id=record.user,
        request_properties=properties,
        request_model=record.requested_model,
        model_override=metadata_model(record.metadata),
        provider=PROVIDERS.get(record.provider, OTHER_PROVIDER),
        delay_ms=(record.ended_at_us - record.started_at_us) // 1000,
        time_to_first_token=_first_byte_ms(record),
        total_tokens=record.total_tokens,
        prompt_tokens=record.prompt_tokens,
        prompt_cache_write_tokens=record.cache_write_tokens,
        prompt_cache_read_tokens=record.cached_tokens,
        completion_tokens=record.completion_tokens,
        prompt_id=record.prompt,
        feedback_created_at=format_rfc3339(rating.updated_at_us) if rating else None,
        feedback_id=rating.feedback_id if rating else None,
        feedback_rating=rating.score > 0 if rating and rating.score is not None else None,
        scores=dict(rated.scores),
        costUSD=None if cost is None else cost / NANOUSD_PER_USD,
        properties=properties,
        model=record.any_model,
    )


def _properties(metadata: Mapping[str, object]) -> dict[str, str]:
    # Of names that differ only by case the last one counts, as of header fields.
    last: dict[str, tuple[str, str]] = {}
    for name, value in metadata.items():
        if value is not None:
            small = lowercase_ascii(name)
            last.pop(small, None)
            last[small] = (name, as_text(value))
    return dict(last.values())


def _first_byte_ms(record: RequestRecord) -> int | None:
    first_byte_us = record.first_byte_at_us
    return None if first_byte_us is None else (first_byte_us - record.started_at_us) // 1000


def _response_body(logged: LoggedRequest | None) -> object:
    if logged is None:
        return None
    if isinstance(logged.reassembled, Mapping):
        return logged.reassembled
    return _body_content(logged.response)


def _body_content(message: Message | None) -> object:
    # JSON stays as it was sent, digit for digit; other text is a string; bytes that are neither are null.
    if message is None or not message.body:
        return None
    try:
        parse_json(message.body)
        return orjson.Fragment(message.body)
    except orjson.JSONDecodeError:
        pass
    try:
        return message.body.decode()
    except UnicodeDecodeError:
        return None


class DoneReply(BaseModel):
    """Success without content."""

    data: None = None
    error: None = None


class RowReply(BaseModel):
    """One request."""

    data: Row
    error: None = None


class RowsReply(BaseModel):
    """The matching requests."""

    data: list[Row]
    error: None = None


class ErrorReply(BaseModel):
    """An error; nothing was changed."""

    data: None = None
    error: str


def done_response(entries: Sequence[Feedback] = ()) -> web.Response:
    """Return success, with the headers of the feedback that was stored."""
    return json_response(DoneReply(), headers={**NO_STORE, **(joined_headers(entries) if entries else {})})


def row_response(row: Row) -> web.Response:
    return json_response(RowReply(data=row), headers=NO_STORE)


def rows_response(rows: list[Row]) -> web.Response:
    return json_response(RowsReply(data=rows), headers=NO_STORE)


def render_error(error: GatewayError) -> web.Response:
    # A message may quote a path that is not UTF-8.
    message = str(error).encode(errors="replace").decode()
    return json_response(ErrorReply(error=message), error.status, NO_STORE)
