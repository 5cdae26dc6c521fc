"""`/api/v1/search`: requests by any id, or by words in question, answer and comments."""

from typing import Annotated
from urllib.parse import quote

from aiohttp import web
from pydantic import Field

from gateway.api.native.filters import FilterParams, NumberCursor
from gateway.api.native.http_responses import NextCursor, UnknownKeys
from gateway.api.native.schemas import LoggedRow, Time, format_time
from gateway.errors import BadInput
from gateway.models.clock import format_rfc3339
from gateway.models.feedback import NO_FEEDBACK
from gateway.models.ids import path_segment
from gateway.models.principal import Principal, Role
from gateway.query.filters import REQUEST_FILTERS
from gateway.query.search import (
    MAX_QUERY_CHARS,
    IdKind,
    IdMatch,
    SearchReader,
    SearchSlice,
    TextMatch,
    TextPlace,
    WaitingHit,
    Words,
)
from gateway.web.endpoint import Endpoint, Example, Schema
from gateway.web.query_params import DIGITS

DEFAULT_HITS = 20
MAX_HITS = 100
DEFAULT_TIME_LIMIT_MS = 250

_PATHS = {
    IdKind.TRACE: "traces",
    IdKind.SESSION: "sessions",
    IdKind.USER: "users",
    IdKind.FEEDBACK: "feedback",
}


class SearchParams(FilterParams):
    filters = REQUEST_FILTERS

    q: Annotated[str, Field(min_length=1, max_length=MAX_QUERY_CHARS)] = Field(
        description="An id or name, or words: all of them must be in one text, whatever their case. "
        '`"Words in quotes"` are found as they stand.'
    )
    limit: Annotated[int, Field(ge=1, le=MAX_HITS, description="Most hits to return."), DIGITS] = DEFAULT_HITS
    cursor: NumberCursor = None
    time_limit_ms: Annotated[
        int,
        Field(ge=1, description="How long to search; at most `storage.question_timeout`."),
        DIGITS,
    ] = DEFAULT_TIME_LIMIT_MS


class NamedRecord(Schema):
    """What the searched text is the id or name of."""

    kind: IdKind = Field(description="`response`: the text is a provider's id of a response.")
    id: str
    path: str = Field(description="Where it can be read.")
    tenant: str | None
    trace_id: str | None
    request_id: str | None = Field(description="Of a request, or of the one that feedback was given on.")

    @classmethod
    def of(cls, found: IdMatch) -> "NamedRecord":
        return cls(
            kind=found.kind,
            id=found.id,
            path=_path_of(found),
            tenant=found.tenant,
            trace_id=found.trace_id,
            request_id=found.request_id,
        )


class MatchShape(Schema):
    """A text that contains all words, cut around the first of them."""

    place: TextPlace
    before: str
    match: str
    after: str
    feedback_id: str | None = Field(description="Of the entry with the comment.")

    @classmethod
    def of(cls, found: TextMatch) -> "MatchShape":
        snippet = found.snippet
        return cls(
            place=found.place,
            before=snippet.before,
            match=snippet.match,
            after=snippet.after,
            feedback_id=found.feedback_id,
        )


class HitShape(Schema):
    request: LoggedRow
    matches: list[MatchShape]


class WaitingShape(Schema):
    feedback_id: str
    id: str = Field(description="What it was given on, which is not logged yet.")
    created_at: Time
    before: str
    match: str
    after: str

    @classmethod
    def of(cls, found: WaitingHit) -> "WaitingShape":
        entry, snippet = found.entry, found.snippet
        return cls(
            feedback_id=entry.feedback_id,
            id=entry.subject_id,
            created_at=format_rfc3339(entry.created_at_us),
            before=snippet.before,
            match=snippet.match,
            after=snippet.after,
        )


class SearchReply(Schema):
    ids: list[NamedRecord] = Field(
        description="What has `q` as its id or name, whatever the filters; empty with a `cursor`."
    )
    data: list[HitShape] = Field(description="Newest first.")
    next_cursor: NextCursor
    searched_from: Time | None = Field(
        description="How far back the search came: when the oldest request that was looked at started."
    )
    searched: int = Field(description="Requests that were looked at.")
    is_complete: bool = Field(description="Whether nothing is left to look at; else go on with the cursor.")
    unknown_keys: UnknownKeys
    waiting: list[WaitingShape] | None = Field(
        description="Comments that contain the words, of feedback whose request is not logged, the newest of the"
        " latest 2,000; only without a cursor and without filters but time. Null: there was no time to look."
    )

    @classmethod
    def of(cls, ids: tuple[IdMatch, ...], found: SearchSlice) -> "SearchReply":
        return cls(
            ids=[NamedRecord.of(each) for each in ids],
            data=[
                HitShape(
                    request=LoggedRow.of(hit.record, found.feedback.get(hit.record.seq, NO_FEEDBACK)),
                    matches=[MatchShape.of(match) for match in hit.matches],
                )
                for hit in found.hits
            ],
            next_cursor=None if found.next_cursor is None else str(found.next_cursor),
            searched_from=format_time(found.searched_from_us),
            searched=found.searched,
            is_complete=found.is_complete,
            unknown_keys=list(found.unknown_keys),
            waiting=None if found.waiting is None else [WaitingShape.of(each) for each in found.waiting],
        )


class SearchEndpoints:
    def __init__(self, search: SearchReader) -> None:
        self._search = search

    @Endpoint(
        "GET",
        "/api/v1/search",
        Role.READ,
        "Search ids, questions, answers and comments",
        failures=(400, 503, 504),
        example=Example(query={"q": "cancel subscription", "limit": "2"}),
    )
    async def _find(self, request: web.Request, principal: Principal, params: SearchParams) -> SearchReply:
        """Among requests that match all filters, newest first, until the time limit or the number of hits is
        reached; the cursor goes on from there. Of a comment, the request is shown that it counts for."""
        words, seconds = Words.parse(params.q), self._seconds(params)
        is_begin = params.cursor is None
        ids = await self._search.find_ids(params.q.strip(), principal.tenant) if is_begin else ()
        found = await self._search.find_words(
            words, params.where(), params.limit, params.cursor, principal.tenant, seconds
        )
        return SearchReply.of(ids, found)

    def _seconds(self, params: SearchParams) -> float:
        most_ms = round(self._search.max_seconds * 1000)
        if params.time_limit_ms > most_ms:
            raise BadInput(
                f"must be at most {most_ms:,}, as storage.question_timeout is.", field="time_limit_ms"
            )
        return params.time_limit_ms / 1000


def _path_of(found: IdMatch) -> str:
    if found.kind in (IdKind.REQUEST, IdKind.RESPONSE):
        request_id, trace_id = path_segment(found.request_id or ""), quote(found.trace_id or "", safe="")
        return f"/api/v1/requests/{request_id}?trace_id={trace_id}"
    return f"/api/v1/{_PATHS[found.kind]}/{path_segment(found.id)}"
