"""Traces and sessions: list them, page through them, and read one with its feedback."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.errors import NotFound, TooLarge
from gateway.models.feedback import summarise_scores
from gateway.models.filters import AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import RequestRecord
from gateway.models.trace import GroupCursor, GroupField, RequestGroup, Session, Trace
from gateway.query.feedback import list_feedback_on_requests
from gateway.query.requests import find_unknown_request_keys
from gateway.store.base import Queries

OLDEST_REQUESTS_FIRST = Sort("started_at_us", descending=False)

MAX_REQUESTS = 10_000
"""Most requests of a trace or session that are shown together; more are refused, never cut."""


@dataclass(frozen=True, slots=True)
class GroupSlice:
    """Some of the groups found, that of the newest request first.

    Args:
        next_place: where the next slice begins; None where this one is the last.
        unknown_keys: where nothing was found, the criteria on keys of metadata that nothing has.
    """

    groups: tuple[RequestGroup, ...]
    next_cursor: GroupCursor | None
    unknown_keys: tuple[str, ...] = ()


async def find_groups(
    store: Queries,
    by: GroupField,
    where: Filter,
    limit: int,
    after: GroupCursor | None,
    tenant: str | None,
) -> GroupSlice:
    """Return the groups of which a request matches, or those that follow `after`.

    Walking from slice to slice meets each group that was there at the start once, while rows are added.
    """
    found = await store.newest_groups(by, where, after, limit + 1, tenant)
    if not found and after is None:
        return GroupSlice((), None, await find_unknown_request_keys(store, where, tenant))
    groups = tuple(found[:limit])
    return GroupSlice(groups, groups[-1].place if len(found) > limit else None)


async def list_group_requests(
    store: Queries, by: GroupField, name: str, tenant: str | None
) -> tuple[RequestRecord, ...]:
    """Return the requests of a group in the order they started. Raises TooLarge above `MAX_REQUESTS`."""
    found = await store.find_requests(
        Comparison(by, Op.EQ, name), OLDEST_REQUESTS_FIRST, Page(MAX_REQUESTS + 1), tenant
    )
    if len(found) > MAX_REQUESTS:
        raise TooLarge(f"it holds more than {MAX_REQUESTS:,} requests.", hint=f"List them by {by}.")
    return tuple(found)


class TraceReader:
    """Answers questions about traces. A tenant of None sees every row, any other its own alone."""

    def __init__(self, store: Queries) -> None:
        self._store = store

    async def find(
        self, where: Filter, limit: int, after: GroupCursor | None, tenant: str | None
    ) -> GroupSlice:
        """Return the traces of which a request matches, the newest first, or those that follow `after`."""
        return await find_groups(self._store, GroupField.TRACE, where, limit, after, tenant)

    async def show(self, trace_id: str, tenant: str | None) -> Trace:
        """Return a trace: requests in the order they started, feedback in the order it was given.

        Feedback on the trace and on any of its requests counts, also where no request has been logged yet. That on
        a session of its requests is shown, and counts if it does for one of them.

        Raises:
            NotFound: this caller may see neither a request nor feedback of that trace.
            TooLarge: it holds more than can be shown together.
        """
        requests = await list_group_requests(self._store, GroupField.TRACE, trace_id, tenant)
        own = Comparison("trace_id", Op.EQ, trace_id)
        shown = await list_feedback_on_requests(self._store, requests, own, tenant)
        if not requests and not shown.entries:
            raise NotFound(f"there is no trace {trace_id!r}.", field="trace_id")
        feedback_on = await self._store.feedback_summaries([record.seq for record in requests])
        return Trace(
            trace_id=trace_id,
            requests=requests,
            feedback=shown.entries,
            score=summarise_scores(shown.counted),
            feedback_on=feedback_on,
        )


NO_OTHER_FEEDBACK = AnyOf()
"""What holds of no entry."""


class SessionReader:
    """Answers questions about sessions. A tenant of None sees every row, any other its own alone."""

    def __init__(self, store: Queries) -> None:
        self._store = store

    async def find(
        self, where: Filter, limit: int, after: GroupCursor | None, tenant: str | None
    ) -> GroupSlice:
        """Return the sessions of which a request matches, the newest first, or those that follow `after`."""
        return await find_groups(self._store, GroupField.SESSION, where, limit, after, tenant)

    async def show(self, session: str, tenant: str | None) -> Session:
        """Return a session: requests in the order they started, and the feedback on it, on its traces and on its
        requests in the order it was given. The score is that of the entries that count for these requests.

        Raises:
            NotFound: this caller may see no request of that session.
            TooLarge: it holds more than can be shown together.
        """
        requests = await list_group_requests(self._store, GroupField.SESSION, session, tenant)
        if not requests:
            raise NotFound(f"there is no session {session!r}.", field="session")
        shown = await list_feedback_on_requests(self._store, requests, NO_OTHER_FEEDBACK, tenant)
        feedback_on = await self._store.feedback_summaries([record.seq for record in requests])
        return Session(
            session=session,
            requests=requests,
            feedback=shown.entries,
            score=summarise_scores(shown.counted),
            feedback_on=feedback_on,
        )
