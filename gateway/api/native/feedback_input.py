"""Feedback as `POST /api/v1/feedback` takes it: one entry or many, validated, by key or feedback token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import BadInput, Forbidden
from gateway.feedback.payloads import (
    EDIT_METRIC,
    RATING_METRIC,
    NewFeedback,
    Scale,
    star_scale,
    unit_scale,
)
from gateway.models.feedback import Kind, Source, Target
from gateway.models.principal import FeedbackScope, Principal, Role
from gateway.web import feedback as fields
from gateway.web.bodies import abbreviate, field_path, validate_body

# An entry may have one of these, ...
SCORE_FIELDS = ("thumb", "rating", "score", "value")
# ... and must have at least one of these.
CONTENT_FIELDS = (*SCORE_FIELDS, "label", "comment", "edited_text")
# Names of `id` in other APIs, for the error message.
ID_ALIASES = frozenset({"trace_id", "request_id", "response_id", "session", "session_id", "subject_id"})


def _check_thumb(value: object) -> str:
    if value in ("up", "down"):
        return str(value)
    raise ValueError(f"must be up or down; got {abbreviate(value)}")


Thumb = Literal["up", "down"]
Rating = Annotated[float, Field(ge=1, le=5)]
Score = Annotated[float, Field(ge=-1, le=1)]


class FeedbackInput(BaseModel):
    """Feedback: `id`, and at least one of `thumb`, `rating`, `score`, `value`, `label`, `comment` and
    `edited_text`; at most one of the first four. A null field counts as absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: fields.AnyId = Field(
        description="What the feedback is on: the id of a trace, a request, a provider's response or a session, "
        "whether or not it is logged yet. With a feedback token it may be absent: the token's own request."
    )
    thumb: Annotated[Thumb | None, fields.optional_field(_check_thumb, accepts=Thumb)] = Field(
        None, description="Good or bad."
    )
    rating: Annotated[float | None, fields.optional_field(fields.number_from(1, 5), accepts=Rating)] = Field(
        None, description="Stars: 1 is bad, 3 neutral, 5 good."
    )
    score: Annotated[float | None, fields.optional_field(fields.number_from(-1, 1), accepts=Score)] = Field(
        None, description="From -1, bad, to 1, good."
    )
    value: fields.OptionalGrade = Field(
        None,
        description="An integer from -10 to 10, as in `/v1/feedback`; `portkey_scale` of the configuration "
        "turns it into a score.",
    )
    weight: fields.Weight = Field(None, description="How much the feedback counts, from 0 to 1; absent: 1.")
    label: fields.Text = Field(None, description="A word for what is right or wrong, such as `off-topic`.")
    comment: fields.Text = Field(None, description="Free text.")
    original_text: fields.Text = Field(
        None, description="The answer before it was edited; needs `edited_text`."
    )
    edited_text: fields.Text = Field(None, description="The answer as it should have been.")
    author: fields.OptionalId = Field(
        None,
        description="Who gives it; absent: `_user` of the metadata, if it is text, else the name of a key "
        "with the role `review`.",
    )
    source: Literal["human", "model", "code"] | None = Field(
        None,
        description="Who or what gives the feedback; absent: `human`. A feedback token is always `human`.",
    )
    metadata: fields.Metadata = Field(
        None, description="Anything else: an object, or a string that holds one as JSON."
    )
    feedback_id: fields.EntryId = Field(
        None, description="The entry's id, if the caller chooses it: the same id again is a retry."
    )


def to_new_feedback(body: object, scale: Scale) -> list[NewFeedback]:
    """Return the feedback in a body, which is one entry or an array of 1 to 1,000.

    Args:
        scale: turns a `value` into a score.

    Raises:
        BadInput: an entry is not a valid `FeedbackInput`; names the field, with its index in an array.
    """
    return [_to_feedback(entry, at, scale) for at, entry in fields.list_entries(body)]


def _to_feedback(entry: object, at: str, scale: Scale) -> NewFeedback:
    _refuse_unknown_fields(entry, at)
    given = validate_body(FeedbackInput, entry, at)
    _refuse_contradictions(given, at)
    kind, value, scale_of_value = _read_score(given, scale)
    user = (given.metadata or {}).get("_user")
    return NewFeedback(
        feedback_id=given.feedback_id,
        subject_id=given.id,
        subject_field=field_path(["id"], at),
        kind=Kind.EDIT if given.edited_text is not None else kind,
        value=value,
        weight=1.0 if given.weight is None else given.weight,
        scale=scale_of_value,
        grade=given.value,
        label=given.label,
        comment=given.comment,
        original_text=given.original_text,
        edited_text=given.edited_text,
        author=given.author or (user if isinstance(user, str) and user else None),
        source=Source.HUMAN if given.source is None else Source(given.source),
        metadata=given.metadata or {},
        raw=orjson.dumps(entry).decode(),
    )


def _read_score(given: FeedbackInput, scale: Scale) -> tuple[Kind, float | None, Scale | None]:
    if given.thumb is not None:
        return Kind.THUMB, 1.0 if given.thumb == "up" else -1.0, unit_scale
    if given.rating is not None:
        return Kind.RATING, given.rating, star_scale
    if given.score is not None:
        return Kind.SCORE, given.score, unit_scale
    if given.value is not None:
        return Kind.RATING, float(given.value), scale
    return Kind.CUSTOM if given.comment is None else Kind.COMMENT, None, None


def _refuse_unknown_fields(entry: object, at: str) -> None:
    allowed = ", ".join(FeedbackInput.model_fields)
    for name in entry if isinstance(entry, dict) else ():
        if name not in FeedbackInput.model_fields:
            others = f"Allowed: {allowed}; put all else in metadata."
            hint = "Send it as id." if name in ID_ALIASES else others
            raise BadInput("is not a known field.", field=field_path([name], at), hint=hint)


def _refuse_contradictions(given: FeedbackInput, at: str) -> None:
    scores = [name for name in SCORE_FIELDS if getattr(given, name) is not None]
    if len(scores) > 1:
        problem = f"cannot be combined with {scores[0]}; an entry has one score."
        raise BadInput(problem, field=field_path([scores[1]], at), hint="Send two entries.")
    if all(getattr(given, name) is None for name in CONTENT_FIELDS):
        names = f"{', '.join(CONTENT_FIELDS[:-1])} or {CONTENT_FIELDS[-1]}"
        raise BadInput("has no content.", field=at or "body", hint=f"Send {names}.")
    if given.original_text is not None and given.edited_text is None:
        raise BadInput("needs edited_text as well.", field=field_path(["original_text"], at))


def with_own_id(body: object, scope: FeedbackScope) -> object:
    if isinstance(body, list):
        return [with_own_id(entry, scope) for entry in body]
    return {"id": scope.request_id, **body} if isinstance(body, dict) else body


def to_upsert(items: Sequence[NewFeedback], scope: FeedbackScope | None) -> NewFeedback:
    if len(items) > 1:
        problem = f"has {len(items)} entries, but rule=upsert takes one at a time."
        raise BadInput(problem, field="body", hint="Send them one by one, or without the rule.")
    [item] = items
    if item.feedback_id is not None:
        raise BadInput(
            "cannot be chosen with rule=upsert, which finds the entry itself.", field="feedback_id"
        )
    is_own = scope is not None and item.subject_id == scope.request_id
    return replace(
        item,
        target=Target.REQUEST if is_own else item.target,
        metric=RATING_METRIC if item.edited_text is None else EDIT_METRIC,
        # A score with a metric would be one aspect of the answer, and no rating of the whole.
        kind=Kind.RATING if item.kind is Kind.SCORE else item.kind,
    )


def given_by(item: NewFeedback, principal: Principal) -> NewFeedback:
    """Return feedback with its giver as author where that is a reviewer. Raises Forbidden."""
    if principal.scope is not None and item.source is not Source.HUMAN:
        raise Forbidden("a feedback token allows feedback of people only.", field="source")
    # Other keys are of programs that many people use.
    if item.author is None and item.source is Source.HUMAN and Role.REVIEW in principal.roles:
        return replace(item, author=principal.name)
    return item
