"""Feedback bodies, entries and patches of the Pharia API."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from gateway import __version__
from gateway.api.pharia.errors import validation_failed
from gateway.feedback.payloads import NewFeedback, parse_feedback, parse_score_change, to_grade
from gateway.models.clock import format_rfc3339
from gateway.models.feedback import Feedback, Kind
from gateway.models.ids import MAX_ID_BYTES, is_valid_id
from gateway.web.feedback import has_nul

# How this API is called in stored rows.
DIALECT = "pharia"

# The version of an API or of a page where the caller gave none.
GATEWAY_VERSION = f"v{__version__}"

# RFC 3339 in UTC, with microseconds.
TimeText = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]


class Entry(BaseModel):
    """The latest version of an entry."""

    feedback_id: str
    trace_id: str = Field(description="Its trace; while none is logged, the id as given.")
    app_id: str | None
    creation_date: str = Field(description="When it was given: UTC with microseconds, without an offset.")
    api_version: str = Field(description="As it was given, else the gateway's.")
    ui_version: str = Field(description="As it was given, else the gateway's.")
    app_version: str | None
    feedback: dict[str, Any] = Field(
        description="As it was given; of entries of other APIs, value, weight and texts."
    )
    user: str | None
    metadata: dict[str, Any]
    created_at: TimeText
    updated_at: TimeText

    @classmethod
    def of(cls, entry: Feedback) -> Entry:
        body = _body_of(entry)
        created_at = format_rfc3339(entry.created_at_us)
        return cls(
            feedback_id=entry.feedback_id,
            trace_id=entry.trace_id or entry.subject_id,
            app_id=entry.app_id,
            creation_date=created_at.removesuffix("Z"),
            api_version=_version_field(body, "api_version"),
            ui_version=_version_field(body, "ui_version"),
            app_version=entry.app_version,
            feedback=body["feedback"],
            user=entry.author,
            metadata=dict(entry.metadata),
            created_at=created_at,
            updated_at=format_rfc3339(entry.updated_at_us),
        )


class Entries(RootModel[list[Entry]]):
    """Entries, oldest first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackPatch:
    """A change of an entry. None leaves a field unchanged; fields of the feedback replace those of their name."""

    feedback: dict[str, Any] | None
    app_id: str | None
    app_version: str | None
    raw: str

    def of(self, entry: Feedback) -> Feedback:
        """Return `entry` with this change."""
        body = _body_of(entry)
        merged = {**body["feedback"], **(self.feedback or {})}
        app_id, app_version = self.app_id or entry.app_id, self.app_version or entry.app_version
        whole = {**body, "app_id": app_id, "app_version": app_version, "feedback": merged}
        changed = _with_feedback(entry, body["feedback"], self.feedback or {})
        raw = orjson.dumps(whole).decode()
        return replace(changed, app_id=app_id, app_version=app_version, raw=raw)


def _with_feedback(entry: Feedback, before: dict[str, Any], change: dict[str, Any]) -> Feedback:
    was, now = parse_feedback(before), parse_feedback({**before, **change})
    new_score = parse_score_change(before, change)
    if new_score is not None:
        # The new score takes precedence over older fields that are still there.
        now = replace(now, parsed_score=new_score)
    changed = replace(
        entry,
        weight=now.weight,
        comment=now.comment,
        original_text=now.original_text,
        edited_text=now.edited_text,
        original_id=None,
    )
    is_as_before = now.kind == was.kind and now.parsed_score == was.parsed_score
    if is_as_before and (new_score is None or new_score.value == entry.value):
        # The score may be on the scale of another API, and converting it again would change it.
        return changed
    score = now.parsed_score.score
    return replace(changed, kind=now.kind, value=now.parsed_score.value, score=score, grade=to_grade(score))


def _body_of(entry: Feedback) -> dict[str, Any]:
    # As this API would have received the entry; `feedback` is always there.
    if entry.dialect == DIALECT:
        body: dict[str, Any] = orjson.loads(entry.raw)
        return body
    return {"trace_id": entry.subject_id, "feedback": _feedback_from_columns(entry)}


def _version_field(body: dict[str, Any], name: str) -> str:
    given = body.get(name)
    return given if isinstance(given, str) else GATEWAY_VERSION


def _feedback_from_columns(entry: Feedback) -> dict[str, Any]:
    is_original = entry.kind is Kind.ORIGINAL
    columns = {
        "type": "original_response" if is_original else None,
        "value": _plain_number(entry.value),
        "weight": _plain_number(entry.weight),
        "label": entry.label,
        "comment": entry.comment,
        "content" if is_original else "original_response": None if entry.original_id else entry.original_text,
        "user_edit": entry.edited_text,
    }
    return {name: value for name, value in columns.items() if value is not None}


def _plain_number(number: float | None) -> float | int | None:
    return int(number) if number is not None and number.is_integer() else number


Model = TypeVar("Model", bound=BaseModel)


def _check_printable(text: str) -> str:
    if is_valid_id(text):
        return text
    raise ValueError(f"must be a printable string of 1 to {MAX_ID_BYTES} bytes")


def _refuse_nul(value: dict[str, Any]) -> dict[str, Any]:
    if has_nul(value):
        raise ValueError("must not hold the character U+0000, neither in keys nor in strings")
    return value


Name = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES), AfterValidator(_check_printable)]
Object = dict[str, Any]
Metadata = Annotated[Object, AfterValidator(_refuse_nul)]

_OBJECT_ADAPTER = TypeAdapter(Object, config=ConfigDict(strict=True))


class NewFeedbackBody(BaseModel):
    """Feedback on a trace. Other fields are stored with the entry, but mean nothing."""

    model_config = ConfigDict(frozen=True, strict=True)

    trace_id: Name = Field(
        description="What the feedback is on: a trace id, a request id, or the provider's id of a response."
    )
    feedback: Object = Field(
        description="Any JSON object; known fields in it count as a score, a comment or an edit."
    )
    app_id: Name | None = Field(None, description="The application.")
    app_version: Name | None = Field(None, description="Version of the application.")
    api_version: Name | None = Field(None, description="Version of the API that the caller was written for.")
    ui_version: Name | None = Field(None, description="Version of the page with the form.")
    user: Name | None = Field(None, description="Who gives the feedback.")
    metadata: Metadata | None = Field(None, description="Anything else.")


class FeedbackPatchBody(BaseModel):
    """A change of an entry; a null or absent field stays unchanged."""

    model_config = ConfigDict(frozen=True, strict=True)

    feedback: Object | None = Field(None, description="Fields of the feedback to add or to replace.")
    app_id: Name | None = None
    app_version: Name | None = None

    @model_validator(mode="after")
    def _must_change_something(self) -> FeedbackPatchBody:
        if self.feedback is None and self.app_id is None and self.app_version is None:
            raise ValueError("changes nothing; send feedback, app_id or app_version")
        return self


def to_new_feedback(body: object) -> NewFeedback:
    """Return the feedback in a body. Raises ValidationFailed, which names every bad field."""
    given = _validate(NewFeedbackBody, body)
    reading = parse_feedback(given.feedback)
    return NewFeedback(
        subject_id=given.trace_id,
        subject_field="trace_id",
        kind=reading.kind,
        value=reading.parsed_score.value,
        scale=reading.parsed_score.scale,
        weight=reading.weight,
        comment=reading.comment,
        original_text=reading.original_text,
        edited_text=reading.edited_text,
        author=given.user,
        app_id=given.app_id,
        app_version=given.app_version,
        metadata=given.metadata or {},
        raw=orjson.dumps(body).decode(),
    )


def to_patch(body: object) -> FeedbackPatch:
    """Return the change in a body. Raises ValidationFailed for an invalid or empty change."""
    given = _validate(FeedbackPatchBody, body)
    raw = orjson.dumps(body).decode()
    return FeedbackPatch(feedback=given.feedback, app_id=given.app_id, app_version=given.app_version, raw=raw)


def _validate(model: type[Model], body: object) -> Model:
    try:
        return model.model_validate(_OBJECT_ADAPTER.validate_python(body))
    except ValidationError as error:
        raise validation_failed(error, "body") from None
