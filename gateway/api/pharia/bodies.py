"""The dialect's bodies: feedback as it is given, and what may be changed of it."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from gateway.api.pharia.entries import Patch
from gateway.api.pharia.errors import invalid
from gateway.domain.ids import MAX_ID_BYTES, is_valid_id
from gateway.feedback import NewFeedback, read_feedback
from gateway.web.feedback import has_nul

Model = TypeVar("Model", bound=BaseModel)


def _printable(text: str) -> str:
    if is_valid_id(text):
        return text
    raise ValueError(f"must be a printable string of 1 to {MAX_ID_BYTES} bytes")


def _without_nul(value: dict[str, Any]) -> dict[str, Any]:
    if has_nul(value):
        raise ValueError("must not hold the character U+0000, neither in keys nor in strings")
    return value


Name = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES), AfterValidator(_printable)]
Object = dict[str, Any]
Metadata = Annotated[Object, AfterValidator(_without_nul)]

_ANY_OBJECT = TypeAdapter(Object, config=ConfigDict(strict=True))


class NewFeedbackBody(BaseModel):
    """Feedback on a trace. Fields that are not named here are kept with the entry, but mean nothing."""

    model_config = ConfigDict(frozen=True, strict=True)

    trace_id: Name = Field(
        description="What is judged: a trace id, a request id, or the response id that the provider gave."
    )
    feedback: Object = Field(description="Any JSON object; what is known in it also counts.")
    app_id: Name | None = Field(None, description="The application that it was given in.")
    app_version: Name | None = Field(None, description="Version of that application.")
    api_version: Name | None = Field(None, description="Version of the API that it was written for.")
    ui_version: Name | None = Field(None, description="Version of the page that it was given in.")
    user: Name | None = Field(None, description="Who judged.")
    metadata: Metadata | None = Field(None, description="Anything else.")


class FeedbackPatchBody(BaseModel):
    """What to change of an entry; what is null or absent stays as it is."""

    model_config = ConfigDict(frozen=True, strict=True)

    feedback: Object | None = Field(None, description="Fields of the feedback to add or to replace.")
    app_id: Name | None = None
    app_version: Name | None = None

    @model_validator(mode="after")
    def _must_change_something(self) -> FeedbackPatchBody:
        if self.feedback is None and self.app_id is None and self.app_version is None:
            raise ValueError("changes nothing; send feedback, app_id or app_version")
        return self


def to_vote(body: object) -> NewFeedback:
    """Return the vote in a body.

    Raises:
        Invalid: it is not as `NewFeedbackBody` wants it; names every field that is not.
    """
    given = _checked(NewFeedbackBody, body)
    reading = read_feedback(given.feedback)
    return NewFeedback(
        subject_id=given.trace_id,
        subject_field="trace_id",
        kind=reading.kind,
        value=reading.verdict.value,
        scale=reading.verdict.scale,
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


def to_patch(body: object) -> Patch:
    """Return the change in a body.

    Raises:
        Invalid: it is not as `FeedbackPatchBody` wants it, or changes nothing.
    """
    given = _checked(FeedbackPatchBody, body)
    return Patch(
        feedback=given.feedback,
        app_id=given.app_id,
        app_version=given.app_version,
        raw=orjson.dumps(body).decode(),
    )


def _checked(model: type[Model], body: object) -> Model:
    try:
        return model.model_validate(_ANY_OBJECT.validate_python(body))
    except ValidationError as error:
        raise invalid(error, "body") from None
