"""Reading requests: one by its id, or those that a filter finds."""

from __future__ import annotations

import asyncio

from aiohttp import web

from gateway.api.helicone.bodies import QueryBody, checked, request_id_of
from gateway.api.helicone.filters import to_filter
from gateway.api.helicone.replies import RowReply, RowsReply, one_row, rows
from gateway.api.helicone.rows import to_row
from gateway.api.helicone.sorting import to_sort
from gateway.domain.filter import All, Any, Filter, Is, Op, Page
from gateway.domain.principal import Principal, Role
from gateway.errors import BadInput
from gateway.query import JudgedRequests
from gateway.web.bodies import read_question
from gateway.web.face import Endpoint, Parameter
from gateway.web.validation import shown

INCLUDE_BODY = Parameter(
    "includeBody", "Whether to answer with the bodies as well.", {"type": "boolean", "default": False}
)

QUERY_PATHS = ("/v1/request/query", "/v1/request/query-clickhouse")


class RequestEndpoints:
    """Handlers of what is asked about requests."""

    def __init__(self, requests: JudgedRequests, max_body_bytes: int) -> None:
        self._requests = requests
        self._max_body_bytes = max_body_bytes

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the paths and what is found there."""
        queries = (
            Endpoint(
                method="POST",
                path=path,
                handler=self._query,
                role=Role.READ,
                summary="Find requests",
                description="Both paths of the query do the same.",
                body=QueryBody,
                reply=RowsReply,
                failures=(400, 413, 503, 504),
            )
            for path in QUERY_PATHS
        )
        return (
            *queries,
            Endpoint(
                method="GET",
                # Ids may hold slashes. One at the very end has to be sent as %2F.
                path="/v1/request/{request_id:.*[^/]}",
                handler=self._show,
                role=Role.READ,
                summary="Read one request",
                description="By our request id or the provider's id of its response. An id that several "
                "requests share is refused.",
                parameters=(INCLUDE_BODY,),
                reply=RowReply,
                failures=(400, 404, 409, 413, 503, 504),
            ),
        )

    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        has_body = _read_flag(request.query.get(INCLUDE_BODY.name, "false"))
        found = await self._requests.find_one(request_id_of(request), principal.tenant)
        if not has_body:
            return one_row(to_row(found))
        [logged] = await self._requests.read_bodies([found])
        return await asyncio.to_thread(lambda: one_row(to_row(found, logged)))

    async def _query(self, request: web.Request, principal: Principal) -> web.Response:
        asked = checked(QueryBody, await read_question(request, self._max_body_bytes))
        page = Page(10 if asked.limit is None else asked.limit, asked.offset or 0)
        found = await self._requests.find(_where(asked), to_sort(asked.sort), page, principal.tenant)
        logged = await self._requests.read_bodies(found)
        # Long bodies take long to write, and other callers' streams go through this thread.
        return await asyncio.to_thread(lambda: rows(list(map(to_row, found, logged))))


def _where(asked: QueryBody) -> Filter:
    parts = [to_filter(asked.filter)]
    if asked.isCached:
        parts.append(Is("is_cached", Op.EQ, True))
    if asked.isScored is not None:
        parts.append(Is("is_scored", Op.EQ, asked.isScored))
    if asked.isPartOfExperiment:
        parts.append(Any())
    return All(tuple(parts))


def _read_flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise BadInput(f"must be true or false; got {shown(text)}.", field=INCLUDE_BODY.name)
    return text == "true"
