"""`/langfuse/api/public`: scores as Langfuse's SDKs send them, one by one, as an array, or as events."""

from collections.abc import Sequence
from typing import Annotated, Literal, Self

import orjson
from aiohttp import web
from pydantic import BeforeValidator, Field, model_validator

from gateway import __version__
from gateway.errors import BadInput, Conflict, GatewayError
from gateway.feedback.named_values import (
    NamedFeedback,
    NamedValue,
    SubjectNames,
    author_in,
    read_value,
    source_in,
    spellings,
)
from gateway.feedback.rules import replace_by_id
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Target
from gateway.models.ids import content_id, new_id
from gateway.models.principal import Principal, Role
from gateway.web import feedback as fields
from gateway.web.bodies import abbreviate, read_json, validate_body
from gateway.web.endpoint import (
    ANY_ROLE,
    EXAMPLE_IDS,
    Api,
    Endpoint,
    Example,
    Schema,
    Tag,
    endpoints_of,
    json_response,
)

# How this API is called in stored rows.
DIALECT = "langfuse"

SCORE_EVENT = "score-create"

DataType = Literal["NUMERIC", "BOOLEAN", "CATEGORICAL", "TEXT", "CORRECTION"]
_TEXT_TYPES = ("CATEGORICAL", "TEXT", "CORRECTION")
# What the SDK for Python makes of numbers that JSON has not.
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")


def _check_value(value: object) -> object:
    if fields.is_number(value) or isinstance(value, bool):
        return value
    if value in _NOT_FINITE:
        raise ValueError(f"must be a finite number; got {value}")
    if isinstance(value, str) and value and "\0" not in value:
        return value
    raise ValueError(
        f"must be a number, a boolean or a text, neither empty nor with U+0000; got {abbreviate(value)}"
    )


def _wrap_metadata(value: object) -> object:
    # Any JSON is allowed here, and an object elsewhere.
    return value if value is None or isinstance(value, dict) else {"metadata": value}


class ScoreBody(Schema):
    """A score of a trace, an observation or a session. Other fields are stored with it, but mean nothing."""

    id: fields.OptionalId = Field(
        None, description="The score's id: the same id again is a retry, or with other content a change."
    )
    traceId: fields.OptionalId = Field(
        None, description="Id of a trace, a request or a response, whether or not it is logged yet."
    )
    observationId: fields.OptionalId = Field(
        None, description="Span that a request is, or was sent in; what no request has counts for the trace."
    )
    sessionId: fields.OptionalId = Field(None, description="Id of a session, in place of the others.")
    datasetRunId: fields.OptionalId = Field(None, description="Refused: runs are not known here.")
    name: fields.AnyId
    value: Annotated[bool | float | str, BeforeValidator(_check_value)] = Field(
        description="A number, or a text; of BOOLEAN 0 or 1."
    )
    dataType: DataType | None = Field(
        None, description="Absent: NUMERIC of a number, BOOLEAN of true and false, CATEGORICAL of a text."
    )
    comment: fields.Text = None
    source: Literal["API", "ANNOTATION", "EVAL"] | None = Field(
        None, description="EVAL is of a model; so is API if metadata says `source: model`."
    )
    metadata: Annotated[fields.Metadata, BeforeValidator(_wrap_metadata)] = Field(
        None, description="Anything. `user_id` of an object is the author."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.datasetRunId is not None:
            raise ValueError("datasetRunId is not taken; score a trace, an observation or a session")
        if self.traceId is None and self.sessionId is None:
            raise ValueError("needs traceId (with observationId, where it is on one) or sessionId")
        if self.dataType is None:
            return self
        if isinstance(self.value, str) is not (self.dataType in _TEXT_TYPES):
            wanted = "a text" if self.dataType in _TEXT_TYPES else "a number"
            raise ValueError(f"value of {self.dataType} must be {wanted}; got {abbreviate(self.value)}")
        if self.dataType == "BOOLEAN" and self.value not in (0, 1):
            raise ValueError(f"value of BOOLEAN must be 0 or 1; got {abbreviate(self.value)}")
        return self

    def _subject(self) -> SubjectNames:
        if self.traceId is not None:
            return SubjectNames(spellings(self.traceId), self.observationId, field="traceId")
        return SubjectNames((self.sessionId or "",), target=Target.SESSION, field="sessionId")

    def named(self, raw: str) -> NamedFeedback:
        metadata = self.metadata or {}
        is_text, is_edit = self.dataType == "TEXT", self.dataType == "CORRECTION"
        given = bool(self.value) if self.dataType == "BOOLEAN" else self.value
        comment = self.comment
        if is_text:
            # A comment on a text is kept, but as what is said beside it.
            metadata = metadata if comment is None else {**metadata, "comment": comment}
            comment = str(self.value)
        return NamedFeedback(
            subject=self._subject(),
            name=self.name,
            value=NamedValue() if is_text or is_edit else read_value(given),
            comment=comment,
            edited_text=str(self.value) if is_edit else None,
            author=author_in(metadata),
            source=source_in({"source": "model"} if self.source == "EVAL" else metadata),
            metadata=metadata,
            raw=raw,
            feedback_id=None if self.id is None else entry_id(self.id),
        )


def entry_id(score_id: str) -> str:
    """Return the id of the entry of a score, whose own id may be any text."""
    return content_id(f"{DIALECT}\0{score_id}".encode())


class ScoreError(Schema):
    message: str = Field(description="Which score was refused, and why.")


class ScoresReply(Schema):
    """All were stored, or how many were not and why; or the id of a score that was sent alone."""

    message: Literal["Accepted"] | None = None
    id: str | None = None
    accepted: int | None = None
    rejected: int | None = None
    errors: list[ScoreError] | None = None


class EventBatch(Schema):
    """Events of older SDKs."""

    batch: list[object] = Field(
        max_length=fields.MAX_BULK, description="Events; only `score-create` is taken."
    )


class EventResult(Schema):
    id: str
    status: int
    message: str | None = None
    error: str | None = None


class EventsReply(Schema):
    successes: list[EventResult]
    errors: list[EventResult]


class Organization(Schema):
    id: str
    name: str


class Project(Organization):
    organization: Organization
    metadata: dict[str, object]


class ProjectsReply(Schema):
    data: list[Project]


class HealthReply(Schema):
    status: str
    version: str


class DeletedReply(Schema):
    message: str


class ErrorReply(Schema):
    """An error; nothing was stored."""

    message: str
    error: str = Field(description="Stable name of the error.")


def render_error(error: GatewayError) -> web.Response:
    message = str(error).encode(errors="replace").decode()
    return json_response(ErrorReply(message=message, error=error.code), error.status)


def langfuse_api(service: FeedbackService, max_body_bytes: int) -> Api:
    return Api(
        name=DIALECT,
        tag=Tag("Langfuse", "Scores of traces, observations and sessions as Langfuse's SDKs send them."),
        prefixes=("/langfuse",),
        endpoints=endpoints_of(_ScoreEndpoints(service, max_body_bytes), "/langfuse/api/public"),
        render_error=render_error,
        error_model=ErrorReply,
        takes_basic_auth=True,
    )


class _ScoreEndpoints:
    def __init__(self, service: FeedbackService, max_body_bytes: int) -> None:
        self._service = service
        self._max_body_bytes = max_body_bytes

    @Endpoint(
        "POST",
        "/scores",
        Role.FEEDBACK,
        "Send scores",
        body=ScoreBody | list[ScoreBody],
        reply=ScoresReply,
        failures=(207, 400, 409, 429),
        accepts_feedback_token=True,
        example=Example(
            body=[
                {
                    "id": "9596e91aa298be38",
                    "traceId": EXAMPLE_IDS["trace_id"],
                    "name": "helpful",
                    "value": 1,
                    "dataType": "BOOLEAN",
                    "comment": "Just right.",
                }
            ]
        ),
    )
    async def _create(self, request: web.Request, principal: Principal) -> web.Response:
        """One or an array of up to 1,000. Of an array, scores that are refused keep no other from being stored:
        the status is 207 then. 0 to 1 is the score from -1 to 1; other numbers are kept without a score."""
        body = await read_json(request, self._max_body_bytes, fields.MAX_BULK)
        if not isinstance(body, list):
            [outcome] = await self._give([body], principal)
            if isinstance(outcome, GatewayError):
                raise outcome
            return _short_response(ScoresReply(id=outcome))
        entries = [entry for _, entry in fields.list_entries(body)]
        outcomes = await self._give(entries, principal)
        faults = [
            ScoreError(message=f"[{place}]: {outcome}")
            for place, outcome in enumerate(outcomes)
            if isinstance(outcome, GatewayError)
        ]
        if not faults:
            return _short_response(ScoresReply(message="Accepted"))
        accepted = len(outcomes) - len(faults)
        return _short_response(ScoresReply(accepted=accepted, rejected=len(faults), errors=faults), 207)

    @Endpoint(
        "DELETE", "/scores/{score_id:[^/]+}", Role.ADMIN, "Delete a score", failures=(404, 503),
        example=Example(path={"score_id": "9596e91aa298be38"}),
    )  # fmt: skip
    async def _delete(self, request: web.Request, principal: Principal) -> DeletedReply:
        """It no longer counts and is no longer listed; its versions are kept."""
        score_id = request.match_info["score_id"]
        await self._service.withdraw(entry_id(score_id), principal, DIALECT)
        return DeletedReply(message="Score deleted")

    @Endpoint(
        "POST",
        "/ingestion",
        Role.FEEDBACK,
        "Send events of scores",
        body=EventBatch,
        reply=EventsReply,
        failures=(207, 400, 429),
        accepts_feedback_token=True,
        example=Example(
            body={
                "batch": [
                    {
                        "id": "599f3e2f-c202-4bd9-858e-e8c4aefe54eb",
                        "type": SCORE_EVENT,
                        "timestamp": "2026-01-31T09:30:00Z",
                        "body": {"traceId": EXAMPLE_IDS["trace_id"], "name": "mood", "value": "glad"},
                    }
                ]
            }
        ),
    )
    async def _ingest(self, request: web.Request, principal: Principal) -> web.Response:
        """Each event has a result of its own: of a score as in `/scores`, of traces and spans, which are not taken
        here, a refusal. With a refusal the status is 207."""
        events = validate_body(EventBatch, await read_json(request, self._max_body_bytes)).batch
        outcomes = await self._give([_score_of(event) for event in events], principal)
        results = [_event_result(*pair) for pair in zip(events, outcomes, strict=True)]
        reply = EventsReply(
            successes=[each for each in results if each.error is None],
            errors=[each for each in results if each.error is not None],
        )
        return json_response(reply, 207 if reply.errors else 200)

    @Endpoint("GET", "/projects", ANY_ROLE, "Show the project of a key")
    async def _list_projects(self, request: web.Request, principal: Principal) -> ProjectsReply:
        """SDKs check a key by this."""
        owner = Organization(id="gateway", name="gateway")
        name = principal.tenant or owner.name
        return ProjectsReply(data=[Project(id=name, name=name, organization=owner, metadata={})])

    @Endpoint("GET", "/health", None, "Show that it runs")
    async def _show_health(self, request: web.Request, _: Principal) -> HealthReply:
        return HealthReply(status="OK", version=__version__)

    async def _give(self, scores: Sequence[object], principal: Principal) -> list[str | GatewayError]:
        """Store what is right; return the id or the error of each."""
        read = [_read_score(score) for score in scores]
        # Of several with one id in one call the last one counts.
        last = {
            item.feedback_id or place: item
            for place, item in enumerate(read)
            if not isinstance(item, BadInput)
        }
        faults = await self._store(list(last.values()), principal)
        return [item if isinstance(item, BadInput) else faults.get(item.raw) or _id_in(item) for item in read]

    async def _store(self, items: list[NamedFeedback], principal: Principal) -> dict[str, GatewayError]:
        """Store all, or what can be; return the errors of the others by their JSON."""
        if not items:
            return {}
        try:
            await self._service.give_named(items, principal, dialect=DIALECT, rule=replace_by_id)
        except (Conflict, BadInput) as error:
            if len(items) == 1:
                return {items[0].raw: error}
            faults: dict[str, GatewayError] = {}
            for item in items:
                faults |= await self._store([item], principal)
            return faults
        return {}


def _score_of(event: object) -> object:
    if isinstance(event, dict) and event.get("type") == SCORE_EVENT:
        return event.get("body")
    kind = abbreviate(event.get("type")) if isinstance(event, dict) else abbreviate(event)
    return BadInput(f"is an event of type {kind}; only {SCORE_EVENT} is taken here.", field="type")


def _read_score(score: object) -> NamedFeedback | BadInput:
    if isinstance(score, BadInput):
        return score
    try:
        given = validate_body(ScoreBody, score)
    except BadInput as error:
        return error
    if given.id is None:
        given = given.model_copy(update={"id": new_id()})
        score = {**score, "id": given.id} if isinstance(score, dict) else score
    return given.named(orjson.dumps(score).decode())


def _id_in(item: NamedFeedback) -> str:
    return str(orjson.loads(item.raw)["id"])


def _event_result(event: object, outcome: str | GatewayError) -> EventResult:
    event_id = str(event.get("id")) if isinstance(event, dict) else ""
    if isinstance(outcome, str):
        return EventResult(id=event_id, status=201)
    return EventResult(id=event_id, status=outcome.status, message=str(outcome), error=outcome.code)


def _short_response(reply: ScoresReply, status: int = 200) -> web.Response:
    body = orjson.dumps(reply.model_dump(exclude_none=True))
    return web.Response(status=status, body=body, content_type="application/json")
