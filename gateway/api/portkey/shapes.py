"""Portkey's shapes: its bodies, how they become votes and changes, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateway.domain.feedback import Feedback
from gateway.errors import BadInput, GatewayError
from gateway.feedback import NewFeedback, Revision, Scale
from gateway.web.feedback import AnyId, EntryId, Grade, Metadata, OptionalGrade, Text, Weight, one_or_many
from gateway.web.validation import checked, field_path


class FeedbackRequest(BaseModel):
    """One vote. Fields that are not named here are kept with the entry, but mean nothing."""

    model_config = ConfigDict(frozen=True)

    trace_id: AnyId = Field(
        description="What is judged: a trace id, a request id, the response id that the provider gave, or a "
        "session."
    )
    value: Grade = Field(description="The verdict, from -10 to 10.")
    weight: Weight = Field(None, description="How much the verdict counts, from 0 to 1; null or absent: 1.")
    metadata: Metadata = Field(
        None,
        description="Anything else: an object, or a string that holds one as JSON. `_user` is the author.",
    )
    comment: Text = Field(
        None, description="What is said in words; absent: `comment` of the metadata, if it is text."
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
    comment: Text = Field(
        None, description="The new comment; absent: `comment` of the new metadata, if it is text."
    )


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
    if not change.model_dump(exclude_none=True):
        raise BadInput("changes nothing; send value, weight, metadata or comment.", field="body")
    return Revision(
        value=change.value,
        weight=change.weight,
        scale=scale,
        author=_text_in(change.metadata, "_user"),
        comment=change.comment or _text_in(change.metadata, "comment"),
        metadata=change.metadata,
        raw=orjson.dumps(body).decode(),
    )


def success(message: str, entries: Sequence[Feedback]) -> web.Response:
    """Return the reply to a call that made or changed these entries."""
    return reply(FeedbackResponse(message=message, feedback_ids=[entry.feedback_id for entry in entries]))


def failure(error: GatewayError) -> web.Response:
    """Draw an error the way Portkey does."""
    # A message may quote a path with bytes that are no UTF-8.
    message = str(error).encode(errors="replace").decode()
    return reply(FailureResponse(message=message), error.status)


def reply(body: BaseModel, status: int = 200) -> web.Response:
    """Answer with a model as JSON."""
    return web.Response(status=status, body=orjson.dumps(body.model_dump()), content_type="application/json")


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
        author=_text_in(given.metadata, "_user"),
        comment=given.comment or _text_in(given.metadata, "comment"),
        metadata=given.metadata or {},
        raw=orjson.dumps(entry).decode(),
    )


def _text_in(metadata: dict[str, object] | None, key: str) -> str | None:
    text = (metadata or {}).get(key)
    return text if isinstance(text, str) and text else None
