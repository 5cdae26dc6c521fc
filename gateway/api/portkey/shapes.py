"""Portkey's shapes: its bodies, how they become votes and changes, and what it answers."""

from __future__ import annotations

from typing import Literal, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.api.portkey.fields import EntryId, Grade, Metadata, OptionalGrade, TraceId, Weight
from gateway.errors import BadInput, GatewayError
from gateway.feedback import NewFeedback, Revision, Scale
from gateway.web.validation import explain, field_path, shown

MAX_BULK = 1000
"""Most entries in one call."""

Model = TypeVar("Model", bound=BaseModel)


class FeedbackRequest(BaseModel):
    """One vote. Fields that are not named here are kept with the entry, but mean nothing."""

    model_config = ConfigDict(frozen=True)

    trace_id: TraceId = Field(
        description="What is judged: a trace id, a request id, the response id that the provider gave, or a "
        "session."
    )
    value: Grade = Field(description="The verdict, from -10 to 10.")
    weight: Weight = Field(None, description="How much the verdict counts, from 0 to 1; null or absent: 1.")
    metadata: Metadata = Field(
        None,
        description="Anything else: an object, or a string that holds one as JSON. `_user` is the author.",
    )
    id: EntryId = Field(
        None, description="The entry's id, if you make it yourself: the same one again is a retry."
    )


class FeedbackUpdateRequest(BaseModel):
    """What to change of an entry; what is null or absent stays as it is."""

    model_config = ConfigDict(frozen=True)

    value: OptionalGrade = Field(None, description="The new verdict, from -10 to 10.")
    weight: Weight = Field(None, description="The new weight, from 0 to 1.")
    metadata: Metadata = Field(None, description="The new metadata, instead of all the old.")


class FeedbackResponse(BaseModel):
    """What was stored."""

    status: Literal["success"] = "success"
    message: str
    feedback_ids: list[str] = Field(description="Ids of the entries, in the order in which they were sent.")


class FailureResponse(BaseModel):
    """What was wrong; nothing was stored."""

    status: Literal["failure"] = "failure"
    message: str = Field(description="The field that is to blame, what is wrong with it, and what is taken.")


def to_votes(body: object, scale: Scale) -> list[NewFeedback]:
    """Return the votes in a body, which is one entry or an array of 1 to 1,000.

    Raises:
        BadInput: an entry is not as `FeedbackRequest` wants it; names the field, with its index in an array.
    """
    return [_vote(entry, at, scale) for at, entry in one_or_many(body)]


def to_revision(body: object, scale: Scale) -> Revision:
    """Return the change in a body.

    Raises:
        BadInput: it is not as `FeedbackUpdateRequest` wants it, or changes nothing.
    """
    change = checked(FeedbackUpdateRequest, body)
    if change.value is None and change.weight is None and change.metadata is None:
        raise BadInput("changes nothing; send value, weight or metadata.", field="body")
    return Revision(
        value=change.value,
        weight=change.weight,
        scale=scale,
        author=_author(change.metadata),
        metadata=change.metadata,
        raw=orjson.dumps(body).decode(),
    )


def success(message: str, feedback_ids: list[str]) -> web.Response:
    """Return the reply to a call that was carried out."""
    return reply(FeedbackResponse(message=message, feedback_ids=feedback_ids))


def failure(error: GatewayError) -> web.Response:
    """Draw an error the way Portkey does."""
    # A message may quote a path with bytes that are no UTF-8.
    message = str(error).encode(errors="replace").decode()
    return reply(FailureResponse(message=message), error.status)


def reply(body: BaseModel, status: int = 200) -> web.Response:
    """Answer with a model as JSON."""
    return web.Response(status=status, body=orjson.dumps(body.model_dump()), content_type="application/json")


def one_or_many(body: object) -> list[tuple[str, object]]:
    """Return the entries in a body, which is one or an array of 1 to 1,000, each with the path to it.

    Raises:
        BadInput: the array is empty, or too long.
    """
    if not isinstance(body, list):
        return [("", body)]
    if not 1 <= len(body) <= MAX_BULK:
        raise BadInput(f"must be an array of 1 to {MAX_BULK:,} entries; got {len(body):,}.", field="body")
    return [(f"[{index}]", entry) for index, entry in enumerate(body)]


def checked(model: type[Model], body: object, at: str = "") -> Model:
    """Return a body, or the entry at a path in one, as a model. Raises BadInput that names the field to blame."""
    if not isinstance(body, dict):
        raise BadInput(f"must be an object; got {shown(body)}.", field=at or "body")
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise explain(error, at) from None


def _vote(entry: object, at: str, scale: Scale) -> NewFeedback:
    given = checked(FeedbackRequest, entry, at)
    return NewFeedback(
        feedback_id=given.id,
        subject_id=given.trace_id,
        subject_field=field_path(["trace_id"], at),
        value=given.value,
        weight=1.0 if given.weight is None else given.weight,
        scale=scale,
        grade=given.value,
        author=_author(given.metadata),
        metadata=given.metadata or {},
        raw=orjson.dumps(entry).decode(),
    )


def _author(metadata: dict[str, object] | None) -> str | None:
    user = (metadata or {}).get("_user")
    return user if isinstance(user, str) and user else None
