"""TraceReader: find traces, and see the requests of one and what was said about them together."""

from __future__ import annotations

from gateway.domain.feedback import summarise
from gateway.domain.filter import Filter, Is, Op
from gateway.domain.group import GroupedBy, Place
from gateway.domain.trace import Trace
from gateway.errors import NotFound
from gateway.query.feedback import find_feedback_on
from gateway.query.groups import GroupSlice, GroupStore, find_groups, requests_of


class TraceReader:
    """Answers questions about traces. A tenant of None sees every row, any other its own alone."""

    def __init__(self, store: GroupStore) -> None:
        self._store = store

    async def find(self, where: Filter, limit: int, after: Place | None, tenant: str | None) -> GroupSlice:
        """Return the traces of which a request matches, the newest first, or those that follow `after`."""
        return await find_groups(self._store, GroupedBy.TRACE, where, limit, after, tenant)

    async def show(self, trace_id: str, tenant: str | None) -> Trace:
        """Return a trace: requests in the order they started, feedback in the order it was given.

        Feedback on the trace and on any of its requests counts, also where no request has been logged yet. That on
        a session of its requests is shown, and counts if it does for one of them.

        Raises:
            NotFound: this caller may see neither a request nor feedback of that trace.
            TooLarge: it holds more than can be shown together.
        """
        requests = await requests_of(self._store, GroupedBy.TRACE, trace_id, tenant)
        own = Is("trace_id", Op.EQ, trace_id)
        shown = await find_feedback_on(self._store, requests, own, tenant)
        if not requests and not shown.entries:
            raise NotFound(f"there is no trace {trace_id!r}.", field="trace_id")
        feedback_on = await self._store.feedback_summaries([record.seq for record in requests])
        return Trace(trace_id, requests, shown.entries, summarise(shown.counted), feedback_on)
