"""Logged requests: list them, read one with its payloads, ratings and texts."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import NotFound, TooLarge
from gateway.models.conversation import Conversation
from gateway.models.exchange import Outcome, RawHeaders
from gateway.models.feedback import Feedback, FeedbackSummary, Kind, Subject, Target, single_subject
from gateway.models.filters import NO_FILTER, AllOf, Comparison, Filter, Op, Page, Sort
from gateway.models.metrics import HOUR_US
from gateway.models.request import DEMO_REQUEST_ID, Payload, RequestRecord
from gateway.models.route import ResponseMaker
from gateway.query.feedback import feedback_on_request, list_feedback
from gateway.query.filters import REQUEST_FILTERS, find_unknown_keys, start_times
from gateway.query.walks import ListWalk, within
from gateway.store.base import Queries
from gateway.wire import read_conversation, reassemble
from gateway.wire.content_encoding import decode, header_value
from gateway.wire.formats import WireMessage

NEWEST_FIRST = Sort("seq", descending=True)
OLDEST_FIRST = Sort("seq", descending=False)

# Clocks of several machines may differ by less.
_CLOCK_MARGIN_US = HOUR_US
# Positions of the log that the first step of a list looks through within a time limit.
_FIRST_STEP = 4_000

# Most bytes of bodies in one answer, decoded; beyond it the call is refused.
MAX_BODY_BYTES = 64 * 1024 * 1024

# Most bytes of bodies read from the store at a time where the reader needs only excerpts, as sent.
_EXCERPT_BATCH_BYTES = 4 * 1024 * 1024
# Most characters of a text.
MAX_TEXT_CHARS = 32_768
_FIRST_ERROR_STATUS = 400


@dataclass(frozen=True, slots=True)
class RequestSlice:
    """A page of requests, newest first.

    Args:
        feedback: by `seq`.
        unknown_keys: metadata filters on keys that no request has, if nothing was found.
        searched_from_us: until when the time limit allowed to look back; None if that did not end the page.
    """

    records: tuple[RequestRecord, ...]
    next_cursor: int | None
    feedback: Mapping[int, FeedbackSummary] = field(default_factory=dict)
    unknown_keys: tuple[str, ...] = ()
    searched_from_us: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One direction of a logged request.

    Args:
        wire_body: as sent.
        body: without content-encoding, if it can be decoded.
        size_bytes: as sent, however much was kept.
    """

    headers: RawHeaders
    wire_body: bytes
    body: bytes
    size_bytes: int
    is_truncated: bool


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """A request with its payloads, None where nothing was kept; `reassembled` is a stream as one object."""

    record: RequestRecord
    request: Message | None
    response: Message | None
    reassembled: object | None
    feedback: tuple[Feedback, ...]

    def wire_body(self, side: str) -> bytes:
        """Return the body of the `request` or `response` as sent. Raises NotFound."""
        message = self.request if side == "request" else self.response
        if message is None:
            raise NotFound("no payload of this request is stored.", field="raw")
        return message.wire_body

    def conversation(self) -> Conversation:
        """Read what both sides say, as far as it was kept; takes long for long bodies."""
        path = self.record.path
        request, response = (
            WireMessage(path, message.headers, message.body) if message else WireMessage(path, (), b"")
            for message in (self.request, self.response)
        )
        return read_conversation(self.record.endpoint, request, response)


@dataclass(frozen=True, slots=True)
class RatedRequest:
    """A request with the latest rating, and score by metric, of it, its trace and session."""

    record: RequestRecord
    rating: Feedback | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RequestTexts:
    """Question and answer of a request; `no_answer` says why there is none."""

    question: str = ""
    answer: str = ""
    no_answer: str | None = None


class RequestReader:
    def __init__(self, store: Queries) -> None:
        self._store = store

    async def find(
        self, where: Filter, limit: int, cursor: int | None, tenant: str | None, seconds: float | None = None
    ) -> RequestSlice:
        """Return requests, newest first. Rows added meanwhile shift no page.

        Args:
            seconds: after which what was found until then is returned.
        """
        following = where if cursor is None else AllOf((where, Comparison("seq", Op.LT, cursor)))
        found = await self._walk(following, cursor, tenant).find(limit + 1, seconds)
        records = tuple(found.rows[:limit])
        if not records and cursor is None and found.position is None:
            unknown = await within(find_unknown_request_keys(self._store, where, tenant), seconds, ())
            return RequestSlice((), None, unknown_keys=unknown)
        feedback = await self.feedback_on(records) if records else {}
        if len(found.rows) > limit or found.position is None:
            return RequestSlice(records, records[-1].seq if len(found.rows) > limit else None, feedback)
        edge = await self._edge(found.position + 1, OLDEST_FIRST, tenant)
        since_us = None if edge is None else edge.started_at_us
        return RequestSlice(records, found.position + 1, feedback, searched_from_us=since_us)

    def _walk(self, following: Filter, cursor: int | None, tenant: str | None) -> ListWalk[RequestRecord]:
        from_us = max(start_times(following), default=None)

        async def read(at: int | None, below: int | None, limit: int) -> list[RequestRecord]:
            part = following
            if at is not None and below is not None:
                part = AllOf((following, Comparison("seq", Op.LE, at), Comparison("seq", Op.GT, below)))
            return await self._store.find_requests(part, NEWEST_FIRST, Page(limit), tenant)

        async def begin() -> tuple[int, int]:
            if cursor is not None:
                return cursor - 1, 1
            newest = await self._edge(0, NEWEST_FIRST, tenant)
            return newest.seq if newest else 0, 1

        async def is_over(position: int) -> bool:
            edge = None if from_us is None else await self._edge(position, OLDEST_FIRST, tenant)
            return edge is not None and from_us is not None and is_stored_before(edge, from_us)

        return ListWalk(read, begin, is_over, _FIRST_STEP)

    async def _edge(self, position: int, sort: Sort, tenant: str | None) -> RequestRecord | None:
        from_there = Comparison("seq", Op.GE, position)
        found = await self._store.find_requests(from_there, sort, Page(1), tenant)
        return found[0] if found else None

    async def count(self, where: Filter, most: int, tenant: str | None) -> int:
        """Return the number of requests, of more than `most` this number and one."""
        return await self._store.count_requests(where, Page(most + 1), tenant)

    async def feedback_on(self, records: Sequence[RequestRecord]) -> dict[int, FeedbackSummary]:
        """Return a summary of the feedback on each request, by `seq`."""
        return await self._store.feedback_summaries([record.seq for record in records])

    async def show(
        self, any_id: str, tenant: str | None, trace_id: str | None = None, row: int | None = None
    ) -> LoggedRequest:
        """Return a request by our id or the provider's. Raises NotFound, Ambiguous."""
        record = await find_request(self._store, any_id, tenant, trace_id, row)
        if record is None:
            raise NotFound(f"no request has the id {any_id!r}.", field="request_id")
        payload = await self._store.payload(record.seq)
        feedback = await list_feedback(self._store, feedback_on_request(record), tenant)
        # Long bodies take long to decode, and other callers' streams share the event loop.
        return await asyncio.to_thread(decode_payload, record, payload, feedback)

    async def find_subject(self, row: int, tenant: str | None) -> Subject | None:
        """Return the request of a row, by its `seq`; None where it is deleted or another tenant's."""
        where = Comparison("seq", Op.EQ, row)
        found = await self._store.find_requests(where, NEWEST_FIRST, Page(1), tenant)
        return next((Subject(r.tenant, r.trace_id, r.request_id, r.response_id, r.seq) for r in found), None)

    async def has_demo_data(self, tenant: str | None) -> bool:
        """Tell whether there are rows of `serve --demo-data`, by one lookup."""
        where = Comparison("request_id", Op.EQ, DEMO_REQUEST_ID)
        return bool(await self._store.find_requests(where, NEWEST_FIRST, Page(1), tenant))

    async def response_maker(self, response_id: str, tenant: str | None) -> ResponseMaker | None:
        """Return who gave a response; None if it is not logged."""
        where = Comparison("response_id", Op.EQ, response_id)
        found = await self._store.find_requests(where, NEWEST_FIRST, Page(1), tenant)
        return None if not found else ResponseMaker(found[0].provider, found[0].target)

    async def has_any(self, tenant: str | None) -> bool:
        """Tell whether anything is logged yet."""
        return bool(await self._store.find_requests(NO_FILTER, NEWEST_FIRST, Page(1), tenant))

    async def counted(self, entries: Sequence[Feedback]) -> dict[str, RequestRecord]:
        """Return the request that each entry counts for, by `feedback_id`."""
        return await self._store.counted_requests([entry.feedback_id for entry in entries])

    async def list_rated(
        self, where: Filter, sort: Sort, page: Page, tenant: str | None
    ) -> list[RatedRequest]:
        return await self._rate(await self._store.find_requests(where, sort, page, tenant), tenant)

    async def show_rated(self, any_id: str, tenant: str | None) -> RatedRequest:
        record = await find_request(self._store, any_id, tenant)
        if record is None:
            raise NotFound("Request not found")
        [rated] = await self._rate([record], tenant)
        return rated

    async def read_payloads(self, records: Sequence[RequestRecord]) -> list[LoggedRequest]:
        """Return requests with payloads, in order. Raises TooLarge above `MAX_BODY_BYTES`."""
        logged: list[LoggedRequest] = []
        left = MAX_BODY_BYTES
        for batch in batches(records, MAX_BODY_BYTES):
            payloads = await self._store.payloads([record.seq for record in batch])
            decoded, left = await asyncio.to_thread(_decode_within, batch, payloads, left)
            logged += decoded
        return logged

    async def _rate(self, records: Sequence[RequestRecord], tenant: str | None) -> list[RatedRequest]:
        by_subject: dict[_SubjectKey, list[tuple[int, Feedback]]] = {}
        latest = await self._store.latest_feedback(records, tenant) if records else []
        for position, entry in enumerate(latest):
            by_subject.setdefault(_subject_of(entry), []).append((position, entry))
        return [_rate_request(record, by_subject) for record in records]


class TextReader:
    def __init__(self, store: Queries) -> None:
        self._store = store

    async def list_texts(
        self,
        entries: Sequence[Feedback],
        counted: Mapping[str, RequestRecord] | None = None,
        max_body_bytes: int | None = None,
    ) -> dict[str, RequestTexts]:
        """Return the texts of the request that each entry counts for, by `feedback_id`.

        Args:
            counted: these requests, where they are known.
            max_body_bytes: no texts of requests with longer bodies on the wire.
        """
        if counted is None:
            counted = await self._store.counted_requests([entry.feedback_id for entry in entries])
        by_seq = {record.seq: record for record in counted.values()}
        is_long = {
            seq
            for seq, record in by_seq.items()
            if max_body_bytes is not None and record.request_size + record.response_size > max_body_bytes
        }
        records = [record for seq, record in by_seq.items() if seq not in is_long]
        texts = dict.fromkeys(is_long, RequestTexts(no_answer="its bodies are long"))
        for batch in batches(records, _EXCERPT_BATCH_BYTES):
            payloads = await self._store.payloads([record.seq for record in batch])
            texts |= await asyncio.to_thread(_excerpts, batch, payloads)
        return {feedback_id: texts[record.seq] for feedback_id, record in counted.items()}


async def find_unknown_request_keys(store: Queries, where: Filter, tenant: str | None) -> tuple[str, ...]:
    async def exists(condition: Filter) -> bool:
        return bool(await store.find_requests(condition, NEWEST_FIRST, Page(1), tenant))

    return await find_unknown_keys(REQUEST_FILTERS, where, exists)


async def find_request(
    store: Queries, any_id: str, tenant: str | None, trace_id: str | None = None, row: int | None = None
) -> RequestRecord | None:
    """Return the latest row of a request by our id or the provider's. Raises Ambiguous.

    Args:
        row: `seq` of the row that is meant, where it has that id.
    """
    if row is not None:
        where = Comparison("seq", Op.EQ, row)
        shown = await store.find_requests(where, NEWEST_FIRST, Page(1), tenant)
        # A link may be older than the store, in which the row is another request by now.
        if shown and any_id in (shown[0].request_id, shown[0].response_id):
            return shown[0]
    named = await store.resolve([any_id], tenant, Target.REQUEST, trace_id)
    subject = single_subject(any_id, named.get(any_id, ()), field="request_id")
    if subject is None:
        return None
    found = await store.find_requests(Comparison("seq", Op.EQ, subject.seq), NEWEST_FIRST, Page(1), tenant)
    return found[0] if found else None


def batches(records: Sequence[RequestRecord], limit_bytes: int | None) -> Iterator[list[RequestRecord]]:
    """Split records by the size of their bodies as sent."""
    batch: list[RequestRecord] = []
    size = 0
    for record in records:
        body_bytes = record.request_size + record.response_size
        # A longer body is read alone.
        if batch and limit_bytes is not None and size + body_bytes > limit_bytes:
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += body_bytes
    if batch:
        yield batch


def is_stored_before(record: RequestRecord, at_us: int) -> bool:
    """Tell whether a request, and so all at lower positions of the log, were stored before a time."""
    read_at_us = record.interpreted_at_us
    return read_at_us is not None and read_at_us < at_us - _CLOCK_MARGIN_US


def conversation_of(record: RequestRecord, payload: Payload | None) -> Conversation:
    """Read what both sides say; takes long for long bodies."""
    if payload is None:
        return Conversation()
    asked = decode(payload.request_body, payload.request_headers).data
    answered = decode(payload.response_body, payload.response_headers).data
    return read_conversation(
        record.endpoint,
        WireMessage(record.path, payload.request_headers, asked),
        WireMessage(record.path, payload.response_headers, answered),
    )


def decode_payload(
    record: RequestRecord,
    payload: Payload | None,
    feedback: tuple[Feedback, ...],
    *,
    is_reassembled: bool = True,
) -> LoggedRequest:
    """Return a request with its decoded bodies, if asked for with its stream as one object."""
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
        if is_reassembled:
            content_type = header_value(response.headers, b"content-type")
            reassembled = reassemble(record.endpoint, content_type, response.body)
    return LoggedRequest(record, request, response, reassembled, feedback)


def _decode_message(headers: RawHeaders, wire_body: bytes, size_bytes: int, is_cut: bool) -> Message:
    decoded = decode(wire_body, headers)
    if not decoded.data:
        return Message(headers, wire_body, wire_body, size_bytes, is_cut)
    return Message(headers, wire_body, decoded.data, size_bytes, is_cut or not decoded.is_complete)


def _decode_within(
    records: Sequence[RequestRecord], payloads: Mapping[int, Payload], limit_bytes: int
) -> tuple[list[LoggedRequest], int]:
    logged = []
    for record in records:
        one = decode_payload(record, payloads.get(record.seq), ())
        limit_bytes -= sum(len(message.body) for message in (one.request, one.response) if message)
        if limit_bytes < 0:
            raise TooLarge(
                f"the bodies of these requests are longer than {MAX_BODY_BYTES:,} bytes.",
                hint="Ask for fewer at a time.",
            )
        logged.append(one)
    return logged, limit_bytes


# Target, tenant, trace or session, and request id of what feedback is on.
_SubjectKey = tuple[Target, str | None, str | None, str | None]


def _subject_of(entry: Feedback) -> _SubjectKey:
    name = entry.session if entry.target is Target.SESSION else entry.trace_id
    return entry.target, entry.tenant, name, entry.request_id


def _rate_request(
    record: RequestRecord, by_subject: Mapping[_SubjectKey, Sequence[tuple[int, Feedback]]]
) -> RatedRequest:
    subjects = (
        (Target.REQUEST, record.tenant, record.trace_id, record.request_id),
        (Target.TRACE, record.tenant, record.trace_id, None),
        (Target.SESSION, record.tenant, record.session, None),
    )
    rating: Feedback | None = None
    scores: dict[str, float] = {}
    found = (entry for subject in subjects for entry in by_subject.get(subject, ()))
    for _, entry in sorted(found, key=lambda ranked: ranked[0]):
        if entry.kind is not Kind.SCORE or entry.metric is None:
            rating = entry
        elif entry.value is not None:
            scores[entry.metric] = entry.value
    return RatedRequest(record, rating, scores)


def _excerpts(records: Sequence[RequestRecord], payloads: Mapping[int, Payload]) -> dict[int, RequestTexts]:
    return {record.seq: _excerpt(record, payloads.get(record.seq)) for record in records}


def _excerpt(record: RequestRecord, payload: Payload | None) -> RequestTexts:
    logged = decode_payload(record, payload, ())
    said = logged.conversation()
    reason = None if said.answer else _no_answer_reason(record, is_kept=logged.response is not None)
    return RequestTexts(_truncate(said.question), _truncate(said.answer), reason)


def _truncate(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else f"{text[:MAX_TEXT_CHARS]}…"


def _no_answer_reason(record: RequestRecord, *, is_kept: bool) -> str:
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
