"""Reviews on the pages: take a request, mark it as reviewed, go to the next one; how far people agree."""

from collections.abc import Mapping

from aiohttp import web

from gateway.errors import BadInput
from gateway.models.filters import NO_FILTER
from gateway.models.principal import Principal, Role
from gateway.models.reviews import MAX_NOTE_CHARS, ReviewState
from gateway.query.filters import FEEDBACK_FILTERS, REQUEST_FILTERS, requests_with_feedback
from gateway.reviews.agreement import AgreementReader
from gateway.reviews.queue import ReviewQueue
from gateway.ui.filters import CURSOR, PageQuery, read_number, read_place
from gateway.ui.page import FORM_TOKEN, Pages, return_page
from gateway.ui.requests import request_url
from gateway.web.endpoint import Endpoint, base_url

PAGE_ROWS = 50
# Newest scores whose agreement is shown at once; the API reads more.
PAGE_SCORES = 10_000
# By the value of a button.
_STATES: Mapping[str, ReviewState | None] = {
    "reserve": ReviewState.RESERVED,
    "reviewed": ReviewState.REVIEWED,
    "open": None,
}


class ReviewPages:
    def __init__(self, pages: Pages, queue: ReviewQueue, agreement: AgreementReader) -> None:
        self._pages = pages
        self._queue = queue
        self._agreement = agreement

    @Endpoint("GET", "/ui/reviews", Role.READ, "The page of reviews", failures=(400, 503, 504))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        query = PageQuery.read(request, REQUEST_FILTERS, since="30d")
        after = read_place(query.params.get(CURSOR))
        found = await self._queue.find(NO_FILTER, PAGE_ROWS, after, principal.tenant)
        cursor = found.next_cursor
        values = {
            "query": query,
            "reviews": found.reviews,
            "agreement": await self._agreement.read(query.where(), principal.tenant, PAGE_SCORES),
            "cursor": query.params.get(CURSOR),
            "next_cursor": None if cursor is None else f"{cursor[0]}.{cursor[1]}",
            "base_url": base_url(request),
        }
        return await self._pages.render(request, principal, "reviews.html", values)

    @Endpoint("POST", "/ui/reviews", Role.REVIEW, "Review on a page", failures=(400, 404, 409))
    async def _change(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes the buttons of the pages: `reserve`, `reviewed`, `open`."""
        fields = await self._pages.read_form(request, principal)
        state = fields.get("state", "")
        if state not in _STATES:
            raise BadInput(f"must be one of {', '.join(_STATES)}.", field="state")
        note = fields.get("note", "").strip()
        if len(note) > MAX_NOTE_CHARS:
            raise BadInput(f"may have {MAX_NOTE_CHARS:,} characters; got {len(note):,}.", field="note")
        await self._queue.change(
            fields.get("request_id", ""),
            _STATES[state],
            principal,
            note=note or None,
            trace_id=fields.get("trace_id") or None,
            row=read_number(fields["row"], "row") if fields.get("row") else None,
        )
        raise web.HTTPSeeOther(return_page(fields.get("return_to", "")))

    @Endpoint("POST", "/ui/reviews/next", Role.REVIEW, "Take the next request on a page", failures=(400,))
    async def _take_next(self, request: web.Request, principal: Principal) -> web.Response:
        """Reserves the newest request with feedback that matches the filter of the form and that nobody took."""
        fields = await self._pages.read_form(request, principal)
        back = return_page(fields.pop("return_to", ""))
        del fields[FORM_TOKEN]
        where = PageQuery.of(request.path, FEEDBACK_FILTERS, fields).where()
        taken = await self._queue.reserve_next(requests_with_feedback(where), principal)
        if taken.record is None:
            raise web.HTTPSeeOther(back + ("&" if "?" in back else "?") + "notice=nothing_to_review")
        raise web.HTTPSeeOther(request_url(taken.record))
