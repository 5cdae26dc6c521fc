"""`/v1/request`: read one request, or query many with a filter and a sort order."""

import asyncio
from collections.abc import Mapping

from aiohttp import web
from pydantic import ConfigDict, Field

from gateway.api.helicone import schemas
from gateway.api.helicone.filters import NO_INPUTS, ONLY_CACHED, property_field_name, to_filter
from gateway.errors import BadInput
from gateway.models.filters import AllOf, AnyOf, Comparison, Filter, Op, Page, Sort
from gateway.models.principal import Principal, Role
from gateway.query.requests import RequestReader
from gateway.web.bodies import abbreviate, read_query_body, validate_body
from gateway.web.endpoint import Endpoint, Example
from gateway.web.query_params import Boolean, QueryParams

NEWEST_FIRST = Sort("started_at_us", descending=True)

# Our fields by Helicone's columns; besides them there are `properties` and `random`.
SORT_COLUMNS: Mapping[str, str] = {
    "created_at": "started_at_us",
    "latency": "duration_ms",
    "total_tokens": "total_tokens",
    "completion_tokens": "completion_tokens",
    "prompt_tokens": "prompt_tokens",
    "user_id": "user",
    "body_model": "any_model",
    "is_cached": "is_cached",
    "request_prompt": "request_text",
    "response_text": "response_text",
    "cost_usd": "cost_nanousd",
    "time_to_first_token": "first_byte_ms",
}

# Helicone's other columns, and why requests cannot be sorted by them.
UNSUPPORTED_SORTS: Mapping[str, str] = {
    "cache_created_at": ONLY_CACHED,
    "last_active": "it is about users, not requests",
    "values": NO_INPUTS,
}


def to_sort(order: object) -> Sort:
    """Translate `{column: "asc" | "desc"}`, `{"properties": {name: "asc" | "desc"}}` or `{"random": true}`.

    Raises:
        BadInput: it names a column that requests cannot be sorted by, or no direction.
    """
    if order is None or order == {}:
        return NEWEST_FIRST
    columns = _require_sort_object(order, "sort")
    if "random" in columns:
        return _random_sort(columns)
    *others, last = [key for column in columns for key in _sort_keys(column, columns[column])]
    for key in reversed(others):
        last = Sort(key.field, key.descending, then=last)
    return last


def _random_sort(columns: dict[str, object]) -> Sort:
    if len(columns) > 1:
        raise BadInput("cannot be combined with other columns.", field="sort.random")
    if columns["random"] is not True:
        raise BadInput(f"must be true; got {abbreviate(columns['random'])}.", field="sort.random")
    return Sort("random")


def _sort_keys(column: str, given: object) -> list[Sort]:
    at = f"sort.{column}"
    if column == "properties":
        names = _require_sort_object(given, at)
        return [_sort_key(property_field_name(name), way, f"{at}.{name}") for name, way in names.items()]
    if column in UNSUPPORTED_SORTS:
        raise BadInput(f"cannot be sorted by: {UNSUPPORTED_SORTS[column]}.", field=at)
    if column not in SORT_COLUMNS:
        known = f"Allowed: {', '.join(SORT_COLUMNS)}, properties and random."
        raise BadInput("is not a column to sort by.", field=at, hint=known)
    return [_sort_key(SORT_COLUMNS[column], given, at)]


def _sort_key(field: str, direction: object, at: str) -> Sort:
    if direction not in ("asc", "desc"):
        raise BadInput(f'must be "asc" or "desc"; got {abbreviate(direction)}.', field=at)
    return Sort(field, descending=direction == "desc")


def _require_sort_object(given: object, at: str) -> dict[str, object]:
    if isinstance(given, dict) and given:
        return given
    raise BadInput(f"must be an object that names what to sort by; got {abbreviate(given)}.", field=at)


class RequestParams(QueryParams):
    model_config = ConfigDict(extra="ignore")

    include_body: Boolean = Field(
        False, alias="includeBody", description="Whether to return the bodies as well."
    )


def _query_endpoint(path: str) -> Endpoint:
    return Endpoint(
        "POST",
        path,
        Role.READ,
        "Query requests",
        body=schemas.QueryBody,
        reply=schemas.RowsReply,
        failures=(400, 504),
        example=Example(body={"filter": "all", "limit": 2, "sort": {"created_at": "desc"}}),
    )


class RequestEndpoints:
    def __init__(self, requests: RequestReader, max_body_bytes: int) -> None:
        self._requests = requests
        self._max_body_bytes = max_body_bytes

    @_query_endpoint("/v1/request/query")
    @_query_endpoint("/v1/request/query-clickhouse")
    async def _query(self, request: web.Request, principal: Principal) -> web.Response:
        """Both query paths do the same."""
        query_body = validate_body(schemas.QueryBody, await read_query_body(request, self._max_body_bytes))
        page = Page(10 if query_body.limit is None else query_body.limit, query_body.offset or 0)
        where, sort = _query_filter(query_body), to_sort(query_body.sort)
        found = await self._requests.list_rated(where, sort, page, principal.tenant)
        logged = await self._requests.read_payloads([rated.record for rated in found])
        # Long bodies take long to write, and other callers' streams run on this thread.
        return await asyncio.to_thread(lambda: schemas.rows_response([*map(schemas.to_row, found, logged)]))

    # Ids may contain slashes. One at the very end has to be sent as %2F.
    @Endpoint(
        "GET",
        "/v1/request/{request_id:.*[^/]}",
        Role.READ,
        "Read one request",
        reply=schemas.RowReply,
        failures=(400, 404, 409, 413, 503, 504),
    )
    async def _show(self, request: web.Request, principal: Principal, params: RequestParams) -> web.Response:
        """By our request id or the provider's id of its response. An id that several requests share is
        refused."""
        found = await self._requests.show_rated(schemas.read_request_id(request), principal.tenant)
        if not params.include_body:
            return schemas.row_response(schemas.to_row(found))
        [logged] = await self._requests.read_payloads([found.record])
        return await asyncio.to_thread(lambda: schemas.row_response(schemas.to_row(found, logged)))


def _query_filter(query_body: schemas.QueryBody) -> Filter:
    parts = [to_filter(query_body.filter)]
    if query_body.isCached:
        parts.append(Comparison("is_cached", Op.EQ, True))
    if query_body.isScored is not None:
        parts.append(Comparison("is_scored", Op.EQ, query_body.isScored))
    if query_body.isPartOfExperiment:
        parts.append(AnyOf())
    return AllOf(tuple(parts))
