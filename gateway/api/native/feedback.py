"""`/api/v1/feedback`: a way to give feedback; entries of every dialect, with their history; ways to withdraw one,
and to erase them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from aiohttp import web
from pydantic import Field

from gateway.api.native.bodies import FeedbackInput, GivenFeedback, GivenReply, to_votes
from gateway.api.native.erasing import (
    DRY_RUN,
    ErasedReply,
    erase_unless_dry,
    target_without_person,
)
from gateway.api.native.filters import Search, read_feedback_search, read_mark
from gateway.api.native.parameters import FEEDBACK_PARAMETERS, MAX_LIMIT, TEXTS, read_switch
from gateway.api.native.replies import NextCursor, Shape, UnknownKeys, refuse_unknown_keys, reply
from gateway.api.native.shapes import FeedbackRow, Time, rfc_3339
from gateway.api.native.table import CSV, csv_page, csv_stream, wants_csv
from gateway.domain.feedback import Feedback
from gateway.domain.filter import All, Any, Filter, Is, Op, Page, Sort
from gateway.domain.principal import Principal, Role
from gateway.erasing import Eraser
from gateway.errors import BadInput
from gateway.feedback import FeedbackCore, Scale
from gateway.query import TextReader, Texts
from gateway.query.metadata_keys import unknown_keys
from gateway.query.search import FEEDBACK
from gateway.web.bodies import read_json
from gateway.web.face import Endpoint, Parameter
from gateway.web.feedback import MAX_BULK, joined_headers
from gateway.web.query_string import once_each, refuse_unknown
from gateway.web.validation import read_idempotency_key

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
    def with_texts(cls, entry: Feedback, texts: Texts | None) -> FeedbackWithTexts:
        known = texts or Texts()
        row = dict(FeedbackRow.of(entry))
        return cls.model_validate(
            {
                **row,
                "question": known.question or None,
                "answer": known.answer or None,
                "no_answer": known.no_answer,
            }
        )


class FeedbackListReply(Shape):
    data: list[FeedbackWithTexts | FeedbackRow] = Field(description="Newest first.")
    next_cursor: NextCursor
    unknown_keys: UnknownKeys


class FeedbackVersion(FeedbackRow):
    """One version of an entry."""

    deleted_at: Time | None = Field(None, description="When it was withdrawn; null if it was not.")

    @classmethod
    def of(cls, entry: Feedback) -> FeedbackVersion:
        row = dict(FeedbackRow.of(entry))
        return cls.model_validate({**row, "deleted_at": rfc_3339(entry.deleted_at_us)})


class FeedbackReply(FeedbackVersion):
    """An entry in its latest version, with its history."""

    versions: list[FeedbackVersion] = Field(description="All versions, the first one first.")

    @classmethod
    def of_history(cls, history: list[Feedback]) -> FeedbackReply:
        versions = [FeedbackVersion.of(entry) for entry in history]
        return cls.model_validate({**dict(versions[-1]), "versions": versions})


class WithdrawnReply(Shape):
    feedback_id: str


class FeedbackEndpoints:
    """Handlers of the entries' paths."""

    def __init__(
        self,
        feedback: FeedbackCore,
        texts: TextReader,
        eraser: Eraser,
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
                takes_tokens=True,
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
                reply_types=(CSV,),
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
        votes = to_votes(body, self._scale_of(principal))
        entries = await self._feedback.give(votes, principal, dialect=DIALECT, idempotency_key=key)
        response = reply(GivenReply(data=[GivenFeedback.of(entry) for entry in entries]))
        response.headers.update(joined_headers(entries))
        return response

    async def _find(self, request: web.Request, principal: Principal) -> web.StreamResponse:
        search = read_feedback_search(request.query.items())
        has_texts = read_switch(request.query, TEXTS)
        shape = FeedbackWithTexts if has_texts else FeedbackRow
        if wants_csv(request) and "limit" not in request.query:
            return await csv_stream(request, "feedback", shape, self._all(search, principal, has_texts))
        found = await self._slice(search, principal, has_texts)
        if wants_csv(request):
            refuse_unknown_keys(found.unknown_keys)
            return csv_page(request, "feedback", shape, found.data, found.next_cursor)
        return reply(found)

    async def _slice(
        self, search: Search[tuple[int, str]], principal: Principal, has_texts: bool
    ) -> FeedbackListReply:
        async def exists(condition: Filter) -> bool:
            return bool(await self._feedback.find(condition, NEWEST_FIRST, Page(1), principal))

        where = All((search.where, _following(search.after)))
        found = await self._feedback.find(where, NEWEST_FIRST, Page(search.limit + 1), principal)
        is_empty = not found and search.after is None
        unknown = await unknown_keys(FEEDBACK, search.where, exists) if is_empty else ()
        data = found[: search.limit]
        return FeedbackListReply(
            data=await self._rows(data, has_texts),
            next_cursor=_cursor(data[-1]) if len(found) > search.limit else None,
            unknown_keys=list(unknown),
        )

    async def _rows(self, entries: list[Feedback], has_texts: bool) -> list[FeedbackWithTexts | FeedbackRow]:
        if not has_texts:
            return [FeedbackRow.of(entry) for entry in entries]
        texts = await self._texts.texts_of(entries)
        return [FeedbackWithTexts.with_texts(entry, texts.get(entry.feedback_id)) for entry in entries]

    async def _all(
        self, search: Search[tuple[int, str]], principal: Principal, has_texts: bool
    ) -> AsyncIterator[Sequence[FeedbackRow]]:
        """All that is found from a place on, slice by slice."""
        following: Search[tuple[int, str]] | None = replace(search, limit=MAX_LIMIT)
        while following is not None:
            found = await self._slice(following, principal, has_texts)
            refuse_unknown_keys(found.unknown_keys)
            yield found.data
            mark = read_mark(found.next_cursor)
            following = None if mark is None else replace(following, after=mark)

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        refuse_unknown(request.query, ())
        history = await self._feedback.history(_feedback_id(request), principal)
        return reply(FeedbackReply.of_history(history))

    async def _withdraw(self, request: web.Request, principal: Principal) -> web.Response:
        entry = await self._feedback.withdraw(_feedback_id(request), principal, DIALECT)
        return reply(WithdrawnReply(feedback_id=entry.feedback_id))

    async def _erase(self, request: web.Request, principal: Principal) -> web.Response:
        given = once_each(request.query.items())
        refuse_unknown(given, [AUTHOR.name, DRY_RUN.name])
        if AUTHOR.name not in given:
            raise BadInput("is missing; say whose feedback is to be erased.", field=AUTHOR.name)
        is_dry = read_switch(given, DRY_RUN)
        belongings = await self._eraser.of_author(given[AUTHOR.name], principal)
        return await erase_unless_dry(self._eraser, belongings, is_dry)


def _feedback_id(request: web.Request) -> str:
    return request.match_info["feedback_id"].lower()


def _following(after: tuple[int, str] | None) -> Filter:
    """The entries that come after this one in the order of `NEWEST_FIRST`."""
    if after is None:
        return All()
    created_at_us, feedback_id = after
    same_time = All((Is("created_at_us", Op.EQ, created_at_us), Is("feedback_id", Op.GT, feedback_id)))
    return Any((Is("created_at_us", Op.LT, created_at_us), same_time))


def _cursor(entry: Feedback) -> str:
    return f"{entry.created_at_us}.{entry.feedback_id}"
