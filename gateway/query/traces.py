"""TraceReader: the requests of a trace and what was said about them, seen together."""

from __future__ import annotations

from gateway.domain.feedback import summarise
from gateway.domain.filter import Is, Op, Page, Sort
from gateway.domain.trace import Trace
from gateway.errors import NotFound, TooLarge
from gateway.query.requests import find_feedback
from gateway.store.base import RequestQueries

OLDEST_FIRST = Sort("started_at_us", descending=False)

MAX_REQUESTS = 10_000
"""Most requests of a trace that are shown together; more are refused, never cut."""


class TraceReader:
    """Answers questions about traces. A tenant of None sees every row, any other its own alone."""

    def __init__(self, store: RequestQueries) -> None:
        self._store = store

    async def show(self, trace_id: str, tenant: str | None) -> Trace:
        """Return a trace: requests in the order they started, feedback in the order it was given.

        Feedback on the trace and on any of its requests counts, also where no request has been logged yet.

        Raises:
            NotFound: this caller may see neither a request nor feedback of that trace.
            TooLarge: it holds more than can be shown together.
        """
        of_trace = Is("trace_id", Op.EQ, trace_id)
        page = Page(MAX_REQUESTS + 1)
        requests = await self._store.find_requests(of_trace, OLDEST_FIRST, page, tenant)
        if len(requests) > MAX_REQUESTS:
            raise TooLarge(
                f"the trace holds more than {MAX_REQUESTS:,} requests.", hint="List them by trace_id."
            )
        feedback = await find_feedback(self._store, of_trace, tenant)
        if not requests and not feedback:
            raise NotFound(f"there is no trace {trace_id!r}.", field="trace_id")
        return Trace(trace_id, tuple(requests), feedback, summarise(list(feedback)))
