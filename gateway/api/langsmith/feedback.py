"""`/langsmith/feedback`: feedback on runs as LangSmith's SDKs give, read, change and delete it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import orjson
from aiohttp import web
from pydantic import BeforeValidator, Field, RootModel, model_validator

from gateway import __version__
from gateway.errors import BadInput, GatewayError, NotFound
from gateway.feedback.named_values import (
    NamedFeedback,
    NamedValue,
    SubjectNames,
    author_in,
    read_value,
    restate,
    text_of,
)
from gateway.feedback.service import FeedbackService
from gateway.models.clock import format_rfc3339
from gateway.models.feedback import Feedback, Source
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.principal import Principal, Role
from gateway.web import feedback as fields
from gateway.web.bodies import abbreviate, read_json, validate_body
from gateway.web.endpoint import EXAMPLE_IDS, NO_STORE, Endpoint, Example, Schema, json_response
from gateway.web.query_params import DIGITS, QueryParams

# How this API is called in stored rows.
DIALECT = "langsmith"

MAX_LIMIT = 100
_OLDEST_FIRST = Sort("created_at_us", descending=False)
_MODEL_SOURCES = ("model", "auto_eval")
_SOURCES_BY_TYPE = {"api": ("human", "code", "implicit"), "model": ("model",)}


def _check_json(value: object) -> object:
    if fields.has_nul(value):
        raise ValueError("must not hold the character U+0000")
    return value


Json = Annotated[object, BeforeValidator(_check_json)]


def _check_score(value: object) -> bool | float | None:
    if value is None or isinstance(value, bool):
        return value
    if fields.is_number(value):
        return float(value)
    raise ValueError(f"must be a number, true or false; got {abbreviate(value)}")


Score = Annotated[bool | float | None, BeforeValidator(_check_score)]


class FeedbackSource(Schema):
    type: str | None = Field(None, description="`model` and `auto_eval` are of a model, others of a person.")
    metadata: fields.Metadata = Field(None, description="`user_id` or `user` is the author.")
    user_id: fields.OptionalId = Field(None, description="The author, where metadata names none.")


class FeedbackConfig(Schema):
    """How a score is meant."""

    type: str | None = None
    min: float | None = None
    max: float | None = None


class FeedbackBody(Schema):
    """Feedback on a run. Other fields are stored with it, but mean nothing."""

    id: fields.EntryId = Field(None, description="The entry's id: the same id again is a retry.")
    run_id: fields.OptionalId = Field(
        None, description="Id of a trace, a request or a response, whether or not it is logged yet."
    )
    trace_id: fields.OptionalId = Field(None, description="What counts where nothing is logged under run_id.")
    key: fields.AnyId = Field(description="What is rated.")
    score: Score = None
    value: Json = Field(None, description="A label, if it is text; else kept as metadata.")
    comment: fields.Text = None
    correction: Json = Field(
        None, description="The answer as it should have been: a text, an object with one text, or other JSON."
    )
    feedback_source: FeedbackSource | None = None
    feedback_config: FeedbackConfig | None = Field(
        None, description="With `min` and `max`, a score between them is from bad to good; else from 0 to 1."
    )
    # As the SDK for JavaScript writes it.
    feedbackConfig: FeedbackConfig | None = Field(None, description="The same.")
    extra: fields.Metadata = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.run_id is None and self.trace_id is None:
            raise ValueError("needs run_id or trace_id; feedback on a project is not taken here")
        return self

    def named(self, raw: Mapping[str, object]) -> NamedFeedback:
        source = self.feedback_source or FeedbackSource(type=None, metadata=None, user_id=None)
        metadata = {**(source.metadata or {}), **(self.extra or {})}
        return NamedFeedback(
            subject=SubjectNames(
                tuple(dict.fromkeys(each for each in (self.run_id, self.trace_id) if each)), field="run_id"
            ),
            name=self.key,
            value=self._value(),
            comment=self.comment,
            edited_text=text_of(self.correction),
            author=author_in(metadata) or source.user_id,
            source=Source.MODEL if source.type in _MODEL_SOURCES else Source.HUMAN,
            metadata=metadata,
            raw=orjson.dumps(raw).decode(),
            feedback_id=self.id,
        )

    def _value(self) -> NamedValue:
        config = self.feedback_config or self.feedbackConfig or FeedbackConfig()
        has_bounds = config.min is not None and config.max is not None
        bounds = (config.min or 0.0, config.max or 0.0) if has_bounds else None
        if self.score is None:
            return read_value(self.value, bounds) if self.value is not None else NamedValue()
        read, said = read_value(self.score, bounds), read_value(self.value)
        return NamedValue(read.number, read.scale, said.label, said.other)


class FeedbackPatch(Schema):
    """Fields to change; null clears one."""

    score: Score = None
    value: Json = None
    comment: fields.Text = None
    correction: Json = None


class FeedbackEntry(Schema):
    """Feedback of any API, as LangSmith shows it."""

    id: str
    created_at: str
    modified_at: str
    run_id: str | None = Field(
        description="As it was given, or the request that it is on; null where that is no UUID."
    )
    trace_id: str | None = Field(description="null where it is no UUID.")
    key: str
    score: bool | float | None
    value: Json
    comment: str | None
    correction: Json
    feedback_source: FeedbackSource

    @classmethod
    def of(cls, entry: Feedback) -> Self:
        stated = _stated(entry)
        edited = None if entry.edited_text is None else {"output": entry.edited_text}
        source = "model" if entry.source is Source.MODEL else "api"
        return cls(
            id=entry.feedback_id,
            created_at=format_rfc3339(entry.created_at_us),
            modified_at=format_rfc3339(entry.updated_at_us),
            # One other id would keep SDKs from reading the whole list.
            run_id=_uuid(stated.get("run_id")) or _uuid(entry.request_id) or _uuid(entry.subject_id),
            trace_id=_uuid(entry.trace_id),
            key=entry.metric or entry.kind.value,
            score=entry.value,
            value=stated.get("value", entry.label),
            comment=entry.comment,
            correction=stated.get("correction", edited),
            feedback_source=FeedbackSource(type=source, metadata=dict(entry.metadata), user_id=None),
        )


class FeedbackList(RootModel[list[FeedbackEntry]]):
    """The oldest first."""


class InfoReply(Schema):
    """What SDKs ask before anything else."""

    version: str = Field(description="Old enough for SDKs to send each feedback by itself.")
    gateway: str
    batch_ingest_config: dict[str, bool | int]
    instance_flags: dict[str, bool]


class MessageReply(Schema):
    message: str


class ErrorReply(Schema):
    """An error; nothing was stored."""

    detail: str


_Names = Annotated[tuple[str, ...], Field(max_length=MAX_LIMIT)]


class FeedbackListParams(QueryParams):
    REPEATABLE = frozenset({"run", "key", "source"})

    run: _Names = Field((), description="Entries on runs, traces or requests with one of these ids.")
    key: _Names = Field((), description="Entries under one of these names.")
    source: tuple[Literal["api", "model"], ...] = Field((), description="Entries of people or of models.")
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT), DIGITS] = MAX_LIMIT
    offset: Annotated[int, Field(ge=0, le=100_000), DIGITS] = 0

    def where(self) -> Filter:
        conditions: list[Filter] = []
        if self.run:
            names = ("subject_id", "request_id", "trace_id")
            conditions.append(AnyOf(tuple(Comparison(name, Op.IN, self.run) for name in names)))
        if self.key:
            conditions.append(Comparison("metric", Op.IN, self.key))
        if self.source:
            sources = [each for name in self.source for each in _SOURCES_BY_TYPE[name]]
            conditions.append(Comparison("source", Op.IN, tuple(sources)))
        return AllOf(tuple(conditions))


def render_error(error: GatewayError) -> web.Response:
    message = str(error).encode(errors="replace").decode()
    return json_response(ErrorReply(detail=message), error.status)


@dataclass(frozen=True, slots=True)
class _FeedbackChange:
    changed: Mapping[str, object]

    @property
    def raw(self) -> str:
        return orjson.dumps(self.changed).decode()

    def of(self, entry: Feedback) -> Feedback:
        stated = _stated(entry) or {**FeedbackEntry.of(entry).model_dump(), "run_id": entry.subject_id}
        merged = {**stated, **self.changed}
        before, after = (validate_body(FeedbackBody, each).named(each) for each in (stated, merged))
        return restate(entry, before, after)


class FeedbackEndpoints:
    def __init__(self, service: FeedbackService, max_body_bytes: int) -> None:
        self._service = service
        self._max_body_bytes = max_body_bytes

    @Endpoint("GET", "/langsmith/info", None, "Show what is taken here")
    async def _show_info(self, request: web.Request, _: Principal) -> InfoReply:
        return InfoReply(
            version="0.8.0",
            gateway=__version__,
            # The SDK's thread for runs needs each of these, though none is sent here.
            batch_ingest_config={
                "use_multipart_endpoint": False,
                "size_limit": 100,
                "size_limit_bytes": 1_000_000,
                "scale_up_nthreads_limit": 1,
                "scale_up_qsize_trigger": 1000,
                "scale_down_nempty_trigger": 4,
            },
            instance_flags={},
        )

    @Endpoint(
        "POST",
        "/langsmith/feedback",
        Role.FEEDBACK,
        "Give feedback on a run",
        body=FeedbackBody,
        reply=FeedbackEntry,
        failures=(400, 409, 429),
        accepts_feedback_token=True,
        example=Example(
            body={
                "run_id": EXAMPLE_IDS["request_id"],
                "key": "helpful",
                "score": 0.75,
                "comment": "Nearly right.",
                "feedback_source": {"type": "api", "metadata": {"user_id": "ann"}},
            }
        ),
    )
    async def _give(self, request: web.Request, principal: Principal) -> web.Response:
        """True and false are the scores 1 and -1, a number from 0 to 1 the score from -1 to 1. Other numbers are
        kept without a score."""
        body = await read_json(request, self._max_body_bytes)
        item = validate_body(FeedbackBody, body).named(dict(body) if isinstance(body, dict) else {})
        [entry] = await self._service.give_named([item], principal, dialect=DIALECT)
        response = json_response(FeedbackEntry.of(entry), headers=NO_STORE)
        response.headers.update(fields.joined_headers([entry]))
        return response

    @Endpoint(
        "GET",
        "/langsmith/feedback",
        Role.READ,
        "List feedback",
        failures=(400, 503, 504),
        reply=FeedbackList,
        example=Example(query={"run": EXAMPLE_IDS["request_id"], "limit": "2"}),
    )
    async def _list(
        self, request: web.Request, principal: Principal, params: FeedbackListParams
    ) -> web.Response:
        """An array of entries of every API, the oldest first."""
        page = Page(params.limit, params.offset)
        found = await self._service.find(params.where(), _OLDEST_FIRST, page, principal)
        body = orjson.dumps([FeedbackEntry.of(entry).model_dump() for entry in found])
        return web.Response(body=body, content_type="application/json", headers=NO_STORE)

    @Endpoint(
        "GET", "/langsmith/feedback/{feedback_id:[^/]+}", Role.READ, "Read an entry", failures=(404, 503)
    )
    async def _show(self, request: web.Request, principal: Principal) -> FeedbackEntry:
        """Of any API."""
        return FeedbackEntry.of(await self._service.entry(_feedback_id(request), principal))

    @Endpoint(
        "PATCH",
        "/langsmith/feedback/{feedback_id:[^/]+}",
        Role.FEEDBACK,
        "Change an entry",
        body=FeedbackPatch,
        failures=(400, 404, 409),
        example=Example(body={"score": 1, "comment": None}),
    )
    async def _change(self, request: web.Request, principal: Principal) -> FeedbackEntry:
        """Makes a new version of it; fields that are absent stay. Earlier versions are kept."""
        given = validate_body(FeedbackPatch, await read_json(request, self._max_body_bytes))
        if not given.model_fields_set:
            names = ", ".join(FeedbackPatch.model_fields)
            raise BadInput("changes nothing.", field="body", hint=f"Send one of {names}.")
        change = _FeedbackChange(given.model_dump(include=given.model_fields_set))
        return FeedbackEntry.of(await self._service.revise(_feedback_id(request), change, principal, DIALECT))

    @Endpoint(
        "DELETE",
        "/langsmith/feedback/{feedback_id:[^/]+}",
        Role.ADMIN,
        "Delete an entry",
        failures=(404, 503),
    )
    async def _delete(self, request: web.Request, principal: Principal) -> MessageReply:
        """It no longer counts and is no longer listed; its versions are kept."""
        await self._service.withdraw(_feedback_id(request), principal, DIALECT)
        return MessageReply(message="Feedback deleted")


def _stated(entry: Feedback) -> dict[str, object]:
    found: dict[str, object] = orjson.loads(entry.raw) if entry.dialect == DIALECT else {}
    return found


def _uuid(value: object) -> str | None:
    try:
        return fields.parse_uuid(value)
    except ValueError:
        return None


def _feedback_id(request: web.Request) -> str:
    try:
        return fields.parse_uuid(request.match_info["feedback_id"])
    except ValueError:
        raise NotFound("no feedback entry has this id; ids are UUIDs.", field="feedback_id") from None
