"""`/api/v1/feedback`: give, list, read, withdraw and erase feedback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Annotated, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateway.api.native.filters import (
    FEEDBACK_PARAMETERS,
    MAX_LIMIT,
    TEXTS_PARAMETER,
    ListQuery,
    read_boolean,
    read_feedback_cursor,
    read_feedback_query,
)
from gateway.api.native.http_responses import (
    CSV_TYPE,
    DRY_RUN,
    ErasedReply,
    NextCursor,
    Schema,
    UnknownKeys,
    csv_response,
    erase_response,
    json_response,
    refuse_unknown_keys,
    stream_csv,
    target_without_person,
    wants_csv,
)
from gateway.api.native.schemas import FeedbackRow, Time, format_time
from gateway.errors import BadInput
from gateway.feedback.identifiers import waiting_note
from gateway.feedback.payloads import NewFeedback, Scale, star_scale, unit_scale
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback, Kind, Target
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.principal import Principal, Role
from gateway.query.erasure import ErasureService
from gateway.query.filters import FEEDBACK_FILTERS, find_unknown_keys
from gateway.query.requests import RequestTexts, TextReader
from gateway.web.bodies import abbreviate, field_path, read_idempotency_key, read_json, validate_body
from gateway.web.endpoint import Endpoint, Parameter, refuse_unknown_params, unique_params
from gateway.web.feedback import (
    MAX_BULK,
    AnyId,
    EntryId,
    Metadata,
    OptionalGrade,
    OptionalId,
    Text,
    Weight,
    is_number,
    joined_headers,
    list_entries,
    optional_field,
)

SCORE_FIELDS = ("thumb", "rating", "score", "value")
"""Fields of which an entry may have one."""
CONTENT_FIELDS = (*SCORE_FIELDS, "label", "comment", "edited_text")
"""Fields of which an entry must have one at least."""
ID_ALIASES = frozenset({"trace_id", "request_id", "response_id", "session", "session_id", "subject_id"})
"""What `id` is called elsewhere."""


def _thumb(value: object) -> str:
    if value in ("up", "down"):
        return str(value)
    raise ValueError(f"must be up or down; got {abbreviate(value)}")


def _rating(value: object) -> float:
    if is_number(value) and 1 <= value <= 5:
        return float(value)
    raise ValueError(f"must be a number from 1 to 5; got {abbreviate(value)}")


def _score(value: object) -> float:
    if is_number(value) and -1 <= value <= 1:
        return float(value)
    raise ValueError(f"must be a number from -1 to 1; got {abbreviate(value)}")


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
    thumb: Annotated[_Thumb | None, optional_field(_thumb, accepts=_Thumb)] = Field(
        None, description="Good or bad."
    )
    rating: Annotated[float | None, optional_field(_rating, accepts=_Rating)] = Field(
        None, description="Stars: 1 is bad, 3 neutral, 5 good."
    )
    score: Annotated[float | None, optional_field(_score, accepts=_Score)] = Field(
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


class GivenFeedback(Schema):
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
            note=waiting_note([entry]),
        )


class GivenReply(Schema):
    data: list[GivenFeedback] = Field(description="One for each entry, in the order in which they were sent.")


def to_new_feedback(body: object, scale: Scale) -> list[NewFeedback]:
    """Return the feedback in a body, which is one entry or an array of 1 to 1,000.

    Args:
        scale: how a `value` becomes a score.

    Raises:
        BadInput: an entry is not as `FeedbackInput` wants it; names the field, with its index in an array.
    """
    return [_to_feedback(entry, at, scale) for at, entry in list_entries(body)]


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
    """What kind of verdict it is, its value, and how that becomes a score."""
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
    names = entry if isinstance(entry, dict) else ()
    unknown = next((name for name in names if name not in FeedbackInput.model_fields), None)
    if unknown is None:
        return
    taken = ", ".join(FeedbackInput.model_fields)
    raise BadInput(
        "is not known here.",
        field=field_path([unknown], at),
        hint="Send it as id."
        if unknown in ID_ALIASES
        else f"Known are {taken}; send anything else within metadata.",
    )


def _refuse_contradictions(given: FeedbackInput, at: str) -> None:
    said = [name for name in SCORE_FIELDS if getattr(given, name) is not None]
    if len(said) > 1:
        raise BadInput(
            f"comes beside {said[0]}; an entry has one verdict.",
            field=field_path([said[1]], at),
            hint="Send two entries.",
        )
    if all(getattr(given, name) is None for name in CONTENT_FIELDS):
        names = f"{', '.join(CONTENT_FIELDS[:-1])} or {CONTENT_FIELDS[-1]}"
        raise BadInput("says nothing.", field=at or "body", hint=f"Send {names}.")
    if given.original_text is not None and given.edited_text is None:
        raise BadInput("needs edited_text beside it.", field=field_path(["original_text"], at))


DIALECT = "native"
"""What our own dialect is called in rows."""

AUTHOR = Parameter("author", "Whose feedback is to be erased.", is_required=True)

NEWEST_FIRST = Sort("created_at_us", descending=True, then=Sort("feedback_id", descending=False))


class FeedbackWithTexts(FeedbackRow):
    """A feedback entry with what was asked and answered in the request that it counts for."""

    question: str | None = Field(description="The last text that the user said.")
    answer: str | None = Field(description="The text that was answered.")
    no_answer: str | None = Field(description="Why there is no answer, as far as the log tells.")

    @classmethod
    def with_texts(cls, entry: Feedback, texts: RequestTexts | None) -> FeedbackWithTexts:
        known = texts or RequestTexts()
        row = dict(FeedbackRow.of(entry))
        return cls.model_validate(
            {
                **row,
                "question": known.question or None,
                "answer": known.answer or None,
                "no_answer": known.no_answer,
            }
        )


class FeedbackListReply(Schema):
    data: list[FeedbackWithTexts | FeedbackRow] = Field(description="Newest first.")
    next_cursor: NextCursor
    unknown_keys: UnknownKeys


class FeedbackVersion(FeedbackRow):
    """One version of an entry."""

    deleted_at: Time | None = Field(None, description="When it was withdrawn; null if it was not.")

    @classmethod
    def of(cls, entry: Feedback) -> FeedbackVersion:
        row = dict(FeedbackRow.of(entry))
        return cls.model_validate({**row, "deleted_at": format_time(entry.deleted_at_us)})


class FeedbackReply(FeedbackVersion):
    """An entry in its latest version, with its history."""

    versions: list[FeedbackVersion] = Field(description="All versions, the first one first.")

    @classmethod
    def of_history(cls, history: list[Feedback]) -> FeedbackReply:
        versions = [FeedbackVersion.of(entry) for entry in history]
        return cls.model_validate({**dict(versions[-1]), "versions": versions})


class WithdrawnReply(Schema):
    feedback_id: str


class FeedbackEndpoints:
    """Handlers of the entries' paths."""

    def __init__(
        self,
        feedback: FeedbackService,
        texts: TextReader,
        eraser: ErasureService,
        scale_of: Callable[[Principal], Scale],
        max_body_bytes: int,
    ) -> None:
        self._feedback = feedback
        self._texts = texts
        self._eraser = eraser
        self._scale_of = scale_of
        self._max_body_bytes = max_body_bytes

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="POST",
                path="/api/v1/feedback",
                handler=self._give,
                role=Role.FEEDBACK,
                summary="Give feedback",
                description="Takes one entry or an array of up to 1,000, all or none, and says of each what it was "
                "joined to, or that it waits for what it is about. An `Idempotency-Key` makes it safe to repeat.",
                body=FeedbackInput | list[FeedbackInput],
                reply=GivenReply,
                failures=(400, 409, 413, 429, 503),
                accepts_feedback_token=True,
            ),
            Endpoint(
                method="GET",
                path="/api/v1/feedback",
                handler=self._find,
                role=Role.READ,
                summary="Find feedback",
                description="Entries of every dialect in their latest version, withdrawn ones left out. All "
                "conditions must hold; those on the request are about the one that an entry counts for. "
                "Newest first; walking from cursor to cursor meets each entry once, while "
                "new ones are added.",
                parameters=FEEDBACK_PARAMETERS,
                reply=FeedbackListReply,
                reply_types=(CSV_TYPE,),
                failures=(400, 503, 504),
            ),
            Endpoint(
                method="GET",
                path="/api/v1/feedback/{feedback_id}",
                handler=self._show,
                role=Role.READ,
                summary="Read one entry",
                description="With all its versions. One that was withdrawn is shown too, with `deleted_at`.",
                reply=FeedbackReply,
                failures=(400, 404, 503, 504),
            ),
            Endpoint(
                method="DELETE",
                path="/api/v1/feedback/{feedback_id}",
                handler=self._withdraw,
                role=Role.ADMIN,
                summary="Withdraw an entry",
                description="It no longer counts and is no longer listed; its versions are kept.",
                reply=WithdrawnReply,
                failures=(404, 503),
            ),
            Endpoint(
                method="DELETE",
                path="/api/v1/feedback",
                handler=self._erase,
                role=Role.ADMIN,
                summary="Erase an author's feedback",
                description="For good: the entries of which they wrote any version, in all their versions, and "
                "what is kept of the calls that made them.",
                parameters=(AUTHOR, DRY_RUN),
                audited_target=target_without_person,
                reply=ErasedReply,
                failures=(400, 503),
            ),
        )

    async def _give(self, request: web.Request, principal: Principal) -> web.Response:
        key = read_idempotency_key(request.headers)
        body = await read_json(request, self._max_body_bytes, MAX_BULK)
        items = to_new_feedback(body, self._scale_of(principal))
        entries = await self._feedback.give(items, principal, dialect=DIALECT, idempotency_key=key)
        response = json_response(GivenReply(data=[GivenFeedback.of(entry) for entry in entries]))
        response.headers.update(joined_headers(entries))
        return response

    async def _find(self, request: web.Request, principal: Principal) -> web.StreamResponse:
        search = read_feedback_query(request.query.items())
        has_texts = read_boolean(request.query, TEXTS_PARAMETER)
        schema = FeedbackWithTexts if has_texts else FeedbackRow
        if wants_csv(request) and "limit" not in request.query:
            return await stream_csv(request, "feedback", schema, self._all(search, principal, has_texts))
        found = await self._slice(search, principal, has_texts)
        if wants_csv(request):
            refuse_unknown_keys(found.unknown_keys)
            return csv_response(request, "feedback", schema, found.data, found.next_cursor)
        return json_response(found)

    async def _slice(
        self, search: ListQuery[tuple[int, str]], principal: Principal, has_texts: bool
    ) -> FeedbackListReply:
        async def exists(condition: Filter) -> bool:
            return bool(await self._feedback.find(condition, NEWEST_FIRST, Page(1), principal))

        where = AllOf((search.where, _after_cursor(search.after)))
        found = await self._feedback.find(where, NEWEST_FIRST, Page(search.limit + 1), principal)
        is_empty = not found and search.after is None
        unknown = await find_unknown_keys(FEEDBACK_FILTERS, search.where, exists) if is_empty else ()
        data = found[: search.limit]
        return FeedbackListReply(
            data=await self._rows(data, has_texts),
            next_cursor=_cursor(data[-1]) if len(found) > search.limit else None,
            unknown_keys=list(unknown),
        )

    async def _rows(self, entries: list[Feedback], has_texts: bool) -> list[FeedbackWithTexts | FeedbackRow]:
        if not has_texts:
            return [FeedbackRow.of(entry) for entry in entries]
        texts = await self._texts.list_texts(entries)
        return [FeedbackWithTexts.with_texts(entry, texts.get(entry.feedback_id)) for entry in entries]

    async def _all(
        self, search: ListQuery[tuple[int, str]], principal: Principal, has_texts: bool
    ) -> AsyncIterator[Sequence[FeedbackRow]]:
        """All that is found from a place on, slice by slice."""
        following: ListQuery[tuple[int, str]] | None = replace(search, limit=MAX_LIMIT)
        while following is not None:
            found = await self._slice(following, principal, has_texts)
            refuse_unknown_keys(found.unknown_keys)
            yield found.data
            mark = read_feedback_cursor(found.next_cursor)
            following = None if mark is None else replace(following, after=mark)

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        refuse_unknown_params(request.query, ())
        history = await self._feedback.history(_feedback_id(request), principal)
        return json_response(FeedbackReply.of_history(history))

    async def _withdraw(self, request: web.Request, principal: Principal) -> web.Response:
        entry = await self._feedback.withdraw(_feedback_id(request), principal, DIALECT)
        return json_response(WithdrawnReply(feedback_id=entry.feedback_id))

    async def _erase(self, request: web.Request, principal: Principal) -> web.Response:
        given = unique_params(request.query.items())
        refuse_unknown_params(given, [AUTHOR.name, DRY_RUN.name])
        if AUTHOR.name not in given:
            raise BadInput("is missing; say whose feedback is to be erased.", field=AUTHOR.name)
        is_dry = read_boolean(given, DRY_RUN)
        belongings = await self._eraser.find_author_scope(given[AUTHOR.name], principal)
        return await erase_response(self._eraser, belongings, is_dry)


def _feedback_id(request: web.Request) -> str:
    return request.match_info["feedback_id"].lower()


def _after_cursor(after: tuple[int, str] | None) -> Filter:
    """The entries that come after this one in the order of `NEWEST_FIRST`."""
    if after is None:
        return AllOf()
    created_at_us, feedback_id = after
    same_time = AllOf(
        (Comparison("created_at_us", Op.EQ, created_at_us), Comparison("feedback_id", Op.GT, feedback_id))
    )
    return AnyOf((Comparison("created_at_us", Op.LT, created_at_us), same_time))


def _cursor(entry: Feedback) -> str:
    return f"{entry.created_at_us}.{entry.feedback_id}"
