"""`/feedback`: give, list, patch and delete feedback in the Pharia API."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Annotated, Self
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError, WithJsonSchema

from gateway.api.pharia import schemas
from gateway.api.pharia.errors import ErrorResponse, InvalidTime, render_error, validation_failed
from gateway.errors import NotFound, TooLarge
from gateway.feedback.service import FeedbackService
from gateway.models.clock import parse_iso_us
from gateway.models.feedback import Feedback
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.principal import Principal, Role
from gateway.web.bodies import read_idempotency_key, read_json
from gateway.web.endpoint import (
    ANY_ROLE,
    EXAMPLE_IDS,
    NO_STORE,
    Api,
    Endpoint,
    Example,
    Tag,
    endpoints_of,
    json_response,
)
from gateway.web.feedback import joined_headers
from gateway.web.query_params import QueryParams

DEFAULT_LIMIT = 1_000
MAX_LIMIT = 10_000

_UUID_ADAPTER = TypeAdapter(UUID)


def _parse_time_us(value: object) -> int:
    if (time_us := parse_iso_us(str(value))) is not None:
        return time_us
    raise InvalidTime(
        "invalid datetime format; send a date (2026-01-31, its first moment), or a time in UTC or with an offset "
        "(2026-01-31T09:30:00, 2026-01-31T10:30:00%2B01:00: a + is sent as %2B)"
    )


_TIME_SCHEMA = {"anyOf": [{"type": "string", "format": each} for each in ("date-time", "date")]}
TimeParameter = Annotated[int, BeforeValidator(_parse_time_us), WithJsonSchema(_TIME_SCHEMA)]


class ListParams(QueryParams):
    trace_id: str | None = Field(None, description="Entries on this trace, or that were given under this id.")
    app_id: str | None = Field(None, description="Entries of this application.")
    feedback_id: UUID | None = Field(None, description="The entry with this id.")
    start_time: TimeParameter | None = Field(
        None, description="Created at this time or later: a time, in UTC if it has no offset, or a date."
    )
    end_time: TimeParameter | None = Field(
        None, description="Created before this time: a time, in UTC if it has no offset, or a date."
    )
    limit: int = Field(
        DEFAULT_LIMIT,
        ge=1,
        le=MAX_LIMIT,
        description="Most entries to return; where more match, the response is 413.",
    )

    @classmethod
    def parse(cls, query: Iterable[tuple[str, str]]) -> Self:
        """Read a query string's decoded pairs. Raises ValidationFailed, which names every bad parameter."""
        given: dict[str, list[str]] = {}
        for name, text in query:
            given.setdefault(name, []).append(text)
        try:
            # A repeated parameter stays a list, which no field accepts.
            return cls.model_validate({name: t[0] if len(t) == 1 else t for name, t in given.items()})
        except ValidationError as error:
            raise validation_failed(error, "query") from None

    def where(self) -> Filter:
        conditions: list[Filter] = []
        if self.trace_id is not None:
            conditions.append(
                AnyOf(tuple(Comparison(name, Op.EQ, self.trace_id) for name in ("trace_id", "subject_id")))
            )
        comparisons: tuple[tuple[str, Op, str | int | None], ...] = (
            ("app_id", Op.EQ, self.app_id),
            ("feedback_id", Op.EQ, None if self.feedback_id is None else str(self.feedback_id)),
            ("created_at_us", Op.GE, self.start_time),
            ("created_at_us", Op.LT, self.end_time),
        )
        given = (Comparison(field, op, value) for field, op, value in comparisons if value is not None)
        return AllOf((*conditions, *given))


def read_feedback_id(request: web.Request) -> str:
    """Return the id in the path. Raises NotFound where it is not a UUID, as no entry has such an id."""
    try:
        return str(_UUID_ADAPTER.validate_python(request.match_info["feedback_id"]))
    except ValidationError:
        raise NotFound("no feedback entry has such an id.", field="feedback_id") from None


FEEDBACK_PATHS = ("/api/feedback", "/feedback")
OLDEST_FIRST = Sort("created_at_us", descending=False)


class FeedbackIdResponse(BaseModel):
    """The new entry."""

    feedback_id: str = Field(description="Its id.")


class MessageResponse(BaseModel):
    """The result."""

    message: str


def pharia_api(service: FeedbackService, max_body_bytes: int) -> Api:
    """Return the API of PhariaAssistant, under each of its paths."""
    handlers = FeedbackEndpoints(service, max_body_bytes)
    return Api(
        name=schemas.DIALECT,
        tag=Tag("PhariaAI", "Feedback on traces as clients of PhariaAI give it; both paths do the same."),
        prefixes=FEEDBACK_PATHS,
        endpoints=tuple(
            endpoint for path in FEEDBACK_PATHS for endpoint in endpoints_of(handlers, path, NO_STORE)
        ),
        render_error=render_error,
        error_model=ErrorResponse,
    )


class FeedbackEndpoints:
    def __init__(self, service: FeedbackService, max_body_bytes: int) -> None:
        self._service = service
        self._max_body_bytes = max_body_bytes

    @Endpoint(
        "POST",
        "",
        ANY_ROLE,
        "Give feedback on a trace",
        body=schemas.NewFeedbackBody,
        reply=FeedbackIdResponse,
        failures=(409, 422, 429),
        accepts_feedback_token=True,
        example=Example(
            body={
                "trace_id": EXAMPLE_IDS["trace_id"],
                "feedback": {"rating": 2, "comment": "Outdated."},
                "user": "ann",
            }
        ),
    )
    async def _create(self, request: web.Request, principal: Principal) -> web.Response:
        """The feedback is any JSON object. Known fields in it, such as `rating`, `thumbs_up`, `score`,
        `comment` and `user_edit`, also count as a score, a comment or an edit. An `original_response` and a
        `user_edit` that come as separate entries on a trace are one edit."""
        key = read_idempotency_key(request.headers)
        item = schemas.to_new_feedback(await read_json(request, self._max_body_bytes))
        entries = await self._service.give([item], principal, dialect=schemas.DIALECT, idempotency_key=key)
        response = json_response(FeedbackIdResponse(feedback_id=entries[0].feedback_id), headers=NO_STORE)
        response.headers.update(joined_headers(entries))
        return response

    @Endpoint(
        "GET",
        "",
        Role.ADMIN,
        "List feedback",
        reply=schemas.Entries,
        failures=(413, 422, 503, 504),
        example=Example(query={"trace_id": EXAMPLE_IDS["trace_id"]}),
    )
    async def _list(self, request: web.Request, principal: Principal, params: ListParams) -> web.Response:
        """All filters must match. Oldest first, of every API."""
        found = await self._service.find(params.where(), OLDEST_FIRST, Page(params.limit + 1), principal)
        if len(found) > params.limit:
            raise TooLarge(
                f"Too many results: more than {params.limit:,} entries match.",
                field="limit",
                hint=f"Ask for a shorter time, or set limit to up to {MAX_LIMIT:,}.",
            )
        # Many entries take long to write, and other callers' streams run on this thread.
        return await asyncio.to_thread(_list_response, found)

    @Endpoint(
        "PATCH",
        "/{feedback_id}",
        ANY_ROLE,
        "Change an entry",
        body=schemas.FeedbackPatchBody,
        failures=(404, 409, 422),
        example=Example(body={"feedback": {"rating": 4}}),
    )
    async def _change(self, request: web.Request, principal: Principal) -> MessageResponse:
        """Makes a new version of the entry; earlier versions are kept. Fields of `feedback` are added, or
        replace those of their name; the others stay."""
        key = read_idempotency_key(request.headers)
        patch = schemas.to_patch(await read_json(request, self._max_body_bytes))
        feedback_id = read_feedback_id(request)
        await self._service.revise(feedback_id, patch, principal, schemas.DIALECT, idempotency_key=key)
        return MessageResponse(message="Feedback updated successfully")

    @Endpoint("DELETE", "/{feedback_id}", Role.ADMIN, "Delete an entry", failures=(404, 503))
    async def _remove(self, request: web.Request, principal: Principal) -> MessageResponse:
        """For good: all its versions, and what is stored of the calls that made them."""
        await self._service.remove(read_feedback_id(request), principal, schemas.DIALECT)
        return MessageResponse(message="Feedback deleted successfully")


def _list_response(found: Sequence[Feedback]) -> web.Response:
    return json_response(schemas.Entries([schemas.Entry.of(entry) for entry in found]), headers=NO_STORE)
