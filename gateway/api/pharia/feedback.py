"""`/feedback`: give, list, patch and delete feedback in the Pharia API."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import orjson
from aiohttp import web
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from gateway.api.pharia.errors import ErrorResponse, InvalidTime, render_error, validation_failed
from gateway.api.pharia.schemas import (
    DIALECT,
    Entries,
    Entry,
    FeedbackPatchBody,
    NewFeedbackBody,
    to_new_feedback,
    to_patch,
)
from gateway.errors import NotFound, TooLarge
from gateway.feedback.service import FeedbackService
from gateway.models.clock import parse_iso_us
from gateway.models.feedback import Feedback
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.principal import Principal, Role
from gateway.web.bodies import read_idempotency_key, read_json
from gateway.web.endpoint import ANY_ROLE, Api, Endpoint, Parameter
from gateway.web.feedback import joined_headers

DEFAULT_LIMIT = 1_000
MAX_LIMIT = 10_000

_UUID_ADAPTER = TypeAdapter(UUID)


def _parse_time_us(value: object) -> int:
    if (time_us := parse_iso_us(str(value))) is not None:
        return time_us
    raise InvalidTime(
        "invalid datetime format; send a date (2026-01-31, its first moment), or a time in UTC or with an offset "
        "(2026-01-31T09:30:00, 2026-01-31T10:30:00%2B01:00: a + is sent as %2B)",
    )


TimeParameter = Annotated[int, BeforeValidator(_parse_time_us)]


class _QueryModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    trace_id: str | None = None
    app_id: str | None = None
    feedback_id: UUID | None = None
    start_time: TimeParameter | None = None
    end_time: TimeParameter | None = None
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=MAX_LIMIT)


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What a caller looks for, and how much of it is taken at most."""

    where: Filter
    limit: int


def read_list_query(request: web.Request) -> ListQuery:
    """Read a query string.

    Raises:
        Invalid: a parameter is unknown, given twice or has a bad value.
    """
    given = {name: request.query.getall(name) for name in request.query}
    try:
        # What is given twice stays a list, which no parameter takes.
        query = _QueryModel.model_validate(
            {name: values[0] if len(values) == 1 else values for name, values in given.items()}
        )
    except ValidationError as error:
        raise validation_failed(error, "query") from None
    return ListQuery(AllOf(tuple(_conditions(query))), query.limit)


def read_feedback_id(request: web.Request) -> str:
    """Read the id in the path. Raises NotFound where it is no UUID, since no entry has such an id."""
    try:
        return str(_UUID_ADAPTER.validate_python(request.match_info["feedback_id"]))
    except ValidationError:
        raise NotFound("no feedback entry has such an id.", field="feedback_id") from None


def _conditions(query: _QueryModel) -> list[Filter]:
    conditions: list[Filter] = []
    if query.trace_id is not None:
        named = ("trace_id", "subject_id")
        conditions.append(AnyOf(tuple(Comparison(field, Op.EQ, query.trace_id) for field in named)))
    if query.app_id is not None:
        conditions.append(Comparison("app_id", Op.EQ, query.app_id))
    if query.feedback_id is not None:
        conditions.append(Comparison("feedback_id", Op.EQ, str(query.feedback_id)))
    if query.start_time is not None:
        conditions.append(Comparison("created_at_us", Op.GE, query.start_time))
    if query.end_time is not None:
        conditions.append(Comparison("created_at_us", Op.LT, query.end_time))
    return conditions


_TIME_SCHEMA: dict[str, object] = {
    "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]
}

LIST_PARAMETERS = (
    Parameter("trace_id", "Entries on this trace, or that were given under this id."),
    Parameter("app_id", "Entries of this application."),
    Parameter("feedback_id", "The entry with this id.", {"type": "string", "format": "uuid"}),
    Parameter(
        "start_time",
        "Created at this time or later: a time, in UTC if it names no offset, or a date.",
        _TIME_SCHEMA,
    ),
    Parameter(
        "end_time", "Created before this time: a time, in UTC if it names no offset, or a date.", _TIME_SCHEMA
    ),
    Parameter(
        "limit",
        "Most entries to return; where more match, the reply is 413.",
        {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    ),
)


FEEDBACK_PATHS = ("/api/feedback", "/feedback")
OLDEST_FIRST = Sort("created_at_us", descending=False)


class FeedbackIdResponse(BaseModel):
    """The entry that was made."""

    feedback_id: str = Field(description="Its id.")


class MessageResponse(BaseModel):
    """What was done."""

    message: str


def pharia_api(service: FeedbackService, max_body_bytes: int) -> Api:
    """Return PhariaAssistant's face.

    Args:
        max_body_bytes: longest body taken.
    """
    handlers = FeedbackEndpoints(service, max_body_bytes)
    return Api(
        name=DIALECT,
        prefixes=FEEDBACK_PATHS,
        endpoints=tuple(endpoint for path in FEEDBACK_PATHS for endpoint in handlers.endpoints(path)),
        render_error=render_error,
        error_model=ErrorResponse,
    )


class FeedbackEndpoints:
    def __init__(self, service: FeedbackService, max_body_bytes: int) -> None:
        self._service = service
        self._max_body_bytes = max_body_bytes

    def endpoints(self, path: str) -> tuple[Endpoint, ...]:
        return (
            Endpoint(
                method="POST",
                path=path,
                handler=self._create,
                role=ANY_ROLE,
                summary="Give feedback on a trace",
                description="The feedback is any JSON object. Known shapes in it, such as `rating`, `thumbs_up`, "
                "`score`, `comment` and `user_edit`, also count as a verdict, a comment or an edit. An "
                "`original_response` and a `user_edit` that come as entries of their own on a trace are one edit.",
                body=NewFeedbackBody,
                reply=FeedbackIdResponse,
                failures=(409, 413, 422, 429, 503),
                accepts_feedback_token=True,
            ),
            Endpoint(
                method="GET",
                path=path,
                handler=self._list,
                role=Role.ADMIN,
                summary="List feedback",
                description="All conditions must hold. The oldest first, of every dialect.",
                parameters=LIST_PARAMETERS,
                reply=Entries,
                failures=(413, 422, 503, 504),
            ),
            Endpoint(
                method="PATCH",
                path=f"{path}/{{feedback_id}}",
                handler=self._change,
                role=ANY_ROLE,
                summary="Change an entry",
                description="Makes a new version of the entry; the earlier ones are kept. Fields of `feedback` "
                "are added, or replace those of their name; the others stay.",
                body=FeedbackPatchBody,
                reply=MessageResponse,
                failures=(404, 409, 413, 422, 503),
            ),
            Endpoint(
                method="DELETE",
                path=f"{path}/{{feedback_id}}",
                handler=self._remove,
                role=Role.ADMIN,
                summary="Delete an entry",
                description="For good: all its versions, and what is kept of the calls that made them.",
                reply=MessageResponse,
                failures=(404, 503),
            ),
        )

    async def _create(self, request: web.Request, principal: Principal) -> web.Response:
        key = read_idempotency_key(request.headers)
        item = to_new_feedback(await read_json(request, self._max_body_bytes))
        entries = await self._service.give([item], principal, dialect=DIALECT, idempotency_key=key)
        response = _json_response(FeedbackIdResponse(feedback_id=entries[0].feedback_id))
        response.headers.update(joined_headers(entries))
        return response

    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        search = read_list_query(request)
        found = await self._service.find(search.where, OLDEST_FIRST, Page(search.limit + 1), principal)
        if len(found) > search.limit:
            raise TooLarge(
                f"Too many results: more than {search.limit:,} entries match.",
                field="limit",
                hint=f"Ask for a shorter time, or set limit to up to {MAX_LIMIT:,}.",
            )
        # Many entries take long to write, and other callers' streams go through this thread.
        return await asyncio.to_thread(_list_reply, found)

    async def _change(self, request: web.Request, principal: Principal) -> web.Response:
        key = read_idempotency_key(request.headers)
        patch = to_patch(await read_json(request, self._max_body_bytes))
        await self._service.revise(read_feedback_id(request), patch, principal, DIALECT, idempotency_key=key)
        return _json_response(MessageResponse(message="Feedback updated successfully"))

    async def _remove(self, request: web.Request, principal: Principal) -> web.Response:
        await self._service.remove(read_feedback_id(request), principal, DIALECT)
        return _json_response(MessageResponse(message="Feedback deleted successfully"))


def _list_reply(found: Sequence[Feedback]) -> web.Response:
    return _json_response(Entries([Entry.of(entry) for entry in found]))


def _json_response(body: BaseModel) -> web.Response:
    return web.Response(
        body=orjson.dumps(body.model_dump()),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
