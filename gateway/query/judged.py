"""JudgedRequests: logged requests with the verdicts that stand, in any order, and with their bodies if asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.domain.feedback import Feedback, Kind
from gateway.domain.filter import Filter, Page, Sort
from gateway.domain.request import RequestRecord
from gateway.errors import NotFound, TooLarge
from gateway.query.requests import LoggedRequest, find_record, read_back
from gateway.store.base import RequestQueries

MAX_BODY_BYTES = 64 * 1024 * 1024
"""How much of bodies is read for one answer, unpacked; more is refused, never cut."""

Place = tuple[str | None, str | None, str | None]
"""Tenant, trace id and request id, by which verdicts find their request."""


@dataclass(frozen=True, slots=True)
class JudgedRequest:
    """A logged request and what was said of it last.

    Args:
        thumb: the thumb given last, whoever gave it.
        scores: the value given last for each metric.
    """

    record: RequestRecord
    thumb: Feedback | None = None
    scores: Mapping[str, float] = field(default_factory=dict)


class JudgedRequests:
    """Answers questions about requests and the verdicts on them.

    A tenant of None sees every row, any other its own alone.
    """

    def __init__(self, store: RequestQueries) -> None:
        self._store = store

    async def find(self, where: Filter, sort: Sort, page: Page, tenant: str | None) -> list[JudgedRequest]:
        """Return one page of the matching requests."""
        return await self._judged(await self._store.find_requests(where, sort, page, tenant), tenant)

    async def find_one(self, any_id: str, tenant: str | None) -> JudgedRequest:
        """Return the request that our request id or its provider's response id names.

        Raises:
            NotFound: this caller may see no such request.
            Ambiguous: the id names several requests.
        """
        record = await find_record(self._store, any_id, tenant)
        if record is None:
            raise NotFound("Request not found")
        [judged] = await self._judged([record], tenant)
        return judged

    async def read_bodies(self, found: Sequence[JudgedRequest]) -> list[LoggedRequest]:
        """Return what was kept of these requests' messages, in order.

        Raises:
            TooLarge: that is more than is read at once.
        """
        logged = []
        left = MAX_BODY_BYTES
        for judged in found:
            payload = await self._store.payload(judged.record.seq)
            # A long body takes long to read, and other callers' streams go through this thread.
            one = await asyncio.to_thread(read_back, judged.record, payload, ())
            left -= _size_bytes(one)
            if left < 0:
                raise TooLarge(
                    f"the bodies of these requests are longer than {MAX_BODY_BYTES:,} bytes.",
                    hint="Ask for fewer at a time.",
                )
            logged.append(one)
        return logged

    async def _judged(self, records: Sequence[RequestRecord], tenant: str | None) -> list[JudgedRequest]:
        request_ids = list({record.request_id: None for record in records})
        thumbs: dict[Place, Feedback] = {}
        scores: dict[Place, dict[str, float]] = {}
        for entry in await self._store.latest_verdicts(request_ids, tenant) if request_ids else []:
            place = entry.tenant, entry.trace_id, entry.request_id
            if entry.kind is Kind.THUMB:
                thumbs[place] = entry
            elif entry.metric is not None and entry.value is not None:
                scores.setdefault(place, {})[entry.metric] = entry.value
        return [
            JudgedRequest(record, thumbs.get(place), scores.get(place, {}))
            for record in records
            for place in [(record.tenant, record.trace_id, record.request_id)]
        ]


def _size_bytes(logged: LoggedRequest) -> int:
    return sum(len(message.body) for message in (logged.request, logged.response) if message is not None)
