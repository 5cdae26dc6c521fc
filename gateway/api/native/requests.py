"""`/api/v1/requests`: logged requests, as a list or one with its payloads."""

from collections.abc import AsyncIterator
from typing import Literal

from aiohttp import web
from pydantic import Field

from gateway.api.native import http_responses as responses
from gateway.api.native.filters import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    FilterParams,
    Format,
    Limit,
    NumberCursor,
    OneRequestParams,
)
from gateway.api.native.schemas import ListReply, LoggedRequestReply, LoggedRow
from gateway.models.principal import Principal, Role
from gateway.query.filters import REQUEST_FILTERS
from gateway.query.requests import RequestReader
from gateway.reviews.queue import ReviewQueue
from gateway.web.endpoint import Endpoint, Example, download_response

# Ids may contain slashes. One at the very end has to be sent as %2F.
REQUEST_PATH = "/api/v1/requests/{request_id:.*[^/]}"


class RequestListParams(FilterParams):
    filters = REQUEST_FILTERS

    limit: Limit = DEFAULT_LIMIT
    cursor: NumberCursor = None
    format: Format = Field(
        None,
        description="`csv`, as does `Accept: text/csv`: every match, row by row, where no `limit` is given.",
    )


class RequestParams(OneRequestParams):
    raw: Literal["request", "response"] | None = Field(
        None, description="Return only this body, as a download of its bytes on the wire, still encoded."
    )


class RequestEndpoints:
    def __init__(self, requests: RequestReader, reviews: ReviewQueue) -> None:
        self._requests = requests
        self._reviews = reviews

    @Endpoint(
        "GET",
        "/api/v1/requests",
        Role.READ,
        "List logged requests",
        reply=ListReply,
        reply_types=(responses.CSV_TYPE,),
        failures=(400, 503, 504),
        example=Example(query={"from": "7d", "rating": "bad", "limit": "2"}),
    )
    async def _list(
        self, request: web.Request, principal: Principal, params: RequestListParams
    ) -> web.StreamResponse:
        """All filters must match. Newest first; following the cursors returns each row once, while new ones
        are added."""
        is_csv = responses.wants_csv(request, params.format)
        if is_csv and "limit" not in params.model_fields_set:
            pages = self._pages(params, principal.tenant)
            return await responses.stream_csv(request, "requests", LoggedRow, pages)
        found = await self._requests.find(params.where(), params.limit, params.cursor, principal.tenant)
        reply = ListReply.of(found)
        if is_csv:
            responses.refuse_unknown_keys(found.unknown_keys)
            return responses.csv_response(request, "requests", LoggedRow, reply.data, reply.next_cursor)
        return responses.json_response(reply)

    async def _pages(self, params: RequestListParams, tenant: str | None) -> AsyncIterator[list[LoggedRow]]:
        cursor, is_first = params.cursor, True
        while is_first or cursor is not None:
            found = await self._requests.find(params.where(), MAX_LIMIT, cursor, tenant)
            responses.refuse_unknown_keys(found.unknown_keys)
            yield ListReply.of(found).data
            cursor, is_first = found.next_cursor, False

    @Endpoint(
        "GET",
        REQUEST_PATH,
        Role.READ,
        "Read one request",
        reply=LoggedRequestReply,
        failures=(400, 404, 409, 503, 504),
    )
    async def _show(self, request: web.Request, principal: Principal, params: RequestParams) -> web.Response:
        """By our request id or the provider's id of its response; percent-encode it. An id that several
        requests share is refused, and the response lists them."""
        request_id = request.match_info["request_id"]
        logged = await self._requests.show(request_id, principal.tenant, params.trace_id, params.row)
        if params.raw is None:
            reviews = await self._reviews.reviews_of([logged.record])
            reply = LoggedRequestReply.of_logged(logged, reviews.get(logged.record.seq))
            return responses.json_response(reply)
        return download_response(logged.wire_body(params.raw), f"{params.raw}.bin")
