"""JudgedRequests: logged requests with the verdicts that stand, in any order, and with their bodies if asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.domain.feedback import Feedback, Kind, Target
from gateway.domain.filter import Filter, Page, Sort
from gateway.domain.request import RequestRecord
from gateway.errors import NotFound, TooLarge
from gateway.query.requests import LoggedRequest, find_record, read_back
from gateway.store.base import RequestQueries

MAX_BODY_BYTES = 64 * 1024 * 1024
"""How much of bodies is read for one answer, unpacked; more is refused, never cut."""

Subject = tuple[Target, str | None, str | None, str | None]
"""What verdicts are about: a request by its trace id and request id, a trace, or a session, each of a tenant."""


@dataclass(frozen=True, slots=True)
class JudgedRequest:
    """A logged request and what was said last of it, its trace or its session.

    Args:
        rating: the entry given last that says good or bad, whoever gave it, in whatever dialect.
        scores: the value given last for each metric.
    """

    record: RequestRecord
    rating: Feedback | None = None
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
        said: dict[Subject, list[tuple[int, Feedback]]] = {}
        latest = await self._store.latest_verdicts(records, tenant) if records else []
        for place, entry in enumerate(latest):
            said.setdefault(_subject_of(entry), []).append((place, entry))
        return [_judge(record, said) for record in records]


def _judge(record: RequestRecord, said: Mapping[Subject, Sequence[tuple[int, Feedback]]]) -> JudgedRequest:
    rating: Feedback | None = None
    scores: dict[str, float] = {}
    found = (entry for subject in _subjects_of(record) for entry in said.get(subject, ()))
    for _, entry in sorted(found, key=lambda placed: placed[0]):
        if entry.kind is not Kind.SCORE or entry.metric is None:
            rating = entry
        elif entry.value is not None:
            scores[entry.metric] = entry.value
    return JudgedRequest(record, rating, scores)


def _subject_of(entry: Feedback) -> Subject:
    name = entry.session if entry.target is Target.SESSION else entry.trace_id
    return entry.target, entry.tenant, name, entry.request_id


def _subjects_of(record: RequestRecord) -> tuple[Subject, ...]:
    return (
        (Target.REQUEST, record.tenant, record.trace_id, record.request_id),
        (Target.TRACE, record.tenant, record.trace_id, None),
        (Target.SESSION, record.tenant, record.session, None),
    )


def _size_bytes(logged: LoggedRequest) -> int:
    return sum(len(message.body) for message in (logged.request, logged.response) if message is not None)
