"""What may be sent to Helicone's paths, and how it is checked."""

from __future__ import annotations

from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt, ValidationError

from gateway.domain.ids import MAX_ID_BYTES, is_valid_id
from gateway.errors import BadInput, NotFound
from gateway.web.validation import explain, parse_id, shown

MAX_LIMIT = 1000
"""Most requests in one answer."""
MAX_SCORES = 1000
"""Most scores in one call."""
MAX_PROPERTY = 64 * 1024
"""Longest value of a property, in characters."""

Model = TypeVar("Model", bound=BaseModel)


def _number_or_truth(value: object) -> object:
    if isinstance(value, bool | int | float):
        return value
    raise ValueError(f"must be a number, true or false; got {shown(value)}")


def _property(value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_PROPERTY and "\0" not in value:
        return value
    raise ValueError(
        f"must be a string of at most {MAX_PROPERTY:,} characters, none of them U+0000; got {shown(value)}"
    )


Name = Annotated[str, Field(min_length=1, max_length=MAX_ID_BYTES), BeforeValidator(parse_id)]
Score = Annotated[bool | int | float, BeforeValidator(_number_or_truth)]
PropertyValue = Annotated[str, Field(max_length=MAX_PROPERTY), BeforeValidator(_property)]


class FeedbackBody(BaseModel):
    """A thumb."""

    model_config = ConfigDict(frozen=True)

    rating: StrictBool = Field(description="true: up, false: down.")


class ScoreBody(BaseModel):
    """Scores by their names."""

    model_config = ConfigDict(frozen=True)

    scores: dict[Name, Score] = Field(
        min_length=1, max_length=MAX_SCORES, description="Each a number, or true or false."
    )


class PropertyBody(BaseModel):
    """One property."""

    model_config = ConfigDict(frozen=True)

    key: Name
    value: PropertyValue


class QueryBody(BaseModel):
    """A search. What is null is as if it were absent."""

    model_config = ConfigDict(frozen=True)

    filter: object = Field("all", description="A filter tree; `all` or nothing: every request.")
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
        None, description="Taken; inputs of prompts stay in their bodies."
    )
    isScored: StrictBool | None = Field(None, description="Only those with a score, or only those without.")
    isPartOfExperiment: StrictBool | None = Field(
        None, description="true finds nothing, false all: there are no experiments here."
    )


def checked(model: type[Model], body: object) -> Model:
    """Return a body as a model. Raises BadInput that names the field that is to blame."""
    try:
        return model.model_validate(body)
    except ValidationError as error:
        raise explain(error) from None


def request_id_of(request: web.Request) -> str:
    """Return the request id in a path. Raises NotFound for what no request can be called."""
    request_id = request.match_info["request_id"]
    if not is_valid_id(request_id):
        raise NotFound("Request not found")
    return request_id


def read_author(user_id: str | None) -> str | None:
    """Return the voter that `Helicone-User-Id` names. Raises BadInput for what can be no name."""
    if user_id is not None and not is_valid_id(user_id):
        raise BadInput(f"must be 1 to {MAX_ID_BYTES} bytes of printable text.", field="Helicone-User-Id")
    return user_id
