"""`/api/v1/requests`: the log, row by row or one request with all that was kept of it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from aiohttp import web

from gateway.api.native.filters import MAX_LIMIT, SEARCH_PARAMETERS, ListQuery, read_request_query
from gateway.api.native.http_responses import (
    CSV_TYPE,
    NO_STORE_HEADERS,
    csv_response,
    json_response,
    refuse_unknown_keys,
    stream_csv,
    wants_csv,
)
from gateway.api.native.schemas import ListReply, LoggedRequestReply, LoggedRow
from gateway.errors import BadInput, NotFound
from gateway.models.principal import Principal, Role
from gateway.query.requests import RequestReader
from gateway.web.endpoint import Endpoint, Parameter, refuse_unknown_params

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
                reply_types=(CSV_TYPE,),
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

    async def _find(self, request: web.Request, principal: Principal) -> web.StreamResponse:
        search = read_request_query(request.query.items())
        if wants_csv(request) and "limit" not in request.query:
            return await stream_csv(request, "requests", LoggedRow, self._all(search, principal.tenant))
        found = await self._requests.find(search.where, search.limit, search.after, principal.tenant)
        shown = ListReply.of(found)
        if wants_csv(request):
            refuse_unknown_keys(found.unknown_keys)
            return csv_response(request, "requests", LoggedRow, shown.data, shown.next_cursor)
        return json_response(shown)

    async def _all(self, search: ListQuery[int], tenant: str | None) -> AsyncIterator[list[LoggedRow]]:
        """All that is found from a place on, slice by slice."""
        cursor, is_first = search.after, True
        while is_first or cursor is not None:
            found = await self._requests.find(search.where, MAX_LIMIT, cursor, tenant)
            refuse_unknown_keys(found.unknown_keys)
            yield ListReply.of(found).data
            cursor, is_first = found.next_cursor, False

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        refuse_unknown_params(request.query, [RAW.name, TRACE_ID.name])
        side = request.query.get(RAW.name)
        if side not in (None, "request", "response"):
            raise BadInput("must be request or response.", field=RAW.name)
        trace_id = request.query.get(TRACE_ID.name)
        logged = await self._requests.show(request.match_info["request_id"], principal.tenant, trace_id)
        if side is None:
            return json_response(LoggedRequestReply.of_logged(logged))
        message = logged.request if side == "request" else logged.response
        if message is None:
            raise NotFound("no payload was kept of this request.", field=RAW.name)
        return _download(message.wire_body, f"{side}.bin")


def _download(body: bytes, filename: str) -> web.Response:
    """Bytes of strangers: never to be shown or run as what they claim to be."""
    return web.Response(
        body=body,
        content_type="application/octet-stream",
        headers={**NO_STORE_HEADERS, "Content-Disposition": f'attachment; filename="{filename}"'},
    )
