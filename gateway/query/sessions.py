"""SessionReader: find sessions, and see the requests of one and what was said about them together."""

from __future__ import annotations

from gateway.domain.feedback import summarise
from gateway.domain.filter import Any, Filter
from gateway.domain.group import GroupedBy, Place
from gateway.domain.trace import Session
from gateway.errors import NotFound
from gateway.query.feedback import find_feedback_on
from gateway.query.groups import GroupSlice, GroupStore, find_groups, requests_of

NO_OTHERS = Any()
"""What holds of no entry."""


class SessionReader:
    """Answers questions about sessions. A tenant of None sees every row, any other its own alone."""

    def __init__(self, store: GroupStore) -> None:
        self._store = store

    async def find(self, where: Filter, limit: int, after: Place | None, tenant: str | None) -> GroupSlice:
        """Return the sessions of which a request matches, the newest first, or those that follow `after`."""
        return await find_groups(self._store, GroupedBy.SESSION, where, limit, after, tenant)

    async def show(self, session: str, tenant: str | None) -> Session:
        """Return a session: requests in the order they started, and the feedback on it, on its traces and on its
        requests in the order it was given. The score is that of the entries that count for these requests.

        Raises:
            NotFound: this caller may see no request of that session.
            TooLarge: it holds more than can be shown together.
        """
        requests = await requests_of(self._store, GroupedBy.SESSION, session, tenant)
        if not requests:
            raise NotFound(f"there is no session {session!r}.", field="session")
        shown = await find_feedback_on(self._store, requests, NO_OTHERS, tenant)
        feedback_on = await self._store.feedback_summaries([record.seq for record in requests])
        return Session(session, requests, shown.entries, summarise(shown.counted), feedback_on)
