"""`/api/v1/sessions`: conversations and agent runs, what they took, and what was said about them."""

from __future__ import annotations

from aiohttp import web

from gateway.api.native.filters import read_group_search
from gateway.api.native.groups import SessionListReply
from gateway.api.native.parameters import SESSION_PARAMETERS
from gateway.api.native.replies import reply
from gateway.api.native.shapes import SessionReply
from gateway.domain.principal import Principal, Role
from gateway.query import SessionReader
from gateway.web.face import Endpoint
from gateway.web.query_string import refuse_unknown


class SessionEndpoints:
    """Handlers of the sessions' paths."""

    def __init__(self, sessions: SessionReader) -> None:
        self._sessions = sessions

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/sessions",
                handler=self._find,
                role=Role.READ,
                summary="Find sessions",
                description="Those of which at least one request meets all conditions, each with the figures of "
                "all its requests. Newest first; walking from cursor to cursor meets each session once, while "
                "requests are added.",
                parameters=SESSION_PARAMETERS,
                reply=SessionListReply,
                failures=(400, 503, 504),
            ),
            Endpoint(
                method="GET",
                # Names may hold slashes. One at the very end has to be sent as %2F.
                path="/api/v1/sessions/{session:.*[^/]}",
                handler=self._show,
                role=Role.READ,
                summary="Read one session",
                description="Its requests and traces, all feedback on it and on them, and what counts for "
                "them as one figure. Percent-encode the name.",
                reply=SessionReply,
                failures=(400, 404, 413, 503, 504),
            ),
        )

    async def _find(self, request: web.Request, principal: Principal) -> web.Response:
        search = read_group_search(request.query.items())
        found = await self._sessions.find(search.where, search.limit, search.after, principal.tenant)
        return reply(SessionListReply.of(found))

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        refuse_unknown(request.query, ())
        session = await self._sessions.show(request.match_info["session"], principal.tenant)
        return reply(SessionReply.of(session))
