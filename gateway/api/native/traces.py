"""`/api/v1/traces`: what happened under one trace id, what it took, and what was said about it."""

from __future__ import annotations

from aiohttp import web

from gateway.api.native.filters import read_group_search
from gateway.api.native.groups import TraceListReply
from gateway.api.native.parameters import TRACE_PARAMETERS
from gateway.api.native.replies import reply
from gateway.api.native.shapes import TraceReply
from gateway.domain.principal import Principal, Role
from gateway.query import TraceReader
from gateway.web.face import Endpoint
from gateway.web.query_string import refuse_unknown


class TraceEndpoints:
    """Handlers of the traces' paths."""

    def __init__(self, traces: TraceReader) -> None:
        self._traces = traces

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/traces",
                handler=self._find,
                role=Role.READ,
                summary="Find traces",
                description="Those of which at least one request meets all conditions, each with the figures of "
                "all its requests. Newest first; walking from cursor to cursor meets each trace once, while "
                "requests are added.",
                parameters=TRACE_PARAMETERS,
                reply=TraceListReply,
                failures=(400, 503, 504),
            ),
            Endpoint(
                method="GET",
                # Ids may hold slashes. One at the very end has to be sent as %2F.
                path="/api/v1/traces/{trace_id:.*[^/]}",
                handler=self._show,
                role=Role.READ,
                summary="Read one trace",
                description="Its requests, all feedback on it and on them, and the feedback as one figure. "
                "A trace with feedback but no request yet is shown too. Percent-encode the id.",
                reply=TraceReply,
                failures=(400, 404, 413, 503, 504),
            ),
        )

    async def _find(self, request: web.Request, principal: Principal) -> web.Response:
        search = read_group_search(request.query.items())
        found = await self._traces.find(search.where, search.limit, search.after, principal.tenant)
        return reply(TraceListReply.of(found))

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        refuse_unknown(request.query, ())
        trace = await self._traces.show(request.match_info["trace_id"], principal.tenant)
        return reply(TraceReply.of(trace))
