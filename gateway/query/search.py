"""Search requests: by any id, and by words in question, answer and comments, newest first within a time limit."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from gateway.errors import BadInput, Overloaded, QueryTimeout
from gateway.models.feedback import Feedback, FeedbackSummary, Subject, Target
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.ids import is_valid_id
from gateway.models.request import Payload, RequestRecord
from gateway.query.feedback import NEWEST_FEEDBACK_FIRST
from gateway.query.filters import is_only_time, start_times, time_conditions
from gateway.query.requests import (
    NEWEST_FIRST,
    OLDEST_FIRST,
    batches,
    find_unknown_request_keys,
    is_stored_before,
)
from gateway.query.walks import within
from gateway.store.base import Queries
from gateway.wire import read_conversation
from gateway.wire.content_encoding import decode
from gateway.wire.formats import WireMessage

T = TypeVar("T")

MAX_QUERY_CHARS = 500
MAX_TERMS = 20

# Searches by words that run at a time, each on a thread; further ones wait for so long.
MAX_SEARCHES = 2
MAX_WAIT_SECONDS = 5.0

# Rows, and bytes of bodies as sent, that are read at a time.
_STEP_ROWS = 128
_STEP_BYTES = 4 * 1024 * 1024
_MAX_COMMENTS = 2_000

# Positions of the log that the first step looks through; few rows may match the filters.
_FIRST_WINDOW = 1_000
_MAX_WINDOW = 2**40

_TERM = re.compile(r'"([^"]+)"|(\S+)')

# Endpoints whose streams have the text of an answer in these fields, piece by piece, unless they have several
# choices.
_TEXT_STREAMS = frozenset({"chat.completions", "completions", "messages"})
_STREAMED_TEXT = re.compile(rb'"(?:content|text|refusal)" ?: ?"((?:[^"\\]|\\.)*)"')
_OTHER_CHOICE = re.compile(rb'"choices" ?: ?\[ ?\{[^\n]*"index" ?: ?[1-9]')

_CHARS_BEFORE, _CHARS_AFTER = 60, 140


class IdKind(StrEnum):
    """What an id names."""

    TRACE = "trace"
    REQUEST = "request"
    RESPONSE = "response"
    SESSION = "session"
    USER = "user"
    FEEDBACK = "feedback"


@dataclass(frozen=True, slots=True)
class IdMatch:
    """Something that has the searched id; `trace_id` and `request_id` of a request, or of what feedback is on."""

    kind: IdKind
    id: str
    tenant: str | None = None
    trace_id: str | None = None
    request_id: str | None = None


class TextPlace(StrEnum):
    """Where words were found."""

    QUESTION = "question"
    ANSWER = "answer"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A match with some text around it."""

    before: str
    match: str
    after: str


@dataclass(frozen=True, slots=True)
class TextMatch:
    place: TextPlace
    snippet: Snippet
    # Of a comment.
    feedback_id: str | None = None


@dataclass(frozen=True, slots=True)
class SearchHit:
    record: RequestRecord
    matches: tuple[TextMatch, ...]


@dataclass(frozen=True, slots=True)
class WaitingHit:
    """Feedback whose comment contains the words, and whose request is not logged."""

    entry: Feedback
    snippet: Snippet


@dataclass(frozen=True, slots=True)
class SearchSlice:
    """Hits, newest first, and how far back the search came.

    Args:
        next_cursor: where to go on from; None once `is_complete`.
        searched_from_us: start of the oldest request that was looked at; None if there is none.
        searched: how many requests were looked at, of those that match the filters.
        feedback: of the hits, by `seq`.
        unknown_keys: metadata filters on keys that no request has, if nothing was found.
        waiting: feedback that waits, on the first page; None where the time was too short for it.
    """

    hits: tuple[SearchHit, ...]
    next_cursor: int | None
    searched_from_us: int | None
    searched: int
    is_complete: bool
    feedback: Mapping[int, FeedbackSummary] = field(default_factory=dict)
    unknown_keys: tuple[str, ...] = ()
    waiting: tuple[WaitingHit, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Words:
    """Words that a text must all contain, whatever their case; a phrase in quotes is one."""

    terms: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> "Words":
        """Return the words of a query. Raises BadInput."""
        if len(text) > MAX_QUERY_CHARS:
            raise BadInput(f"has {len(text):,} characters; at most {MAX_QUERY_CHARS} are allowed.", field="q")
        terms = dict.fromkeys((phrase or word).casefold() for phrase, word in _TERM.findall(text))
        if not terms:
            raise BadInput("holds no word to search for.", field="q")
        if len(terms) > MAX_TERMS:
            raise BadInput(f"holds {len(terms)} words; at most {MAX_TERMS} are allowed.", field="q")
        return cls(tuple(terms))

    def find(self, text: str) -> Snippet | None:
        """Return the first match of any word if the text contains all of them."""
        folded = text.casefold()
        places = [(folded.find(term), term) for term in self.terms]
        start, term = min(places)
        if start < 0:
            return None
        is_aligned = len(folded) == len(text)
        begin = start if is_aligned else _unfolded_index(text, start)
        end = begin + len(term) if is_aligned else _unfolded_index(text, start + len(term))
        return _cut_snippet(text, begin, end)

    def may_be_in(self, body: bytes) -> bool:
        """Tell whether a JSON body may contain all words in one text; much faster than reading it."""
        # Other characters may be spelled as escapes, or be folded to letters of ASCII.
        if not body.isascii() or b"\\u" in body:
            return True
        return self._plain_terms_are_in(body)

    def may_be_in_stream(self, endpoint: str, body: bytes) -> bool:
        """Tell the same of a stream, whose texts are spread over its events."""
        is_known = endpoint in _TEXT_STREAMS and not _OTHER_CHOICE.search(body)
        if not is_known or not body.isascii() or b"\\u" in body:
            return True
        return self._plain_terms_are_in(b"".join(_STREAMED_TEXT.findall(body)))

    def _plain_terms_are_in(self, text: bytes) -> bool:
        lowered = text.lower()
        return all(term.encode() in lowered for term in self.terms if term.isascii() and term.isalnum())


def _unfolded_index(text: str, folded_index: int) -> int:
    # Some characters fold to several (ß to ss).
    passed = 0
    for index, character in enumerate(text):
        if passed >= folded_index:
            return index
        passed += len(character.casefold())
    return len(text)


def _cut_snippet(text: str, begin: int, end: int) -> Snippet:
    before, after = text[max(begin - _CHARS_BEFORE, 0) : begin], text[end : end + _CHARS_AFTER]
    return Snippet(
        before=f"…{before}" if begin > _CHARS_BEFORE else before,
        match=text[begin:end],
        after=f"{after}…" if len(text) > end + _CHARS_AFTER else after,
    )


class SearchReader:
    """Searches requests.

    Args:
        max_seconds: most that a search may be given.
    """

    def __init__(self, store: Queries, max_seconds: float) -> None:
        self.max_seconds = max_seconds
        self._store = store
        self._free = asyncio.Semaphore(MAX_SEARCHES)

    async def find_ids(self, text: str, tenant: str | None) -> tuple[IdMatch, ...]:
        """Return everything that has this id or name."""
        if not is_valid_id(text):
            return ()
        traces, requests, sessions, of_user, given, feedback = await asyncio.gather(
            self._store.resolve([text], tenant, Target.TRACE),
            self._store.resolve([text], tenant, Target.REQUEST),
            self._store.resolve([text], tenant, Target.SESSION),
            self._store.find_requests(Comparison("user", Op.EQ, text), NEWEST_FIRST, Page(1), tenant),
            self._store.count_feedback_by_author([text], tenant),
            self._store.find_feedback(Comparison("feedback_id", Op.EQ, text), Sort(), Page(1), tenant),
        )
        subjects = [each for each in traces.get(text, ()) if each.target is Target.TRACE]
        subjects += [*requests.get(text, ()), *sessions.get(text, ())]
        found = [_match_of_subject(text, subject) for subject in subjects]
        if of_user or given.get(text):
            found.append(IdMatch(IdKind.USER, text))
        return (*found, *map(_match_of_feedback, feedback))

    async def find_words(
        self,
        words: Words,
        where: Filter,
        limit: int,
        cursor: int | None,
        tenant: str | None,
        seconds: float,
    ) -> SearchSlice:
        """Return requests that match the filters and contain the words. Raises QueryTimeout, Overloaded."""
        async with self._slot():
            walk = _Walk(self._store, words, where, tenant, limit, time.monotonic() + seconds)
            try:
                async with asyncio.timeout(self.max_seconds):
                    found = await walk.search(cursor)
                    if cursor is not None or not is_only_time(where):
                        # What is not logged has no model or user to match a filter.
                        return found
                    waiting = self._find_waiting(words, where, limit, tenant)
                    return replace(found, waiting=await within(waiting, seconds, None))
            except TimeoutError as error:
                fault = f"the search takes longer than the {self.max_seconds:g} seconds that are allowed."
                raise QueryTimeout(fault, hint="Add filters.") from error

    async def _find_waiting(
        self, words: Words, where: Filter, limit: int, tenant: str | None
    ) -> tuple[WaitingHit, ...]:
        given_then = (replace(each, field="created_at_us") for each in time_conditions(where))
        is_waiting = Comparison("joined_at_us", Op.EQ, None)
        has_comment = Comparison("comment", Op.NE, None)
        entries = await self._store.find_feedback(
            AllOf((is_waiting, has_comment, *given_then)), NEWEST_FEEDBACK_FIRST, Page(_MAX_COMMENTS), tenant
        )
        matched = ((entry, words.find(entry.comment or "")) for entry in entries)
        return tuple(WaitingHit(entry, found) for entry, found in matched if found)[:limit]

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(MAX_WAIT_SECONDS):
                await self._free.acquire()
        except TimeoutError as error:
            raise Overloaded("too many searches are running.", hint="Send it again soon.") from error
        try:
            yield
        finally:
            self._free.release()


def _match_of_subject(text: str, subject: Subject) -> IdMatch:
    if subject.target is Target.REQUEST:
        kind = IdKind.REQUEST if subject.request_id == text else IdKind.RESPONSE
        return IdMatch(kind, text, subject.tenant, subject.trace_id, subject.request_id)
    kind = IdKind.TRACE if subject.target is Target.TRACE else IdKind.SESSION
    return IdMatch(kind, text, subject.tenant, subject.trace_id)


def _match_of_feedback(entry: Feedback) -> IdMatch:
    return IdMatch(IdKind.FEEDBACK, entry.feedback_id, entry.tenant, entry.trace_id, entry.request_id)


class _Walk:
    """One search on its way back through the log."""

    def __init__(
        self, store: Queries, words: Words, where: Filter, tenant: str | None, limit: int, ends_at: float
    ) -> None:
        self._store = store
        self._words = words
        self._where = where
        self._tenant = tenant
        self._limit = limit
        self._ends_at = ends_at
        self._from_us = max(start_times(where), default=None)
        self._hits: list[SearchHit] = []
        self._searched = 0
        # Everything from here on has been looked at.
        self._position = 0
        self._window = _FIRST_WINDOW
        self._has_begun = False

    async def search(self, cursor: int | None) -> SearchSlice:
        self._position = await self._top() if cursor is None else cursor
        is_complete = self._position <= 1 or await self._step()
        # The first step always ends, so that following the cursor always gets on.
        self._has_begun = True
        while not is_complete and len(self._hits) < self._limit and self._seconds_left() > 0:
            try:
                is_complete = await self._step()
            except (TimeoutError, QueryTimeout):
                break
        return await self._finish(cursor, is_complete or self._position <= 1)

    async def _top(self) -> int:
        newest = await self._find_edge(NEWEST_FIRST, 0)
        return newest.seq + 1 if newest else 0

    async def _step(self) -> bool:
        """Look at the next rows that match; tell whether there are no more."""
        bottom = max(self._position - self._window, 0)
        within = (Comparison("seq", Op.LT, self._position), Comparison("seq", Op.GE, bottom))
        where = AllOf((self._where, *within))
        found = await self._read(
            self._store.find_requests(where, NEWEST_FIRST, Page(_STEP_ROWS), self._tenant)
        )
        for batch in batches(found, _STEP_BYTES):
            if not await self._look_at(batch):
                return False
        if len(found) == _STEP_ROWS:
            return False
        self._position = bottom
        self._window = min(self._window * 4, _MAX_WINDOW)
        return bottom <= 1 or await self._is_before_time_range()

    async def _look_at(self, records: Sequence[RequestRecord]) -> bool:
        """Search some rows; tell whether the search may go on."""
        payloads = await self._read(self._store.payloads([record.seq for record in records]))
        comments = await self._read(self._match_comments(records))
        leaves = threading.Event()
        try:
            scanned = await asyncio.to_thread(_scan, records, payloads, self._words, self._ends_at, leaves)
        finally:
            # The thread looks at no further row once nobody waits for it.
            leaves.set()
        for record, in_texts in zip(records, scanned, strict=False):
            self._searched += 1
            self._position = record.seq
            if matches := (*in_texts, *comments.get(record.seq, ())):
                self._hits.append(SearchHit(record, matches))
                if len(self._hits) == self._limit:
                    return False
        return len(scanned) == len(records) and self._seconds_left() > 0

    async def _match_comments(self, records: Sequence[RequestRecord]) -> dict[int, list[TextMatch]]:
        on_them = Comparison("request_seq", Op.IN, tuple(record.seq for record in records))
        has_comment = Comparison("comment", Op.NE, None)
        entries = await self._store.find_feedback(
            AllOf((on_them, has_comment)), Sort("seq"), Page(_MAX_COMMENTS), self._tenant
        )
        found = {each.feedback_id: snippet for each in entries if (snippet := self._find(each.comment))}
        by_seq: dict[int, list[TextMatch]] = {}
        if found:
            for name, record in (await self._store.counted_requests(list(found))).items():
                by_seq.setdefault(record.seq, []).append(TextMatch(TextPlace.COMMENT, found[name], name))
        return by_seq

    def _find(self, comment: str | None) -> Snippet | None:
        return self._words.find(comment) if comment else None

    async def _is_before_time_range(self) -> bool:
        """Tell whether all that is left was stored before the time that is asked for."""
        if self._from_us is None:
            return False
        edge = await self._find_edge(OLDEST_FIRST, self._position)
        return edge is not None and is_stored_before(edge, self._from_us)

    async def _find_edge(self, sort: Sort, position: int) -> RequestRecord | None:
        from_there = Comparison("seq", Op.GE, position)
        found = await self._store.find_requests(from_there, sort, Page(1), self._tenant)
        return found[0] if found else None

    async def _finish(self, cursor: int | None, is_complete: bool) -> SearchSlice:
        edge = await self._find_edge(OLDEST_FIRST, self._position)
        feedback = await self._store.feedback_summaries([hit.record.seq for hit in self._hits])
        unknown: tuple[str, ...] = ()
        if is_complete and cursor is None and not self._searched:
            unknown = await find_unknown_request_keys(self._store, self._where, self._tenant)
        return SearchSlice(
            hits=tuple(self._hits),
            next_cursor=None if is_complete else self._position,
            searched_from_us=edge.started_at_us if edge else None,
            searched=self._searched,
            is_complete=is_complete,
            feedback=feedback,
            unknown_keys=unknown,
        )

    async def _read(self, reading: Awaitable[T]) -> T:
        # The thread ends in time by itself, with what it has found; only reading has to be cut short.
        async with asyncio.timeout(max(self._seconds_left(), 0.0) if self._has_begun else None):
            return await reading

    def _seconds_left(self) -> float:
        return self._ends_at - time.monotonic()


def _scan(
    records: Sequence[RequestRecord],
    payloads: Mapping[int, Payload],
    words: Words,
    ends_at: float,
    leaves: threading.Event,
) -> list[tuple[TextMatch, ...]]:
    """Return the matches of each row in order, as far as the time allows; of the first in any case."""
    scanned: list[tuple[TextMatch, ...]] = []
    for record in records:
        if leaves.is_set() or (scanned and time.monotonic() > ends_at):
            break
        payload = payloads.get(record.seq)
        scanned.append(() if payload is None else tuple(_match_texts(record, payload, words)))
    return scanned


def _match_texts(record: RequestRecord, payload: Payload, words: Words) -> Iterator[TextMatch]:
    asked = decode(payload.request_body, payload.request_headers).data
    answered = decode(payload.response_body, payload.response_headers).data
    in_answer = (
        words.may_be_in_stream(record.endpoint, answered) if record.is_stream else words.may_be_in(answered)
    )
    if not in_answer and not words.may_be_in(asked):
        return
    said = read_conversation(
        record.endpoint,
        WireMessage(record.path, payload.request_headers, asked),
        WireMessage(record.path, payload.response_headers, answered),
    )
    for place, text in ((TextPlace.QUESTION, said.question), (TextPlace.ANSWER, said.answer)):
        if snippet := words.find(text):
            yield TextMatch(place, snippet)
