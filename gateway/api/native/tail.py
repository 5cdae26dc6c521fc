"""`/api/v1/requests/tail`: new requests as server-sent events."""

import asyncio

import orjson
from aiohttp import web
from pydantic import Field

from gateway.api.native.filters import FilterParams, NumberCursor
from gateway.api.native.http_responses import NO_STORE_HEADERS
from gateway.api.native.schemas import LoggedRow
from gateway.auth.api_keys import ApiKeys
from gateway.errors import BadInput
from gateway.models.feedback import FeedbackSummary
from gateway.models.filters import Filter
from gateway.models.principal import Principal, Role
from gateway.models.request import RequestRecord
from gateway.query.filters import REQUEST_FILTERS
from gateway.query.tail import Listener, RequestTail
from gateway.web.endpoint import Endpoint

EVENT_STREAM = "text/event-stream"

# Proxies close connections that are silent for longer, often after 30 s.
KEEPALIVE_SECONDS = 15.0

# How long a caller may take to receive what is sent at once.
WRITE_SECONDS = 15.0

_RECONNECT = b"retry: 2000\n\n"
_KEEPALIVE = b": no new requests\n\n"
_RESET = b"event: reset\ndata: {}\n\n"
_HEADERS = {**NO_STORE_HEADERS, "Content-Type": EVENT_STREAM, "X-Accel-Buffering": "no"}


def render_event(record: RequestRecord, feedback: FeedbackSummary) -> bytes:
    """Return a row of the list as an event whose id is the position to go on from."""
    row = orjson.dumps(LoggedRow.of(record, feedback).model_dump())
    return b"id: %d\nevent: request\ndata: %s\n\n" % (record.seq, row)


class TailParams(FilterParams):
    filters = REQUEST_FILTERS

    cursor: NumberCursor = Field(
        None, description="Id of the last event that was received, as the header `Last-Event-ID`, which wins."
    )

    def where(self) -> Filter:
        """Return the filters but for `from`, which new requests meet anyway. Raises BadInput."""
        given = dict(self.model_extra or {})
        if "to" in given:
            raise BadInput("is not possible here: new requests have no end.", field="to")
        given.pop("from", None)
        return self.filters.to_filter(given.items())


class TailEndpoints:
    def __init__(self, tail: RequestTail, keys: ApiKeys) -> None:
        self._tail = tail
        self._keys = keys

    @Endpoint(
        "GET",
        "/api/v1/requests/tail",
        Role.READ,
        "Follow new requests",
        reply_types=(EVENT_STREAM,),
        failures=(400, 503),
    )
    async def _follow(
        self, request: web.Request, principal: Principal, params: TailParams
    ) -> web.StreamResponse:
        """Server-sent events: one of type `request` for each new request that matches all filters, with the
        same JSON as a row of the list. `Last-Event-ID` goes on where a connection ended; an event of type
        `reset` says that too much has come since, so that the list has to be read again."""
        where, after = params.where(), _last_position(request, params)
        response = web.StreamResponse(headers=_HEADERS)
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        is_done = False
        async with self._tail.listen(where, principal.tenant, after) as listener:
            await response.prepare(request)
            is_done = await self._send(response, listener, principal)
        if not is_done and request.transport is not None:
            # It does not take what was sent, so it would not take an end either.
            request.transport.abort()
        return response

    async def _send(self, response: web.StreamResponse, listener: Listener, principal: Principal) -> bool:
        """Send rows until there are no more, or the key is revoked; tell whether all were taken."""
        loop = asyncio.get_running_loop()
        data: bytes | None = _RECONNECT + (_RESET if listener.was_away else b"")
        sent_at = 0.0
        while data is not None and self._keys.is_valid(principal, Role.READ):
            if not data and loop.time() - sent_at >= KEEPALIVE_SECONDS:
                data = _KEEPALIVE
            if data:
                try:
                    async with asyncio.timeout(WRITE_SECONDS):
                        await response.write(data)
                except TimeoutError:
                    return False
                sent_at = loop.time()
            data = await listener.next()
        return True


def _last_position(request: web.Request, params: TailParams) -> int | None:
    given = request.headers.get("Last-Event-ID")
    if given is None:
        return params.cursor
    if not (given.isascii() and given.isdecimal() and len(given) <= 18):
        raise BadInput("must be the id of an event.", field="Last-Event-ID")
    return int(given)
