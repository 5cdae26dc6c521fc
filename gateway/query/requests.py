"""RequestReader: find logged requests, and read one back with all that is known of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.domain.exchange import RawHeaders
from gateway.domain.feedback import Feedback, FeedbackSummary, Target
from gateway.domain.filter import All, Filter, Is, Op, Page, Sort
from gateway.domain.request import Payload, RequestRecord
from gateway.domain.subject import only_subject
from gateway.errors import NotFound
from gateway.query.feedback import about, find_feedback
from gateway.query.metadata_keys import unknown_keys
from gateway.query.search import REQUESTS
from gateway.store.base import RequestQueries
from gateway.wire import reassemble
from gateway.wire.content import decode, header_value

NEWEST_FIRST = Sort("seq", descending=True)


@dataclass(frozen=True, slots=True)
class Slice:
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

    def __init__(self, store: RequestQueries) -> None:
        self._store = store

    async def find(self, where: Filter, limit: int, cursor: int | None, tenant: str | None) -> Slice:
        """Return the newest matching requests, or those that follow `cursor`.

        Walking from cursor to cursor meets each row that was there at the start once, while rows are added.
        """
        following = where if cursor is None else All((where, Is("seq", Op.LT, cursor)))
        found = await self._store.find_requests(following, NEWEST_FIRST, Page(limit + 1), tenant)
        if not found and cursor is None:
            return Slice((), None, unknown_keys=await unknown_keys_of(self._store, where, tenant))
        records = tuple(found[:limit])
        feedback = await self._store.feedback_summaries([record.seq for record in records])
        return Slice(records, records[-1].seq if len(found) > limit else None, feedback)

    async def show(self, any_id: str, tenant: str | None, trace_id: str | None = None) -> LoggedRequest:
        """Return the request that our request id or its provider's response id names.

        Args:
            trace_id: the trace that it is in, if the caller says so.

        Raises:
            NotFound: this caller may see no such request.
            Ambiguous: the id names several requests.
        """
        record = await find_record(self._store, any_id, tenant, trace_id)
        if record is None:
            raise NotFound(f"no request has the id {any_id!r}.", field="request_id")
        payload = await self._store.payload(record.seq)
        feedback = await find_feedback(self._store, about(record), tenant)
        # A long body takes long to read, and other callers' streams go through this thread.
        return await asyncio.to_thread(read_back, record, payload, feedback)


async def unknown_keys_of(store: RequestQueries, where: Filter, tenant: str | None) -> tuple[str, ...]:
    """Return the criteria of a search for requests that are on keys of metadata which nothing of its time has."""

    async def exists(condition: Filter) -> bool:
        return bool(await store.find_requests(condition, NEWEST_FIRST, Page(1), tenant))

    return await unknown_keys(REQUESTS, where, exists)


async def find_record(
    store: RequestQueries, any_id: str, tenant: str | None, trace_id: str | None = None
) -> RequestRecord | None:
    """Return the latest row of the request that an id names; None where this caller may see no such request.

    Raises:
        Ambiguous: the id names several requests.
    """
    named = await store.resolve([any_id], tenant, Target.REQUEST, trace_id)
    subject = only_subject(any_id, named.get(any_id, ()), field="request_id")
    if subject is None:
        return None
    found = await store.find_requests(Is("seq", Op.EQ, subject.seq), NEWEST_FIRST, Page(1), tenant)
    return found[0] if found else None


def read_back(
    record: RequestRecord, payload: Payload | None, feedback: tuple[Feedback, ...]
) -> LoggedRequest:
    """Make readable what was kept of a request: bodies decoded, a stream put together."""
    if payload is None:
        return LoggedRequest(record, None, None, None, feedback)
    request = response = reassembled = None
    if not payload.omission.request:
        request = _message(
            payload.request_headers, payload.request_body, record.request_size, payload.request_truncated
        )
    if not payload.omission.response:
        response = _message(
            payload.response_headers, payload.response_body, record.response_size, payload.response_truncated
        )
        content_type = header_value(response.headers, b"content-type")
        reassembled = reassemble(record.endpoint, content_type, response.body)
    return LoggedRequest(record, request, response, reassembled, feedback)


def _message(headers: RawHeaders, wire_body: bytes, size_bytes: int, is_cut: bool) -> Message:
    decoded = decode(wire_body, headers)
    if not decoded.data:
        return Message(headers, wire_body, wire_body, size_bytes, is_cut)
    return Message(headers, wire_body, decoded.data, size_bytes, is_cut or not decoded.is_complete)
