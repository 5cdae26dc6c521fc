"""The pages of requests: the list, and one request with its conversation, timeline, bytes and feedback."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import orjson
from aiohttp import web
from markupsafe import Markup

from gateway.errors import BadInput
from gateway.models.conversation import Conversation
from gateway.models.conversation import Message as ChatMessage
from gateway.models.feedback import NO_FEEDBACK, FeedbackSummary, summarise_feedback
from gateway.models.ids import path_segment
from gateway.models.principal import Principal, Role
from gateway.models.request import RequestRecord
from gateway.models.reviews import Review
from gateway.models.trace import Trace
from gateway.query.filters import METADATA_PREFIX, REQUEST_FILTERS
from gateway.query.readers import Readers
from gateway.query.requests import LoggedRequest, Message
from gateway.query.search import Words
from gateway.query.tail import RequestTail
from gateway.reviews.queue import ReviewQueue
from gateway.ui.filters import (
    ALL_TIME,
    CURSOR,
    LIST_SECONDS,
    MAX_COUNTED,
    PageQuery,
    count_in_time,
    read_number,
)
from gateway.ui.list_columns import ADDED_COLUMN, COLUMNS, column_choices, read_columns, with_column
from gateway.ui.markdown import highlight_json
from gateway.ui.page import Pages
from gateway.web.endpoint import Endpoint, base_url, download_response
from gateway.web.event_stream import last_event_id, send_events
from gateway.wire.curl import curl_command

PAGE_ROWS = 50
TABS = ("conversation", "timeline", "raw", "headers", "feedback")
# Of a longer trace, those around one request.
MAX_BARS = 300
# Of a long conversation, at a time.
MAX_MESSAGES = 30
# After a question so many are shown at once, and more are folded.
_FEW_MESSAGES = 2
# A search says how far back it looked, and goes on from there.
SEARCH_SECONDS = 0.25
# More of a body is offered as a download only.
MAX_SHOWN_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Bar:
    """One request in the timeline of its trace, in percent of the trace's time."""

    record: RequestRecord
    after_us: int
    start: float
    until_first_byte: float
    length: float
    depth: int


@dataclass(frozen=True, slots=True)
class RequestDetail:
    """What the templates show of one request."""

    logged: LoggedRequest
    # None where no body was kept.
    conversation: Conversation | None
    review: Review | None

    @property
    def record(self) -> RequestRecord:
        return self.logged.record

    @property
    def summary(self) -> FeedbackSummary:
        return summarise_feedback(self.logged.feedback)

    def view(self, from_question: bool = False, until: int | None = None) -> "ConversationView":
        """Return the last messages of the request, those from its last question on, or those until a place."""
        messages = () if self.conversation is None else self.conversation.input
        if until is not None:
            return ConversationView.before(messages, min(until, len(messages)))
        return ConversationView.of(messages, from_question)

    @property
    def answer(self) -> str:
        return "" if self.conversation is None else self.conversation.answer


@dataclass(frozen=True, slots=True)
class ConversationView:
    """The messages of a request that a page shows; rendering thousands would take seconds.

    Args:
        older: how many come before all of these.
        folded: those before the ones that are shown at once.
        between: folded too, those after the first that is shown.
        left_out: how many come before the last ones in between.
    """

    older: int
    folded: Sequence[ChatMessage]
    shown: Sequence[ChatMessage]
    between: Sequence[ChatMessage] = ()
    left_out: int = 0

    @classmethod
    def before(cls, messages: Sequence[ChatMessage], end: int) -> "ConversationView":
        start = max(end - MAX_MESSAGES, 0)
        return cls(start, (), messages[start:end])

    @classmethod
    def of(cls, messages: Sequence[ChatMessage], from_question: bool) -> "ConversationView":
        first = _last_question(messages) if from_question else _first_of_last(messages)
        older, following = max(first - MAX_MESSAGES, 0), messages[first:]
        between = following[1:] if from_question and len(following) > _FEW_MESSAGES else ()
        return cls(
            older,
            messages[older:first],
            following[:1] if between else following,
            between[-MAX_MESSAGES:],
            max(len(between) - MAX_MESSAGES, 0),
        )


def _last_question(messages: Sequence[ChatMessage]) -> int:
    places = [place for place, message in enumerate(messages) if message.role == "user" and message.text]
    return places[-1] if places else 0


def _first_of_last(messages: Sequence[ChatMessage]) -> int:
    return len(messages) - 4 if len(messages) > 6 else 0


class RequestPages:
    def __init__(self, pages: Pages, readers: Readers, queue: ReviewQueue, tail: RequestTail) -> None:
        self._pages = pages
        self._readers = readers
        self._queue = queue
        self._tail = tail

    @Endpoint("GET", "/ui/requests", Role.READ, "The page of requests", failures=(400, 503, 504))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        query = PageQuery.read(request, REQUEST_FILTERS, own=("q", "live", COLUMNS, ADDED_COLUMN))
        if (text := query.params.get("q")) is not None:
            return await self._search(request, principal, query, text)
        columns = read_columns(query)
        if (added := query.params.get(ADDED_COLUMN)) is not None:
            raise web.HTTPSeeOther(query.url({COLUMNS: with_column(columns, added), ADDED_COLUMN: None}))
        cursor = _read_cursor(query)
        is_live = cursor is None and query.until is None and query.params.get("live") == "on"
        requests, where, tenant = self._readers.requests, query.where(), principal.tenant
        found, counted = await asyncio.gather(
            requests.find(where, PAGE_ROWS, cursor, tenant, LIST_SECONDS),
            count_in_time(requests.count(where, MAX_COUNTED, tenant)),
        )
        return await self._pages.render(
            request,
            principal,
            "requests.html",
            {
                "query": query,
                "records": found.records,
                "is_empty": not found.records,
                "summaries": found.feedback,
                "no_feedback": NO_FEEDBACK,
                "unknown_keys": found.unknown_keys,
                "searched_from_us": found.searched_from_us,
                "cursor": cursor,
                "next_cursor": found.next_cursor,
                "base_url": base_url(request),
                "is_live": is_live,
                "counted": counted,
                "columns": columns,
                "choices": column_choices(query, columns),
                "metadata_prefix": METADATA_PREFIX,
            },
        )

    async def _search(
        self, request: web.Request, principal: Principal, query: PageQuery, text: str
    ) -> web.Response:
        cursor = _read_cursor(query)
        ids = () if cursor is not None else await self._readers.search.find_ids(text, principal.tenant)
        found = await self._readers.search.find_words(
            Words.parse(text), query.where(), PAGE_ROWS, cursor, principal.tenant, SEARCH_SECONDS
        )
        values = {"query": query, "text": text, "ids": ids, "found": found, "cursor": cursor}
        return await self._pages.render(request, principal, "search.html", values)

    @Endpoint("GET", "/ui/tail", Role.READ, "New requests, for the page", failures=(400, 503))
    async def _follow(self, request: web.Request, principal: Principal) -> web.StreamResponse:
        query = PageQuery.read(request, REQUEST_FILTERS, own=("live",), since=ALL_TIME)
        # New requests meet any time from which the page lists them.
        where = REQUEST_FILTERS.to_filter(query.filters.items())
        listening = self._tail.listen(where, principal.tenant, last_event_id(request, None))
        keys = self._pages.sign_ins.keys
        return await send_events(request, listening, lambda: keys.is_valid(principal, Role.READ))

    @Endpoint(
        "GET", "/ui/requests/{request_id:(?s:.+)}", Role.READ, "The page of a request", failures=(404, 409)
    )
    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        tab = request.query.get("tab", TABS[0])
        if tab not in TABS:
            raise BadInput(f"must be one of {', '.join(TABS)}.", field="tab")
        trace_id = request.query.get("trace_id")
        until = request.query.get("until")
        row = request.query.get("row")
        logged = await self._readers.requests.show(
            request.match_info["request_id"],
            principal.tenant,
            trace_id,
            None if row is None else read_number(row, "row"),
        )
        if (side := request.query.get("raw")) is not None:
            if side not in ("request", "response"):
                raise BadInput("must be request or response.", field="raw")
            return download_response(logged.wire_body(side), f"{side}.bin")
        trace: Trace | None = None
        bars: list[Bar] = []
        if tab == "timeline":
            trace = await self._readers.traces.show(logged.record.trace_id, principal.tenant)
            bars = list(_timeline(trace.requests, logged.record.seq))
        return await self._pages.render(
            request,
            principal,
            "request.html",
            {
                "tab": tab,
                "tabs": TABS,
                "bars": bars,
                "trace": trace,
                "detail": (detail := await read_detail(logged, self._queue)),
                "view": detail.view(until=None if until is None else read_number(until, "until")),
                "is_part": until is not None,
                "receipt": self._readers.receipts.read(logged.record),
                "curl": _curl(request, logged),
                "body_view": body_view,
                "headers_of": headers_of,
            },
        )

    @Endpoint("GET", "/ui/traces/{trace_id:(?s:.+)}", Role.READ, "The page of a trace", failures=(404, 413))
    async def _show_trace(self, request: web.Request, principal: Principal) -> web.Response:
        trace = await self._readers.traces.show(request.match_info["trace_id"], principal.tenant)
        return await self._pages.render(
            request,
            principal,
            "trace.html",
            {
                "trace": trace,
                "bars": list(_timeline(trace.requests)),
                "no_feedback": NO_FEEDBACK,
            },
        )


async def read_detail(logged: LoggedRequest, queue: ReviewQueue) -> RequestDetail:
    """Return a request with its conversation and review."""
    conversation = await asyncio.to_thread(_conversation, logged)
    reviews = await queue.reviews_of([logged.record])
    return RequestDetail(logged, conversation, reviews.get(logged.record.seq))


def _curl(request: web.Request, logged: LoggedRequest) -> str | None:
    asked = logged.request
    if asked is None or asked.is_truncated:
        return None
    url = base_url(request) + logged.record.path
    return curl_command(logged.record.method, url, asked.headers, asked.body)


def _conversation(logged: LoggedRequest) -> Conversation | None:
    return None if logged.request is None and logged.response is None else logged.conversation()


def body_view(message: Message) -> tuple[Markup | str, str]:
    """Return a body to read, and how it was changed for that; empty where it is shown as sent."""
    shown = message.body[:MAX_SHOWN_BYTES]
    notes = [] if message.body == message.wire_body else ["unpacked"]
    if len(shown) < len(message.body):
        notes.append(f"the first {MAX_SHOWN_BYTES // 1024} KiB")
    text = shown.decode(errors="replace")
    if len(shown) == len(message.body) and (indented := _indent_json(message.body)) is not None:
        return highlight_json(indented), ", ".join([*notes, "indented"])
    return text, ", ".join(notes)


def _indent_json(body: bytes) -> str | None:
    try:
        return json.dumps(orjson.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def headers_of(message: Message) -> list[tuple[str, str]]:
    """Return headers as text, in the order in which they came."""
    return [(name.decode("latin-1"), value.decode("utf-8", "replace")) for name, value in message.headers]


def _read_cursor(query: PageQuery) -> int | None:
    text = query.params.get(CURSOR)
    return None if text is None else read_number(text)


def request_url(record: RequestRecord) -> str:
    """Return the page of a request."""
    request_id, trace_id = path_segment(record.request_id), quote(record.trace_id, safe="")
    return f"/ui/requests/{request_id}?trace_id={trace_id}&row={record.seq}"


def _timeline(records: tuple[RequestRecord, ...], seq: int | None = None) -> Iterator[Bar]:
    begin = min((record.started_at_us for record in records), default=0)
    total = max((record.ended_at_us for record in records), default=1) - begin or 1
    spans = {record.span_id: record for record in records if record.span_id}
    place = next((at for at, record in enumerate(records) if record.seq == seq), 0)
    first = max(0, min(place - MAX_BARS // 2, len(records) - MAX_BARS))
    for record in records[first : first + MAX_BARS]:
        first_byte = record.first_byte_at_us or record.ended_at_us
        yield Bar(
            record,
            record.started_at_us - begin,
            100 * (record.started_at_us - begin) / total,
            100 * (first_byte - record.started_at_us) / total,
            100 * (record.ended_at_us - record.started_at_us) / total,
            _depth(record, spans),
        )


def _depth(record: RequestRecord, spans: dict[str, RequestRecord]) -> int:
    depth, seen = 0, {record.span_id}
    parent = record.parent_span_id
    while parent is not None and parent not in seen:
        seen.add(parent)
        depth += 1
        parent = spans[parent].parent_span_id if parent in spans else None
    return depth
