"""What entries may be searched for by, as query parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.api.pharia.errors import InvalidTime, invalid
from gateway.domain.filter import All, Any, Filter, Is, Op
from gateway.domain.moment import iso_us
from gateway.errors import NotFound
from gateway.web.face import Parameter

DEFAULT_LIMIT = 1_000
MAX_LIMIT = 10_000

_UUID = TypeAdapter(UUID)


def _to_us(value: object) -> int:
    if (time_us := iso_us(str(value))) is not None:
        return time_us
    raise InvalidTime(
        "invalid datetime format; send a date (2026-01-31, its first moment), or a time in UTC or with an offset "
        "(2026-01-31T09:30:00, 2026-01-31T10:30:00%2B01:00: a + is sent as %2B)",
    )


Time = Annotated[int, BeforeValidator(_to_us)]


class _Query(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    trace_id: str | None = None
    app_id: str | None = None
    feedback_id: UUID | None = None
    start_time: Time | None = None
    end_time: Time | None = None
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)


@dataclass(frozen=True, slots=True)
class Search:
    """What a caller looks for, and how much of it is taken at most."""

    where: Filter
    limit: int


def read_search(request: web.Request) -> Search:
    """Read a query string.

    Raises:
        Invalid: a parameter is unknown, given twice or has a bad value.
    """
    given = {name: request.query.getall(name) for name in request.query}
    try:
        # What is given twice stays a list, which no parameter takes.
        query = _Query.model_validate(
            {name: values[0] if len(values) == 1 else values for name, values in given.items()}
        )
    except ValidationError as error:
        raise invalid(error, "query") from None
    return Search(All(tuple(_conditions(query))), query.limit)


def read_feedback_id(request: web.Request) -> str:
    """Read the id in the path. Raises NotFound where it is no UUID, since no entry has such an id."""
    try:
        return str(_UUID.validate_python(request.match_info["feedback_id"]))
    except ValidationError:
        raise NotFound("no feedback entry has such an id.", field="feedback_id") from None


def _conditions(query: _Query) -> list[Filter]:
    conditions: list[Filter] = []
    if query.trace_id is not None:
        named = ("trace_id", "subject_id")
        conditions.append(Any(tuple(Is(field, Op.EQ, query.trace_id) for field in named)))
    if query.app_id is not None:
        conditions.append(Is("app_id", Op.EQ, query.app_id))
    if query.feedback_id is not None:
        conditions.append(Is("feedback_id", Op.EQ, str(query.feedback_id)))
    if query.start_time is not None:
        conditions.append(Is("created_at_us", Op.GE, query.start_time))
    if query.end_time is not None:
        conditions.append(Is("created_at_us", Op.LT, query.end_time))
    return conditions


_MOMENT: dict[str, object] = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
}

PARAMETERS = (
    Parameter("trace_id", "Entries on this trace, or that were given under this id."),
    Parameter("app_id", "Entries of this application."),
    Parameter("feedback_id", "The entry with this id.", {"type": "string", "format": "uuid"}),
    Parameter(
        "start_time",
        "Created at this time or later: a time, in UTC if it names no offset, or a date.",
        _MOMENT,
    ),
    Parameter(
        "end_time", "Created before this time: a time, in UTC if it names no offset, or a date.", _MOMENT
    ),
    Parameter(
        "limit",
        "Most entries to return; where more match, the reply is 413.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
)
