"""Traces and sessions: list them, page through them, and read one with its feedback."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.errors import NotFound, TooLarge
from gateway.models.feedback import Feedback, FeedbackSummary, summarise_scores
from gateway.models.filters import AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.request import RequestRecord
from gateway.models.trace import GroupCursor, GroupField, RequestGroup, Session, Trace
from gateway.query.feedback import latest_feedback_on_requests, list_feedback_on_requests
from gateway.query.requests import find_unknown_request_keys
from gateway.store.base import Queries

OLDEST_REQUESTS_FIRST = Sort("started_at_us", descending=False)

# Most requests of one trace or session; with more the call is refused, since a part would give wrong sums.
MAX_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class GroupSlice:
    """A page of groups, by their newest request; `next_cursor` is None on the last page."""

    groups: tuple[RequestGroup, ...]
    next_cursor: GroupCursor | None
    unknown_keys: tuple[str, ...] = ()


class _GroupReader:
    _by: GroupField

    def __init__(self, store: Queries) -> None:
        self._store = store

    async def find(
        self, where: Filter, limit: int, after: GroupCursor | None, tenant: str | None
    ) -> GroupSlice:
        """Return groups of which a request matches, newest first. Rows added meanwhile shift no page."""
        found = await self._store.newest_groups(self._by, where, after, limit + 1, tenant)
        if not found and after is None:
            return GroupSlice((), None, await find_unknown_request_keys(self._store, where, tenant))
        groups = tuple(found[:limit])
        return GroupSlice(groups, groups[-1].place if len(found) > limit else None)

    async def _list_requests(self, name: str, tenant: str | None) -> tuple[RequestRecord, ...]:
        of_group, page = Comparison(self._by, Op.EQ, name), Page(MAX_REQUESTS + 1)
        found = await self._store.find_requests(of_group, OLDEST_REQUESTS_FIRST, page, tenant)
        if len(found) > MAX_REQUESTS:
            raise TooLarge(f"it holds more than {MAX_REQUESTS:,} requests.", hint=f"List them by {self._by}.")
        return tuple(found)


class TraceReader(_GroupReader):
    _by = GroupField.TRACE

    async def show(self, trace_id: str, tenant: str | None) -> Trace:
        """Return requests and feedback, oldest first. Raises NotFound, TooLarge."""
        requests = await self._list_requests(trace_id, tenant)
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


@dataclass(frozen=True, slots=True)
class SessionPart:
    """Some requests of a session.

    Args:
        group: sums of the whole session.
        feedback: the newest on these requests.
        feedback_on: summaries of it, by `seq`.
    """

    group: RequestGroup
    feedback: tuple[Feedback, ...]
    feedback_on: Mapping[int, FeedbackSummary]


class SessionReader(_GroupReader):
    _by = GroupField.SESSION

    async def show_part(
        self, session: str, records: Sequence[RequestRecord], most_feedback: int, tenant: str | None
    ) -> SessionPart:
        """Return a session without reading all of its requests, however many it has. Raises NotFound."""
        of_session = Comparison(self._by, Op.EQ, session)
        groups = await self._store.newest_groups(self._by, of_session, None, 1, tenant)
        if not groups:
            raise NotFound(f"there is no session {session!r}.", field="session")
        feedback = await latest_feedback_on_requests(self._store, records, most_feedback, tenant)
        feedback_on = await self._store.feedback_summaries([record.seq for record in records])
        return SessionPart(groups[0], feedback, feedback_on)

    async def show(self, session: str, tenant: str | None) -> Session:
        """Return requests and feedback, oldest first. Raises NotFound, TooLarge."""
        requests = await self._list_requests(session, tenant)
        if not requests:
            raise NotFound(f"there is no session {session!r}.", field="session")
        # An empty AnyOf matches nothing: only entries that count for one of these requests count here.
        shown = await list_feedback_on_requests(self._store, requests, AnyOf(), tenant)
        feedback_on = await self._store.feedback_summaries([record.seq for record in requests])
        return Session(
            session=session,
            requests=requests,
            feedback=shown.entries,
            score=summarise_scores(shown.counted),
            feedback_on=feedback_on,
        )
