"""What may be sent to `/api/v1/feedback`: a verdict, words, or both, on whatever an id names."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.native.replies import Shape
from gateway.domain.feedback import Feedback, Kind, Target
from gateway.errors import BadInput
from gateway.feedback import NewFeedback, Scale, note_of_waiting, stars, unit
from gateway.web.feedback import (
    AnyId,
    EntryId,
    Metadata,
    OptionalGrade,
    OptionalId,
    Text,
    Weight,
    is_number,
    one_or_many,
    unless_null,
)
from gateway.web.validation import checked, field_path, shown

VERDICTS = ("thumb", "rating", "score", "value")
"""Fields of which an entry may have one."""
SAYING = (*VERDICTS, "label", "comment", "edited_text")
"""Fields of which an entry must have one at least."""
OTHER_NAMES = frozenset({"trace_id", "request_id", "response_id", "session", "session_id", "subject_id"})
"""What `id` is called elsewhere."""


def _thumb(value: object) -> str:
    if value in ("up", "down"):
        return str(value)
    raise ValueError(f"must be up or down; got {shown(value)}")


def _rating(value: object) -> float:
    if is_number(value) and 1 <= value <= 5:
        return float(value)
    raise ValueError(f"must be a number from 1 to 5; got {shown(value)}")


def _score(value: object) -> float:
    if is_number(value) and -1 <= value <= 1:
        return float(value)
    raise ValueError(f"must be a number from -1 to 1; got {shown(value)}")


_Thumb = Literal["up", "down"]
_Rating = Annotated[float, Field(ge=1, le=5)]
_Score = Annotated[float, Field(ge=-1, le=1)]


class FeedbackInput(BaseModel):
    """Feedback: `id`, and at least one of `thumb`, `rating`, `score`, `value`, `label`, `comment` and
    `edited_text`; of the first four at most one. What is null is as if it were absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: AnyId = Field(
        description="What is judged: the id of a trace, a request, a provider's response or a session, logged "
        "already or not yet."
    )
    thumb: Annotated[_Thumb | None, unless_null(_thumb, takes=_Thumb)] = Field(
        None, description="Good or bad."
    )
    rating: Annotated[float | None, unless_null(_rating, takes=_Rating)] = Field(
        None, description="Stars: 1 is bad, 3 neutral, 5 good."
    )
    score: Annotated[float | None, unless_null(_score, takes=_Score)] = Field(
        None, description="From -1, bad, to 1, good."
    )
    value: OptionalGrade = Field(
        None,
        description="A whole number from -10 to 10, as in `/v1/feedback`; `portkey_scale` of the configuration "
        "makes a score of it.",
    )
    weight: Weight = Field(None, description="How much the verdict counts, from 0 to 1; absent: 1.")
    label: Text = Field(None, description="A word for what is right or wrong, such as `off-topic`.")
    comment: Text = Field(None, description="What is said in words.")
    original_text: Text = Field(
        None, description="The answer before it was edited; comes with `edited_text`."
    )
    edited_text: Text = Field(None, description="The answer as it should have been.")
    author: OptionalId = Field(
        None, description="Who judged; absent: `_user` of the metadata, if it is text."
    )
    metadata: Metadata = Field(
        None, description="Anything else: an object, or a string that holds one as JSON."
    )
    feedback_id: EntryId = Field(
        None, description="The entry's id, if you make it yourself: the same one again is a retry."
    )


class GivenFeedback(Shape):
    """What became of one entry. Its ids are null while it waits."""

    feedback_id: str
    id: str = Field(description="The id as it was given.")
    joined: bool = Field(
        description="Whether something is logged under that id. If not, the entry waits for it."
    )
    target: Target | None = Field(description="What the id names.")
    trace_id: str | None
    request_id: str | None
    session: str | None
    note: str | None = Field(description="What it waits for; null if it is joined.")

    @classmethod
    def of(cls, entry: Feedback) -> GivenFeedback:
        is_joined = entry.joined_at_us is not None
        return cls(
            feedback_id=entry.feedback_id,
            id=entry.subject_id,
            joined=is_joined,
            target=entry.target if is_joined else None,
            trace_id=entry.trace_id if is_joined else None,
            request_id=entry.request_id if is_joined else None,
            session=entry.session if is_joined else None,
            note=note_of_waiting([entry]),
        )


class GivenReply(Shape):
    data: list[GivenFeedback] = Field(description="One for each entry, in the order in which they were sent.")


def to_votes(body: object, scale: Scale) -> list[NewFeedback]:
    """Return the feedback in a body, which is one entry or an array of 1 to 1,000.

    Args:
        scale: how a `value` becomes a score.

    Raises:
        BadInput: an entry is not as `FeedbackInput` wants it; names the field, with its index in an array.
    """
    return [_vote(entry, at, scale) for at, entry in one_or_many(body)]


def _vote(entry: object, at: str, scale: Scale) -> NewFeedback:
    _refuse_unknown(entry, at)
    given = checked(FeedbackInput, entry, at)
    _refuse_contradictions(given, at)
    kind, value, scale_of_value = _verdict(given, scale)
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
        metadata=given.metadata or {},
        raw=orjson.dumps(entry).decode(),
    )


def _verdict(given: FeedbackInput, scale: Scale) -> tuple[Kind, float | None, Scale | None]:
    """What kind of verdict it is, its value, and how that becomes a score."""
    if given.thumb is not None:
        return Kind.THUMB, 1.0 if given.thumb == "up" else -1.0, unit
    if given.rating is not None:
        return Kind.RATING, given.rating, stars
    if given.score is not None:
        return Kind.SCORE, given.score, unit
    if given.value is not None:
        return Kind.RATING, float(given.value), scale
    return Kind.CUSTOM if given.comment is None else Kind.COMMENT, None, None


def _refuse_unknown(entry: object, at: str) -> None:
    names = entry if isinstance(entry, dict) else ()
    unknown = next((name for name in names if name not in FeedbackInput.model_fields), None)
    if unknown is None:
        return
    taken = ", ".join(FeedbackInput.model_fields)
    raise BadInput(
        "is not known here.",
        field=field_path([unknown], at),
        hint="Send it as id."
        if unknown in OTHER_NAMES
        else f"Known are {taken}; send anything else within metadata.",
    )


def _refuse_contradictions(given: FeedbackInput, at: str) -> None:
    said = [name for name in VERDICTS if getattr(given, name) is not None]
    if len(said) > 1:
        raise BadInput(
            f"comes beside {said[0]}; an entry has one verdict.",
            field=field_path([said[1]], at),
            hint="Send two entries.",
        )
    if all(getattr(given, name) is None for name in SAYING):
        names = f"{', '.join(SAYING[:-1])} or {SAYING[-1]}"
        raise BadInput("says nothing.", field=at or "body", hint=f"Send {names}.")
    if given.original_text is not None and given.edited_text is None:
        raise BadInput("needs edited_text beside it.", field=field_path(["original_text"], at))
