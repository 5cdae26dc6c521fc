"""`/api/v1/requests`: the log, row by row or one request with all that was kept of it."""

from __future__ import annotations

from aiohttp import web

from gateway.api.native.filters import read_search
from gateway.api.native.parameters import SEARCH_PARAMETERS
from gateway.api.native.replies import PRIVATE, reply
from gateway.api.native.shapes import ListReply, LoggedRequestReply
from gateway.domain.principal import Principal, Role
from gateway.errors import BadInput, NotFound
from gateway.query import RequestReader
from gateway.web.face import Endpoint, Parameter
from gateway.web.query_string import refuse_unknown

RAW = Parameter(
    "raw",
    "Return only this body, as a download of the bytes that went over the wire, content-encoding included.",
    {"type": "string", "enum": ["request", "response"]},
)

TRACE_ID = Parameter("trace_id", "The trace that the request is in, where several requests share its id.")


class RequestEndpoints:
    """Handlers of the log's paths."""

    def __init__(self, requests: RequestReader) -> None:
        self._requests = requests

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        return (
            Endpoint(
                method="GET",
                path="/api/v1/requests",
                handler=self._find,
                role=Role.READ,
                summary="Find logged requests",
                description="All conditions must hold. Newest first; walking from cursor to cursor meets "
                "each row once, while new ones are added.",
                parameters=SEARCH_PARAMETERS,
                reply=ListReply,
                failures=(400, 503, 504),
            ),
            Endpoint(
                method="GET",
                # Ids may hold slashes. One at the very end has to be sent as %2F.
                path="/api/v1/requests/{request_id:.*[^/]}",
                handler=self._show,
                role=Role.READ,
                summary="Read one request",
                description="By our request id or the provider's id of its response; percent-encode it. An id "
                "that several requests share is refused, and the reply names them.",
                parameters=(RAW, TRACE_ID),
                reply=LoggedRequestReply,
                failures=(400, 404, 409, 503, 504),
            ),
        )

    async def _find(self, request: web.Request, principal: Principal) -> web.Response:
        search = read_search(request.query.items())
        found = await self._requests.find(search.where, search.limit, search.after, principal.tenant)
        return reply(ListReply.of(found))

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        refuse_unknown(request.query, [RAW.name, TRACE_ID.name])
        side = request.query.get(RAW.name)
        if side not in (None, "request", "response"):
            raise BadInput("must be request or response.", field=RAW.name)
        trace_id = request.query.get(TRACE_ID.name)
        logged = await self._requests.show(request.match_info["request_id"], principal.tenant, trace_id)
        if side is None:
            return reply(LoggedRequestReply.of_logged(logged))
        message = logged.request if side == "request" else logged.response
        if message is None:
            raise NotFound("no payload was kept of this request.", field=RAW.name)
        return _download(message.wire_body, f"{side}.bin")


def _download(body: bytes, filename: str) -> web.Response:
    """Bytes of strangers: never to be shown or run as what they claim to be."""
    return web.Response(
        body=body,
        content_type="application/octet-stream",
        headers={**PRIVATE, "Content-Disposition": f'attachment; filename="{filename}"'},
    )
