"""Logged requests: list them, read one with its payloads, ratings and texts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import NotFound, TooLarge
from gateway.models.exchange import Outcome, RawHeaders
from gateway.models.feedback import Feedback, FeedbackSummary, Kind, Target, single_subject
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import Payload, RequestRecord
from gateway.query.feedback import feedback_on_request, list_feedback
from gateway.query.filters import REQUEST_FILTERS, find_unknown_keys
from gateway.store.base import Queries, Store
from gateway.wire import reassemble
from gateway.wire.content_encoding import decode, header_value
from gateway.wire.messages import excerpt_answer, excerpt_question

NEWEST_FIRST = Sort("seq", descending=True)


@dataclass(frozen=True, slots=True)
class RequestSlice:
    """Some of the requests found, newest first.

    Args:
        next_cursor: where the next slice begins; None where this one is the last.
        feedback: what was said of each request, by `seq`; without those of which nothing was.
        unknown_keys: where nothing was found, the criteria on keys of metadata that nothing has.
    """

    records: tuple[RequestRecord, ...]
    next_cursor: int | None
    feedback: Mapping[int, FeedbackSummary] = field(default_factory=dict)
    unknown_keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Message:
    """One direction of a logged request.

    Args:
        wire_body: the bytes kept, as they went over the wire.
        body: the same with the content-encoding undone; equal to `wire_body` where that is impossible.
        size_bytes: length of the body on the wire, however much of it was kept.
        is_truncated: whether `body` is only the beginning: not all was kept, or not all can be decoded.
    """

    headers: RawHeaders
    wire_body: bytes
    body: bytes
    size_bytes: int
    is_truncated: bool


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request with what was kept beside its row. Messages are None where nothing of them was kept.

    Args:
        reassembled: what the stream would have been as one object; None where the response was no stream, or
            one that cannot be put together.
    """

    record: RequestRecord
    request: Message | None
    response: Message | None
    reassembled: object | None
    feedback: tuple[Feedback, ...]


class RequestReader:
    """Answers questions about logged requests. A tenant of None sees every row, any other its own alone."""

    def __init__(self, store: Queries) -> None:
        self._store = store

    async def find(self, where: Filter, limit: int, cursor: int | None, tenant: str | None) -> RequestSlice:
        """Return the newest matching requests, or those that follow `cursor`.

        Walking from cursor to cursor meets each row that was there at the start once, while rows are added.
        """
        following = where if cursor is None else AllOf((where, Comparison("seq", Op.LT, cursor)))
        found = await self._store.find_requests(following, NEWEST_FIRST, Page(limit + 1), tenant)
        if not found and cursor is None:
            return RequestSlice(
                (), None, unknown_keys=await find_unknown_request_keys(self._store, where, tenant)
            )
        records = tuple(found[:limit])
        feedback = await self._store.feedback_summaries([record.seq for record in records])
        return RequestSlice(records, records[-1].seq if len(found) > limit else None, feedback)

    async def show(self, any_id: str, tenant: str | None, trace_id: str | None = None) -> LoggedRequest:
        """Return the request that our request id or its provider's response id names.

        Args:
            trace_id: the trace that it is in, if the caller says so.

        Raises:
            NotFound: this caller may see no such request.
            Ambiguous: the id names several requests.
        """
        record = await find_request(self._store, any_id, tenant, trace_id)
        if record is None:
            raise NotFound(f"no request has the id {any_id!r}.", field="request_id")
        payload = await self._store.payload(record.seq)
        feedback = await list_feedback(self._store, feedback_on_request(record), tenant)
        # A long body takes long to read, and other callers' streams go through this thread.
        return await asyncio.to_thread(decode_payload, record, payload, feedback)


async def find_unknown_request_keys(store: Queries, where: Filter, tenant: str | None) -> tuple[str, ...]:
    """Return the criteria of a search for requests that are on keys of metadata which nothing of its time has."""

    async def exists(condition: Filter) -> bool:
        return bool(await store.find_requests(condition, NEWEST_FIRST, Page(1), tenant))

    return await find_unknown_keys(REQUEST_FILTERS, where, exists)


async def find_request(
    store: Queries, any_id: str, tenant: str | None, trace_id: str | None = None
) -> RequestRecord | None:
    """Return the latest row of the request that an id names; None where this caller may see no such request.

    Raises:
        Ambiguous: the id names several requests.
    """
    named = await store.resolve([any_id], tenant, Target.REQUEST, trace_id)
    subject = single_subject(any_id, named.get(any_id, ()), field="request_id")
    if subject is None:
        return None
    found = await store.find_requests(Comparison("seq", Op.EQ, subject.seq), NEWEST_FIRST, Page(1), tenant)
    return found[0] if found else None


def decode_payload(
    record: RequestRecord, payload: Payload | None, feedback: tuple[Feedback, ...]
) -> LoggedRequest:
    """Make readable what was kept of a request: bodies decoded, a stream put together."""
    if payload is None:
        return LoggedRequest(record, None, None, None, feedback)
    request = response = reassembled = None
    if not payload.opt_out.request:
        request = _decode_message(
            payload.request_headers, payload.request_body, record.request_size, payload.request_truncated
        )
    if not payload.opt_out.response:
        response = _decode_message(
            payload.response_headers, payload.response_body, record.response_size, payload.response_truncated
        )
        content_type = header_value(response.headers, b"content-type")
        reassembled = reassemble(record.endpoint, content_type, response.body)
    return LoggedRequest(record, request, response, reassembled, feedback)


def _decode_message(headers: RawHeaders, wire_body: bytes, size_bytes: int, is_cut: bool) -> Message:
    decoded = decode(wire_body, headers)
    if not decoded.data:
        return Message(headers, wire_body, wire_body, size_bytes, is_cut)
    return Message(headers, wire_body, decoded.data, size_bytes, is_cut or not decoded.is_complete)


MAX_BODY_BYTES = 64 * 1024 * 1024
"""How much of bodies is read for one answer, unpacked; more is refused, never cut."""

FeedbackSubject = tuple[Target, str | None, str | None, str | None]
"""What verdicts are about: a request by its trace id and request id, a trace, or a session, each of a tenant."""


@dataclass(frozen=True, slots=True)
class RatedRequest:
    """A logged request and what was said last of it, its trace or its session.

    Args:
        rating: the entry given last that says good or bad, whoever gave it, in whatever dialect.
        scores: the value given last for each metric.
    """

    record: RequestRecord
    rating: Feedback | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


class RatedRequestReader:
    """Answers questions about requests and the verdicts on them.

    A tenant of None sees every row, any other its own alone.
    """

    def __init__(self, store: Queries) -> None:
        self._store = store

    async def find(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[RatedRequest]:
        """Return one page of the matching requests."""
        return await self._with_feedback(await self._store.find_requests(where, sort, page, tenant), tenant)

    async def find_one(self, any_id: str, tenant: str | None) -> RatedRequest:
        """Return the request that our request id or its provider's response id names.

        Raises:
            NotFound: this caller may see no such request.
            Ambiguous: the id names several requests.
        """
        record = await find_request(self._store, any_id, tenant)
        if record is None:
            raise NotFound("Request not found")
        [rated] = await self._with_feedback([record], tenant)
        return rated

    async def read_payloads(self, found: Sequence[RatedRequest]) -> list[LoggedRequest]:
        """Return what was kept of these requests' messages, in order.

        Raises:
            TooLarge: that is more than is read at once.
        """
        logged = []
        left = MAX_BODY_BYTES
        for rated in found:
            payload = await self._store.payload(rated.record.seq)
            # A long body takes long to read, and other callers' streams go through this thread.
            one = await asyncio.to_thread(decode_payload, rated.record, payload, ())
            left -= _size_bytes(one)
            if left < 0:
                raise TooLarge(
                    f"the bodies of these requests are longer than {MAX_BODY_BYTES:,} bytes.",
                    hint="Ask for fewer at a time.",
                )
            logged.append(one)
        return logged

    async def _with_feedback(
        self, records: Sequence[RequestRecord], tenant: str | None
    ) -> list[RatedRequest]:
        feedback_by_subject: dict[FeedbackSubject, list[tuple[int, Feedback]]] = {}
        latest = await self._store.latest_feedback(records, tenant) if records else []
        for place, entry in enumerate(latest):
            feedback_by_subject.setdefault(_subject_of(entry), []).append((place, entry))
        return [_rate_request(record, feedback_by_subject) for record in records]


def _rate_request(
    record: RequestRecord, feedback_by_subject: Mapping[FeedbackSubject, Sequence[tuple[int, Feedback]]]
) -> RatedRequest:
    rating: Feedback | None = None
    scores: dict[str, float] = {}
    found = (entry for subject in _subjects_of(record) for entry in feedback_by_subject.get(subject, ()))
    for _, entry in sorted(found, key=lambda ranked: ranked[0]):
        if entry.kind is not Kind.SCORE or entry.metric is None:
            rating = entry
        elif entry.value is not None:
            scores[entry.metric] = entry.value
    return RatedRequest(record, rating, scores)


def _subject_of(entry: Feedback) -> FeedbackSubject:
    name = entry.session if entry.target is Target.SESSION else entry.trace_id
    return entry.target, entry.tenant, name, entry.request_id


def _subjects_of(record: RequestRecord) -> tuple[FeedbackSubject, ...]:
    return (
        (Target.REQUEST, record.tenant, record.trace_id, record.request_id),
        (Target.TRACE, record.tenant, record.trace_id, None),
        (Target.SESSION, record.tenant, record.session, None),
    )


def _size_bytes(logged: LoggedRequest) -> int:
    return sum(len(message.body) for message in (logged.request, logged.response) if message is not None)


MAX_TEXT_CHARS = 32_768
"""How much of a text is returned, in characters; `…` stands at the end where there is more."""

_PAYLOAD_BATCH = 16
"""Of how many requests the bodies are in memory at a time."""
_FIRST_ERROR_STATUS = 400


@dataclass(frozen=True, slots=True)
class RequestTexts:
    """Texts of a request; empty where it has none.

    Args:
        no_answer: why `answer` is empty, as far as the row tells; None where it is not.
    """

    question: str = ""
    answer: str = ""
    no_answer: str | None = None


class TextReader:
    """Reads them from what was kept of the requests' bodies."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def list_texts(self, entries: Sequence[Feedback]) -> dict[str, RequestTexts]:
        """Return the texts for each entry, by `feedback_id`; entries that count for no request are left out."""
        counted = await self._store.counted_requests([entry.feedback_id for entry in entries])
        records = list({record.seq: record for record in counted.values()}.values())
        texts: dict[int, RequestTexts] = {}
        for start in range(0, len(records), _PAYLOAD_BATCH):
            batch = records[start : start + _PAYLOAD_BATCH]
            payloads = await self._store.payloads([record.seq for record in batch])
            # Long bodies take long to read, and other callers' streams go through this thread.
            read = await asyncio.to_thread(lambda: [_read_texts(one, payloads.get(one.seq)) for one in batch])  # noqa: B023
            texts.update(zip((record.seq for record in batch), read, strict=True))
        return {feedback_id: texts[record.seq] for feedback_id, record in counted.items()}


def _read_texts(record: RequestRecord, payload: Payload | None) -> RequestTexts:
    logged = decode_payload(record, payload, ())
    question = "" if logged.request is None else excerpt_question(logged.request.body)
    body = None if logged.response is None else logged.response.body
    answer = excerpt_answer(body if logged.reassembled is None else logged.reassembled)
    reason = None if answer else _no_answer_reason(record, is_kept=body is not None)
    return RequestTexts(_truncate(question), _truncate(answer), reason)


def _truncate(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else f"{text[:MAX_TEXT_CHARS]}…"


def _no_answer_reason(record: RequestRecord, *, is_kept: bool) -> str:
    """What the row tells of an answer without a text."""
    reasons = [record.outcome.value] if record.outcome is not Outcome.COMPLETE else []
    if record.status is not None and record.status >= _FIRST_ERROR_STATUS:
        reasons.append(f"status {record.status}")
    if record.error is not None:
        reasons.append(record.error.rstrip("."))
    if not is_kept:
        reasons.append("its body was not kept")
    if record.finish_reason is not None:
        reasons.append(f"finish_reason {record.finish_reason}")
    if record.reasoning_tokens:
        reasons.append(f"{record.reasoning_tokens} of {record.completion_tokens} tokens are reasoning")
    return ", ".join(reasons) or "it holds no text"
