"""`/api/v1/feedback`: give, list, read, withdraw and erase feedback."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from aiohttp import web
from pydantic import Field

from gateway.api.native import http_responses as responses
from gateway.api.native.feedback_input import (
    FeedbackInput,
    Thumb,
    given_by,
    to_new_feedback,
    to_upsert,
    with_own_id,
)
from gateway.api.native.filters import DEFAULT_LIMIT, MAX_LIMIT, FilterParams, Format, Limit, TimeCursor
from gateway.api.native.schemas import FeedbackRow, Time, format_time
from gateway.errors import BadInput
from gateway.feedback.identifiers import waiting_note
from gateway.feedback.payloads import (
    EDIT_METRIC,
    Scale,
    stars_of,
)
from gateway.feedback.rules import Rule, append, upsert
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback, Kind, Target
from gateway.models.principal import Principal, Role
from gateway.query.erasure import ErasureService
from gateway.query.feedback import FeedbackReader
from gateway.query.filters import FEEDBACK_FILTERS
from gateway.query.requests import RequestTexts, TextReader
from gateway.web import feedback as fields
from gateway.web.bodies import read_idempotency_key, read_json
from gateway.web.endpoint import ANY_ROLE, EXAMPLE_IDS, Endpoint, Example, Schema
from gateway.web.middleware import TOKEN_HEADER
from gateway.web.query_params import Boolean, QueryParams

ENTRY_PATH = "/api/v1/feedback/{feedback_id}"

# How this API is called in stored rows.
DIALECT = "native"


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


class CurrentRating(Schema):
    """A rating as it can be given again."""

    thumb: Thumb | None
    rating: float | None = Field(description="Stars, 1 to 5; null where a thumb was given.")
    label: str | None
    comment: str | None

    @classmethod
    def of(cls, entry: Feedback) -> CurrentRating:
        score = entry.score
        is_thumb = entry.kind is Kind.THUMB and score
        return cls(
            thumb=None if not is_thumb else "up" if is_thumb > 0 else "down",
            rating=None if is_thumb or score is None else stars_of(score),
            label=entry.label,
            comment=entry.comment,
        )


class CurrentEdit(Schema):
    edited_text: str


class CurrentFeedback(Schema):
    """What the bearer of a feedback token gave last."""

    rating: CurrentRating | None = Field(
        description="By `rule=upsert`, on the form, or as a thumb elsewhere."
    )
    edit: CurrentEdit | None = Field(description="By `rule=upsert`.")


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


class GiveParams(QueryParams):
    rule: Literal["append", "upsert"] = Field(
        "append",
        description="`append`: a new entry. `upsert`: one entry, which replaces what its author gave before on the "
        "same request, trace or session; a rating and an `edited_text` do not replace each other.",
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
        failures=(400, 404, 409, 429),
        accepts_feedback_token=True,
        example=Example(
            body={"id": EXAMPLE_IDS["trace_id"], "thumb": "down", "comment": "The steps are of the old app."}
        ),
    )
    async def _give(self, request: web.Request, principal: Principal, params: GiveParams) -> web.Response:
        """Takes one entry or an array of up to 1,000, all or none, and returns for each what it was joined
        to, or that it waits for its request. An `Idempotency-Key` makes it safe to repeat."""
        key = read_idempotency_key(request.headers)
        body = await read_json(request, self.max_body_bytes, fields.MAX_BULK)
        if principal.scope is not None:
            body = with_own_id(body, principal.scope)
        items = [given_by(item, principal) for item in to_new_feedback(body, self.scale_of(principal))]
        rule: Rule = append
        if params.rule == "upsert":
            items, rule = [to_upsert(items, principal.scope)], upsert
        entries = await self.feedback.give(items, principal, dialect=DIALECT, rule=rule, idempotency_key=key)
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

    # Before the entry's path, which would take `current` for an id.
    @Endpoint(
        "GET",
        "/api/v1/feedback/current",
        ANY_ROLE,
        "Read what a feedback token last gave",
        failures=(400, 503, 504),
        accepts_feedback_token=True,
        needs_feedback_token=True,
    )
    async def _show_current(self, request: web.Request, principal: Principal) -> CurrentFeedback:
        """Takes a feedback token and nothing else."""
        if principal.scope is None:
            raise BadInput(
                "is missing, and this needs it.", field=TOKEN_HEADER, hint="A key has no own request."
            )
        request_id = principal.scope.request_id
        rating = await self.feedback.current(request_id, principal)
        edit = await self.feedback.current(request_id, principal, EDIT_METRIC)
        return CurrentFeedback(
            rating=None if rating is None else CurrentRating.of(rating),
            edit=None
            if edit is None or edit.edited_text is None
            else CurrentEdit(edited_text=edit.edited_text),
        )

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
