"""Judged: what an entry is about, as traces are told apart where they are shown."""

from __future__ import annotations

from typing import Protocol

from gateway.domain.exchange import NOTHING_OMITTED, PayloadPolicy, was_proxied
from gateway.domain.feedback import Feedback, Target
from gateway.domain.filter import All, Filter, Is, Not, Op, Page, Sort
from gateway.domain.request import RequestRecord
from gateway.store.base import FeedbackStore, RequestQueries
from gateway.telemetry.attributes import trace_of
from gateway.telemetry.judgement import Judgement, is_verdict, judgement_of
from gateway.telemetry.receivers import NotThere

MOST_REQUESTS = 50
"""Of more requests together it is not looked whether all are kept whole, and no word of their feedback is told."""

_FIRST = Sort("started_at_us", descending=False)


class JudgedStore(RequestQueries, FeedbackStore, Protocol):
    """What this needs of a store."""


class Judged:
    """Finds what is told of an entry.

    Args:
        store: has the entry's latest version, and the requests that it is about.
        has_text: whether words of voters may be told where the requests that they judge are kept whole.
    """

    def __init__(self, store: JudgedStore, *, has_text: bool) -> None:
        self._store = store
        self._has_text = has_text

    async def find(self, told: Feedback) -> tuple[Judgement, bool] | None:
        """Return what is told of the latest version of an entry, and whether it was withdrawn; None if nothing is.

        What waited for its request may have been joined to it since.

        Raises:
            NotThere: it is not known yet what it is about.
            StoreUnavailable
        """
        stored = await self._store.feedback_by_ids([told.feedback_id])
        entry = stored[0] if stored else told
        is_withdrawn = entry.deleted_at_us is not None
        # One that is in the store no more was deleted for good, or erased with its author.
        if not is_verdict(entry) or not (stored or is_withdrawn):
            return None
        if entry.joined_at_us is None and entry.target is not Target.TRACE:
            if is_withdrawn:
                return None
            raise NotThere("nothing of that name is logged")
        records = await self._requests(entry)
        if records and not any(was_proxied(record.path) for record in records):
            # They went elsewhere, and no span was made of them.
            return None
        span_id, trace_id = entry.request_id, trace_of(entry)
        if span_id is not None and records:
            span_id = records[-1].span_id or span_id
        if entry.target is Target.SESSION and records:
            trace_id = records[0].trace_id
        has_text = bool(entry.label or entry.comment) and await self._may_tell_text(entry, records)
        return judgement_of(entry, trace_id, span_id, has_text=has_text), is_withdrawn

    async def _requests(self, entry: Feedback) -> list[RequestRecord]:
        where = _requests_of(entry)
        if where is None:
            return []
        return await self._store.find_requests(where, _FIRST, Page(MOST_REQUESTS), entry.tenant)

    async def _may_tell_text(self, entry: Feedback, records: list[RequestRecord]) -> bool:
        where = _requests_of(entry)
        if not self._has_text or where is None or not 0 < len(records) < MOST_REQUESTS:
            return False
        kept_in_part = All((where, Not(Is("payloads", Op.EQ, PayloadPolicy.FULL.value))))
        if await self._store.find_requests(kept_in_part, _FIRST, Page(1), None):
            return False
        for record in records:
            payload = await self._store.payload(record.seq)
            if payload is None or payload.omission != NOTHING_OMITTED:
                return False
        return True


def _requests_of(entry: Feedback) -> Filter | None:
    """The requests that an entry is about; None while none is known."""
    if entry.joined_at_us is None:
        return None
    if entry.target is Target.SESSION:
        return Is("session", Op.EQ, entry.session)
    trace = Is("trace_id", Op.EQ, entry.trace_id)
    return All((trace, Is("request_id", Op.EQ, entry.request_id))) if entry.request_id else trace
