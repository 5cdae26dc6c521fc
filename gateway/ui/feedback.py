"""The page of feedback: answers that people judged, and a form to judge them oneself."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import orjson
from aiohttp import web

from gateway.errors import BadInput, NotFound
from gateway.feedback.payloads import NewFeedback, star_scale, thumb_feedback
from gateway.feedback.rules import Rule, append, upsert
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback, Kind, Subject, Target
from gateway.models.principal import OPEN_ACCESS, Principal, Role
from gateway.models.request import RequestRecord
from gateway.models.reviews import Review
from gateway.query.feedback import FeedbackCursor
from gateway.query.filters import FEEDBACK_FILTERS
from gateway.query.readers import Readers
from gateway.query.requests import RequestTexts
from gateway.reviews.queue import ReviewQueue
from gateway.ui.filters import CURSOR, ITEM, LIST_SECONDS, MAX_COUNTED, PageQuery, count_in_time, read_number
from gateway.ui.page import FORM_TOKEN, MAX_TEXT, Pages, return_page
from gateway.ui.requests import RequestDetail, read_detail
from gateway.web.endpoint import Endpoint, base_url

# Bodies are read for the questions of so many cards at a time.
PAGE_CARDS = 25
# Of longer bodies no question is shown in the list.
MAX_EXCERPT_BYTES = 256 * 1024

DIALECT = "page"
_RATING_PATTERN = {str(stars): float(stars) for stars in range(1, 6)}


@dataclass(frozen=True, slots=True)
class Card:
    """An entry of the list: the feedback, and the request that it counts for as far as it is known."""

    entry: Feedback
    record: RequestRecord | None
    texts: RequestTexts
    review: Review | None


class FeedbackPages:
    def __init__(
        self,
        pages: Pages,
        readers: Readers,
        queue: ReviewQueue,
        service: FeedbackService,
    ) -> None:
        self._pages = pages
        self._readers = readers
        self._queue = queue
        self._service = service

    @Endpoint("GET", "/ui/feedback", Role.READ, "The page of feedback", failures=(400, 404, 503, 504))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        if not request.query_string:
            # What was disliked comes first; the filter stands in the URL like any other.
            raise web.HTTPFound(f"{request.path}?rating=bad&from=7d")
        query = PageQuery.read(request, FEEDBACK_FILTERS)
        cursor = _read_cursor(query)
        where, tenant = query.where(), principal.tenant
        found, number = await asyncio.gather(
            self._readers.feedback.find(where, PAGE_CARDS, cursor, tenant, LIST_SECONDS),
            count_in_time(self._readers.feedback.count(where, MAX_COUNTED, tenant)),
        )
        counted = await self._readers.requests.counted(found.entries)
        texts = await self._readers.texts.list_texts(found.entries, counted, MAX_EXCERPT_BYTES)
        reviews = await self._queue.reviews_of(list(counted.values()))
        cards = [
            Card(
                entry,
                record := counted.get(entry.feedback_id),
                texts.get(entry.feedback_id, RequestTexts()),
                None if record is None else reviews.get(record.seq),
            )
            for entry in found.entries
        ]
        # What waits for its request has little to show.
        first = next((card for card in cards if card.record is not None), cards[0] if cards else None)
        opened = query.params.get(ITEM) or (None if first is None else first.entry.feedback_id)
        entry, record = (None, None) if opened is None else await self._find_opened(opened, cards, principal)
        return await self._pages.render(
            request,
            principal,
            "feedback.html",
            {
                "query": query,
                "cards": cards,
                "is_empty": not cards,
                "number": number,
                "opened": opened,
                "is_chosen": ITEM in query.params,
                "entry": entry,
                "detail": None if record is None else await self._read_detail(record, principal),
                "unknown_keys": found.unknown_keys,
                "searched_from_us": found.searched_from_us,
                "cursor": cursor,
                "next_cursor": None if found.next_cursor is None else "{}.{}".format(*found.next_cursor),
                "base_url": base_url(request),
                "can_give": principal.has_role(Role.FEEDBACK),
                "can_review": principal.has_role(Role.REVIEW),
            },
        )

    async def _find_opened(
        self, feedback_id: str, cards: list[Card], principal: Principal
    ) -> tuple[Feedback, RequestRecord | None]:
        for card in cards:
            if card.entry.feedback_id == feedback_id:
                return card.entry, card.record
        # A link may lead to an entry that is no longer on this page of the list.
        entry = (await self._service.history(feedback_id, principal))[-1]
        if entry.deleted_at_us is not None:
            raise NotFound(f"the feedback {feedback_id!r} was withdrawn.")
        return entry, (await self._readers.requests.counted([entry])).get(feedback_id)

    async def _read_detail(self, record: RequestRecord, principal: Principal) -> RequestDetail:
        logged = await self._readers.requests.show(
            record.request_id, principal.tenant, record.trace_id, record.seq
        )
        return await read_detail(logged, self._queue)

    @Endpoint("POST", "/ui/feedback", Role.FEEDBACK, "Give feedback on a page", failures=(400, 404, 409, 413))
    async def _give(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes the forms of the pages: `give` says which kind of feedback it is."""
        fields = await self._pages.read_form(request, principal)
        item, rule = _read_feedback(fields, principal)
        row = fields.get("row", "")
        if row:
            item = replace(item, subject=await self._shown_subject(row, item.subject_id, principal))
        # A form that is sent twice, as by a double click, adds one entry.
        key = hashlib.sha256(f"{fields[FORM_TOKEN]} {row} {item.subject_id} {item.raw}".encode()).hexdigest()
        await self._service.give(
            [item], principal, dialect=DIALECT, rule=rule, idempotency_key=key if rule is append else None
        )
        raise web.HTTPSeeOther(return_page(fields.get("return_to", "")))

    async def _shown_subject(self, row: str, request_id: str, principal: Principal) -> Subject:
        # The id alone may be that of requests in several traces.
        subject = await self._readers.requests.find_subject(read_number(row, "row"), principal.tenant)
        if subject is None or subject.request_id != request_id:
            raise NotFound(f"the request {request_id!r} of this form is not logged any more.", field="row")
        return subject


def _read_feedback(fields: Mapping[str, str], principal: Principal) -> tuple[NewFeedback, Rule]:
    kind = fields.get("give", "")
    if kind not in _READERS:
        raise BadInput(f"must be one of {', '.join(_READERS)}.", field="give")
    request_id = fields.get("request_id", "").strip()
    if not request_id:
        raise BadInput("must be the id of a request.", field="request_id")
    text = fields.get("text", "").replace("\r\n", "\n").strip()
    if len(text) > MAX_TEXT:
        raise BadInput(f"may have {MAX_TEXT:,} characters; got {len(text):,}.", field="text")
    author = None if principal is OPEN_ACCESS else principal.name
    return _READERS[kind](request_id, text, author)


def _thumb(is_up: bool) -> Callable[[str, str, str | None], tuple[NewFeedback, Rule]]:
    def read(request_id: str, text: str, author: str | None) -> tuple[NewFeedback, Rule]:
        raw = _raw(give="up" if is_up else "down")
        return thumb_feedback(request_id, is_up=is_up, raw=raw, author=author, comment=text or None), upsert

    return read


def _stars(request_id: str, text: str, author: str | None) -> tuple[NewFeedback, Rule]:
    if text not in _RATING_PATTERN:
        raise BadInput("must be a number of stars from 1 to 5.", field="text")
    item = NewFeedback(
        subject_id=request_id,
        target=Target.REQUEST,
        kind=Kind.RATING,
        metric="rating",
        value=_RATING_PATTERN[text],
        scale=star_scale,
        author=author,
        raw=_raw(give="stars", text=text),
    )
    return item, upsert


def _comment(request_id: str, text: str, author: str | None) -> tuple[NewFeedback, Rule]:
    return _text_feedback(request_id, text, author, Kind.COMMENT, "comment", comment=text), append


def _label(request_id: str, text: str, author: str | None) -> tuple[NewFeedback, Rule]:
    return _text_feedback(request_id, text, author, Kind.CUSTOM, "label", label=text), append


def _better_answer(request_id: str, text: str, author: str | None) -> tuple[NewFeedback, Rule]:
    return _text_feedback(request_id, text, author, Kind.EDIT, "better answer", edited_text=text), append


_READERS: Mapping[str, Callable[[str, str, str | None], tuple[NewFeedback, Rule]]] = {
    "up": _thumb(True),
    "down": _thumb(False),
    "stars": _stars,
    "comment": _comment,
    "label": _label,
    "edit": _better_answer,
}


def _text_feedback(
    request_id: str, text: str, author: str | None, kind: Kind, what: str, **fields: str
) -> NewFeedback:
    if not text:
        raise BadInput(f"must hold the {what}.", field="text")
    return NewFeedback(
        subject_id=request_id,
        target=Target.REQUEST,
        kind=kind,
        author=author,
        raw=_raw(give=kind, **fields),
        comment=fields.get("comment"),
        label=fields.get("label"),
        edited_text=fields.get("edited_text"),
    )


def _raw(**fields: str) -> str:
    return orjson.dumps(fields).decode()


def _read_cursor(query: PageQuery) -> FeedbackCursor | None:
    text = query.params.get(CURSOR)
    if text is None:
        return None
    time_us, _, feedback_id = text.partition(".")
    return read_number(time_us), feedback_id
