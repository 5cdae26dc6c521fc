"""Values, feedback bodies and replies shared by the endpoints of the Portkey API."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, Field

from gateway.errors import BadInput, GatewayError
from gateway.feedback.payloads import FeedbackRevision, NewFeedback, Scale
from gateway.models.clock import format_rfc3339, is_whole_day, parse_time_us
from gateway.models.feedback import Feedback
from gateway.models.request import NANOUSD_PER_USD
from gateway.web import feedback as fields
from gateway.web.bodies import abbreviate, field_path, parse_json, validate_body
from gateway.web.endpoint import Schema, json_response

# Portkey's costs are in US cents.
NANOUSD_A_CENT = NANOUSD_PER_USD // 100

# Metadata keys whose values have a column of their own, and that column.
COLUMNS_BY_METADATA_KEY: Mapping[str, str] = {
    f"_{column}": column for column in ("user", "organisation", "prompt", "environment")
}

MAX_NAMES = 1000

_NUMBER = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?")


def to_names(value: object) -> tuple[str, ...]:
    """Return the names in a list such as `a,b`. Raises ValueError for any other value."""
    if isinstance(value, str):
        names = tuple(name.strip() for name in value.split(","))
        if all(names) and len(names) <= MAX_NAMES:
            return names
    got = abbreviate(value)
    raise ValueError(f"must be a string of up to {MAX_NAMES:,} names separated by commas; got {got}")


def to_number(value: object, least: int, most: int) -> Decimal:
    """Return a number, in JSON or as text, exactly. Raises ValueError for any other value."""
    number = None
    if isinstance(value, str):
        number = Decimal(value) if _NUMBER.fullmatch(value) else None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = Decimal(str(value))
    if number is not None and least <= number <= most:
        return number
    raise ValueError(f"must be a number from {least:,} to {most:,}; got {abbreviate(value)}")


def to_whole_number(value: object, least: int, most: int) -> int:
    """Return a whole number within bounds. Raises ValueError for any other value."""
    number = to_number(value, least, most)
    if number != number.to_integral_value():
        raise ValueError(f"must be a whole number; got {abbreviate(value)}")
    return int(number)


def to_json_number(number: Decimal) -> int | float:
    """Return a number as an integer if it is whole."""
    return int(number) if number == number.to_integral_value() else float(number)


def to_time_us(value: object, *, is_end: bool = False) -> int:
    """Return a time in ISO 8601, a named day or an age as microseconds since the epoch; UTC without an offset.

    Args:
        is_end: whether a day means its last moment.
    """
    try:
        time_us = parse_time_us(value if isinstance(value, str) else "", is_end=is_end, is_iso=True)
    except ValueError:
        raise ValueError(
            "must be a time such as 2026-01-31T09:30:00Z (in URLs, + is sent as %2B), a date or an age such as 7d; "
            f"got {abbreviate(value)}"
        ) from None
    is_day = is_end and isinstance(value, str) and is_whole_day(value)
    return time_us - 1 if is_day else time_us


def iso_time(time_us: int) -> str:
    """Write microseconds since the epoch as `2026-01-31T09:30:00.000Z`."""
    return format_rfc3339(time_us, "milliseconds")


def parse_json_text(text: str) -> object:
    """Return a text parsed as JSON; None if it is not JSON."""
    try:
        return parse_json(text.encode())
    except BadInput:
        return None


class FeedbackRequest(Schema):
    """One feedback entry. Other fields are stored with it, but mean nothing."""

    trace_id: fields.AnyId = Field(
        description="What the feedback is on: a trace id, a request id, the provider's id of a response, or a "
        "session."
    )
    value: fields.Grade = Field(description="The rating, from -10 to 10.")
    weight: fields.Weight = Field(
        None, description="How much the feedback counts, from 0 to 1; null or absent: 1."
    )
    metadata: fields.Metadata = Field(
        None,
        description="Anything else: an object, or a string that holds one as JSON. `_user` is the author.",
    )
    comment: fields.Text = Field(
        None, description="Free text; absent: `comment` of the metadata, if it is text."
    )
    id: fields.EntryId = Field(
        None, description="The entry's id, if the caller chooses it: the same id again is a retry."
    )


class FeedbackUpdateRequest(Schema):
    """A change of an entry; a null or absent field stays unchanged."""

    value: fields.OptionalGrade = Field(None, description="The new rating, from -10 to 10.")
    weight: fields.Weight = Field(None, description="The new weight, from 0 to 1.")
    metadata: fields.Metadata = Field(None, description="The new metadata, which replaces the old.")
    comment: fields.Text = Field(
        None, description="The new comment; absent: `comment` of the new metadata, if it is text."
    )


class FeedbackResponse(BaseModel):
    """The stored entries."""

    status: Literal["success"] = "success"
    message: str
    feedback_ids: list[str] = Field(description="Ids of the entries, in the order in which they were sent.")


class FailureResponse(BaseModel):
    """An error; nothing was stored."""

    status: Literal["failure"] = "failure"
    message: str = Field(description="The field, what is wrong with it, and what is allowed.")


def to_new_feedback(body: object, scale: Scale) -> list[NewFeedback]:
    """Return the feedback in a body, which is one entry or an array of 1 to 1,000.

    Raises:
        BadInput: an entry is not a valid `FeedbackRequest`; names the field, with its index in an array.
    """
    return [_to_feedback(entry, at, scale) for at, entry in fields.list_entries(body)]


def to_revision(body: object, scale: Scale) -> FeedbackRevision:
    """Return the change in a body. Raises BadInput for an invalid `FeedbackUpdateRequest` or an empty change."""
    change = validate_body(FeedbackUpdateRequest, body)
    if not change.model_dump(exclude_none=True):
        raise BadInput("changes nothing; send value, weight, metadata or comment.", field="body")
    return FeedbackRevision(
        value=change.value,
        weight=change.weight,
        scale=scale,
        author=_text_in(change.metadata, "_user"),
        comment=change.comment or _text_in(change.metadata, "comment"),
        metadata=change.metadata,
        raw=orjson.dumps(body).decode(),
    )


def success_response(message: str, entries: Sequence[Feedback]) -> web.Response:
    """Return the response to a call that made or changed these entries."""
    ids = [entry.feedback_id for entry in entries]
    return json_response(FeedbackResponse(message=message, feedback_ids=ids))


def render_error(error: GatewayError) -> web.Response:
    """Return an error in Portkey's format."""
    # A message may quote a path that is not UTF-8.
    message = str(error).encode(errors="replace").decode()
    return json_response(FailureResponse(message=message), error.status)


def _to_feedback(entry: object, at: str, scale: Scale) -> NewFeedback:
    given = validate_body(FeedbackRequest, entry, at)
    return NewFeedback(
        feedback_id=given.id,
        subject_id=given.trace_id,
        subject_field=field_path(["trace_id"], at),
        value=given.value,
        weight=1.0 if given.weight is None else given.weight,
        scale=scale,
        grade=given.value,
        author=_text_in(given.metadata, "_user"),
        comment=given.comment or _text_in(given.metadata, "comment"),
        metadata=given.metadata or {},
        raw=orjson.dumps(entry).decode(),
    )


def _text_in(metadata: dict[str, object] | None, key: str) -> str | None:
    text = (metadata or {}).get(key)
    return text if isinstance(text, str) and text else None
