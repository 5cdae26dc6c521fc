"""`/api/v1/feedback`: give, list, read, withdraw and erase feedback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.native import http_responses as responses
from gateway.api.native.filters import DEFAULT_LIMIT, MAX_LIMIT, FilterParams, Format, Limit, TimeCursor
from gateway.api.native.schemas import FeedbackRow, Time, format_time
from gateway.errors import BadInput
from gateway.feedback.identifiers import waiting_note
from gateway.feedback.payloads import NewFeedback, Scale, star_scale, unit_scale
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback, Kind, Target
from gateway.models.principal import Principal, Role
from gateway.query.erasure import ErasureService
from gateway.query.feedback import FeedbackReader
from gateway.query.filters import FEEDBACK_FILTERS
from gateway.query.requests import RequestTexts, TextReader
from gateway.web import feedback as fields
from gateway.web.bodies import abbreviate, field_path, read_idempotency_key, read_json, validate_body
from gateway.web.endpoint import EXAMPLE_IDS, Endpoint, Example, Schema
from gateway.web.query_params import Boolean, QueryParams

ENTRY_PATH = "/api/v1/feedback/{feedback_id}"

# How this API is called in stored rows.
DIALECT = "native"

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


_Thumb = Literal["up", "down"]
_Rating = Annotated[float, Field(ge=1, le=5)]
_Score = Annotated[float, Field(ge=-1, le=1)]


class FeedbackInput(BaseModel):
    """Feedback: `id`, and at least one of `thumb`, `rating`, `score`, `value`, `label`, `comment` and
    `edited_text`; at most one of the first four. A null field counts as absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: fields.AnyId = Field(
        description="What the feedback is on: the id of a trace, a request, a provider's response or a session, "
        "whether or not it is logged yet."
    )
    thumb: Annotated[_Thumb | None, fields.optional_field(_check_thumb, accepts=_Thumb)] = Field(
        None, description="Good or bad."
    )
    rating: Annotated[float | None, fields.optional_field(fields.number_from(1, 5), accepts=_Rating)] = Field(
        None, description="Stars: 1 is bad, 3 neutral, 5 good."
    )
    score: Annotated[float | None, fields.optional_field(fields.number_from(-1, 1), accepts=_Score)] = Field(
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
        None, description="Who gives the feedback; absent: `_user` of the metadata, if it is text."
    )
    metadata: fields.Metadata = Field(
        None, description="Anything else: an object, or a string that holds one as JSON."
    )
    feedback_id: fields.EntryId = Field(
        None, description="The entry's id, if the caller chooses it: the same id again is a retry."
    )


class GivenFeedback(Schema):
    """The result of one entry. Its ids are null while it waits for its request."""

    feedback_id: str
    id: str = Field(description="The id as it was given.")
    joined: bool = Field(
        description="Whether something is logged under that id; if not, the entry waits for it."
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
            note=waiting_note([entry]),
        )


class GivenReply(Schema):
    data: list[GivenFeedback] = Field(description="One per entry, in the order in which they were sent.")


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


class FeedbackWithTexts(FeedbackRow):
    """A feedback entry with question and answer of the request that it counts for."""

    question: str | None = Field(description="The last text of the user.")
    answer: str | None = Field(description="The text of the answer.")
    no_answer: str | None = Field(description="Why there is no answer, if the log shows it.")

    @classmethod
    def with_texts(cls, entry: Feedback, texts: RequestTexts | None) -> FeedbackWithTexts:
        known = texts or RequestTexts()
        question, answer = known.question or None, known.answer or None
        row = dict(FeedbackRow.of(entry))
        return cls(**row, question=question, answer=answer, no_answer=known.no_answer)


class FeedbackListReply(Schema):
    data: list[FeedbackWithTexts | FeedbackRow] = Field(description="Newest first.")
    next_cursor: responses.NextCursor
    unknown_keys: responses.UnknownKeys


class FeedbackVersion(FeedbackRow):
    """One version of an entry."""

    deleted_at: Time | None = Field(None, description="When it was withdrawn; null if it was not.")

    @classmethod
    def of(cls, entry: Feedback) -> FeedbackVersion:
        return cls(**dict(FeedbackRow.of(entry)), deleted_at=format_time(entry.deleted_at_us))


class FeedbackReply(FeedbackVersion):
    """An entry in its latest version, with its history."""

    versions: list[FeedbackVersion] = Field(description="All versions, the first one first.")

    @classmethod
    def of_history(cls, history: list[Feedback]) -> FeedbackReply:
        versions = [FeedbackVersion.of(entry) for entry in history]
        return cls(**dict(versions[-1]), versions=versions)


class WithdrawnReply(Schema):
    feedback_id: str


class FeedbackListParams(FilterParams):
    filters = FEEDBACK_FILTERS

    limit: Limit = DEFAULT_LIMIT
    cursor: TimeCursor = None
    texts: Boolean = Field(
        False,
        description="`true`: with `question`, `answer` and `no_answer` of the request that each entry counts for.",
    )
    format: Format = Field(
        None,
        description="`csv`, as does `Accept: text/csv`: every match, row by row, where no `limit` is given.",
    )


class AuthorErasureParams(responses.ErasureParams):
    author: str = Field(description="The author whose feedback is erased.")


@dataclass(frozen=True, slots=True)
class FeedbackEndpoints:
    """Endpoints of feedback entries.

    Args:
        scale_of: returns how a caller's values become scores.
    """

    feedback: FeedbackService
    search: FeedbackReader
    texts: TextReader
    eraser: ErasureService
    scale_of: Callable[[Principal], Scale]
    max_body_bytes: int

    @Endpoint(
        "POST",
        "/api/v1/feedback",
        Role.FEEDBACK,
        "Give feedback",
        body=FeedbackInput | list[FeedbackInput],
        reply=GivenReply,
        failures=(400, 409, 429),
        accepts_feedback_token=True,
        example=Example(
            body={"id": EXAMPLE_IDS["trace_id"], "thumb": "down", "comment": "The steps are of the old app."}
        ),
    )
    async def _give(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes one entry or an array of up to 1,000, all or none, and returns for each what it was joined
        to, or that it waits for its request. An `Idempotency-Key` makes it safe to repeat."""
        key = read_idempotency_key(request.headers)
        body = await read_json(request, self.max_body_bytes, fields.MAX_BULK)
        items = to_new_feedback(body, self.scale_of(principal))
        entries = await self.feedback.give(items, principal, dialect=DIALECT, idempotency_key=key)
        response = responses.json_response(GivenReply(data=[GivenFeedback.of(entry) for entry in entries]))
        response.headers.update(fields.joined_headers(entries))
        return response

    @Endpoint(
        "GET",
        "/api/v1/feedback",
        Role.READ,
        "List feedback",
        reply=FeedbackListReply,
        reply_types=(responses.CSV_TYPE,),
        failures=(400, 503, 504),
        example=Example(query={"from": "7d", "rating": "bad", "limit": "2"}),
    )
    async def _list(
        self, request: web.Request, principal: Principal, params: FeedbackListParams
    ) -> web.StreamResponse:
        """Entries of every API in their latest version, without withdrawn ones. All filters must match; those
        on the request are about the one that an entry counts for. Newest first; following the cursors returns
        each entry once, while new ones are added."""
        schema = FeedbackWithTexts if params.texts else FeedbackRow
        is_csv = responses.wants_csv(request, params.format)
        if is_csv and "limit" not in params.model_fields_set:
            return await responses.stream_csv(request, "feedback", schema, self._pages(params, principal))
        found = await self._page(params, principal)
        if is_csv:
            responses.refuse_unknown_keys(found.unknown_keys)
            return responses.csv_response(request, "feedback", schema, found.data, found.next_cursor)
        return responses.json_response(found)

    async def _page(self, params: FeedbackListParams, principal: Principal) -> FeedbackListReply:
        found = await self.search.find(params.where(), params.limit, params.cursor, principal.tenant)
        cursor = found.next_cursor
        return FeedbackListReply(
            data=await self._rows(found.entries, params.texts),
            next_cursor=None if cursor is None else f"{cursor[0]}.{cursor[1]}",
            unknown_keys=list(found.unknown_keys),
        )

    async def _rows(self, entries: list[Feedback], has_texts: bool) -> list[FeedbackWithTexts | FeedbackRow]:
        if not has_texts:
            return [FeedbackRow.of(entry) for entry in entries]
        texts = await self.texts.list_texts(entries)
        return [FeedbackWithTexts.with_texts(entry, texts.get(entry.feedback_id)) for entry in entries]

    async def _pages(
        self, params: FeedbackListParams, principal: Principal
    ) -> AsyncIterator[Sequence[FeedbackRow]]:
        following = params.model_copy(update={"limit": MAX_LIMIT})
        while True:
            found = await self._page(following, principal)
            responses.refuse_unknown_keys(found.unknown_keys)
            yield found.data
            if found.next_cursor is None:
                return
            created_at_us, feedback_id = found.next_cursor.split(".")
            following = following.model_copy(update={"cursor": (int(created_at_us), feedback_id)})

    @Endpoint("GET", ENTRY_PATH, Role.READ, "Read one entry", failures=(400, 404, 503, 504))
    async def _show(self, request: web.Request, principal: Principal, _: QueryParams) -> FeedbackReply:
        """With all its versions. A withdrawn entry is included, with `deleted_at`."""
        history = await self.feedback.history(_feedback_id(request), principal)
        return FeedbackReply.of_history(history)

    @Endpoint("DELETE", ENTRY_PATH, Role.ADMIN, "Withdraw an entry", failures=(404, 503))
    async def _withdraw(self, request: web.Request, principal: Principal) -> WithdrawnReply:
        """It no longer counts and is no longer listed; its versions are kept."""
        entry = await self.feedback.withdraw(_feedback_id(request), principal, DIALECT)
        return WithdrawnReply(feedback_id=entry.feedback_id)

    @Endpoint(
        "DELETE",
        "/api/v1/feedback",
        Role.ADMIN,
        "Erase an author's feedback",
        audited_target=responses.target_without_person,
        failures=(400, 503),
        example=Example(query={"author": EXAMPLE_IDS["user"], "dry_run": "true"}),
    )
    async def _erase(
        self, request: web.Request, principal: Principal, params: AuthorErasureParams
    ) -> responses.ErasedReply:
        """For good: the entries of which they wrote any version, in all their versions, and what is stored of
        the calls that made them."""
        scope = await self.eraser.find_author_scope(params.author, principal)
        return await responses.erase(self.eraser, scope, params.dry_run)


def _feedback_id(request: web.Request) -> str:
    return request.match_info["feedback_id"].lower()
