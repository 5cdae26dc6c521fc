"""`/api/v1/requests/tail`: new requests as server-sent events."""

from aiohttp import web
from pydantic import Field

from gateway.api.native.filters import FilterParams, NumberCursor
from gateway.api.native.schemas import LoggedRow
from gateway.auth.api_keys import ApiKeys
from gateway.errors import BadInput
from gateway.models.feedback import FeedbackSummary
from gateway.models.filters import Filter
from gateway.models.principal import Principal, Role
from gateway.models.request import RequestRecord
from gateway.query.filters import REQUEST_FILTERS
from gateway.query.tail import RequestTail
from gateway.web.endpoint import Endpoint, Example
from gateway.web.event_stream import EVENT_STREAM, last_event_id, render_event, send_events


def render_row(record: RequestRecord, feedback: FeedbackSummary) -> bytes:
    """Return a row of the list as an event whose id is the position to go on from."""
    return render_event("request", record.seq, LoggedRow.render(record, feedback))


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
        example=Example(query={"rating": "bad"}),
    )
    async def _follow(
        self, request: web.Request, principal: Principal, params: TailParams
    ) -> web.StreamResponse:
        """Server-sent events: one of type `request` for each new request that matches all filters, with the
        same JSON as a row of the list. `Last-Event-ID` goes on where a connection ended; an event of type
        `reset` says that too much has come since, so that the list has to be read again."""
        after = last_event_id(request, params.cursor)
        listening = self._tail.listen(params.where(), principal.tenant, after)
        return await send_events(request, listening, lambda: self._keys.is_valid(principal, Role.READ))
