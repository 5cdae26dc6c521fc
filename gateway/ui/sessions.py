"""The pages of sessions and users: lists, one session as a conversation, one user with what is stored of them."""

from aiohttp import web

from gateway.errors import BadInput
from gateway.models.feedback import Feedback
from gateway.models.filters import Page
from gateway.models.metrics import MetricsQuery
from gateway.models.principal import Principal, Role
from gateway.models.trace import GroupCursor
from gateway.query.conversation import ConversationReader, TurnCursor
from gateway.query.erasure import ErasureService
from gateway.query.feedback import FeedbackReader
from gateway.query.filters import FEEDBACK_FILTERS, METRICS_FILTERS, REQUEST_FILTERS
from gateway.query.groups import SessionReader
from gateway.query.metrics import MetricsOrder
from gateway.query.statistics import mean_score
from gateway.query.users import UserReader
from gateway.ui.filters import CURSOR, PageQuery, read_number, read_place
from gateway.ui.page import Pages
from gateway.web.endpoint import Endpoint, base_url

PAGE_ROWS = 50
# Requests of a session whose bodies are read for one page.
PAGE_TURNS = 30
# Of one request, which may bring a long history along; its own page has the others.
MAX_NEW_MESSAGES = 30
_USER_ORDERS = ("last_seen", "requests", "cost", "tokens", "feedback", "score", "error_rate")
_LATEST_FEEDBACK = 20


class SessionPages:
    def __init__(self, pages: Pages, sessions: SessionReader, conversations: ConversationReader) -> None:
        self._pages = pages
        self._sessions = sessions
        self._conversations = conversations

    @Endpoint("GET", "/ui/sessions", Role.READ, "The page of sessions", failures=(400, 503, 504))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        query = PageQuery.read(request, REQUEST_FILTERS)
        places = read_place(query.params.get(CURSOR))
        cursor = None if places is None else GroupCursor(*places)
        found = await self._sessions.find(query.where(), PAGE_ROWS, cursor, principal.tenant)
        following = found.next_cursor
        values = {
            "query": query,
            "sessions": found.groups,
            "is_empty": not found.groups,
            "mean_score": mean_score,
            "unknown_keys": found.unknown_keys,
            "cursor": cursor,
            "next_cursor": None if following is None else f"{following.top}.{following.seq}",
            "base_url": base_url(request),
        }
        return await self._pages.render(request, principal, "sessions.html", values)

    @Endpoint(
        "GET", "/ui/sessions/{session:(?s:.+)}", Role.READ, "The page of a session", failures=(400, 404)
    )
    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        """Its requests as one conversation, without what each of them repeats."""
        name = request.match_info["session"]
        after: TurnCursor | None = read_place(request.query.get(CURSOR))
        found = await self._conversations.show_session(name, PAGE_TURNS, after, principal.tenant)
        records = [step.record for step in found.steps]
        part = await self._sessions.show_part(name, records, _LATEST_FEEDBACK, principal.tenant)
        cursor = found.next_cursor
        values = {
            "part": part,
            "max_messages": MAX_NEW_MESSAGES,
            "steps": found.steps,
            "next_cursor": None if cursor is None else f"{cursor[0]}.{cursor[1]}",
            "is_first": after is None,
        }
        return await self._pages.render(request, principal, "session.html", values)


class UserPages:
    def __init__(
        self, pages: Pages, users: UserReader, feedback: FeedbackReader, eraser: ErasureService
    ) -> None:
        self._pages = pages
        self._users = users
        self._feedback = feedback
        self._eraser = eraser

    @Endpoint("GET", "/ui/users", Role.READ, "The page of users", failures=(400, 413, 503, 504))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        query = PageQuery.read(request, METRICS_FILTERS, own=("sort", "prefix"), since="30d")
        order = query.params.get("sort", _USER_ORDERS[0])
        if order not in _USER_ORDERS:
            raise BadInput(f"must be one of {', '.join(_USER_ORDERS)}.", field="sort")
        start, end = query.times_us()
        where = METRICS_FILTERS.to_filter(query.filters.items())
        asked = MetricsQuery(start, end, where, tenant=principal.tenant)
        page = Page(PAGE_ROWS, read_number(query.params.get(CURSOR, "0")))
        # Durations are not summed up by user: percentiles of the fifty busiest took a second.
        found = await self._users.find(
            asked, query.params.get("prefix", ""), MetricsOrder(order), page, with_latencies=False
        )
        values = {
            "query": query,
            "users": found.users,
            "is_empty": not found.users,
            "order": order,
            "orders": _USER_ORDERS,
            "mean_score": mean_score,
            "unknown_keys": found.unknown_keys,
            "cursor": query.params.get(CURSOR),
            "next_cursor": found.next_offset,
            "base_url": base_url(request),
        }
        return await self._pages.render(request, principal, "users.html", values)

    @Endpoint("GET", "/ui/users/{user:(?s:.+)}", Role.READ, "The page of a user", failures=(404, 503, 504))
    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        name = request.match_info["user"]
        user = await self._users.show(name, principal.tenant, with_latencies=False)
        values = {
            "user": user,
            "given": await self._latest_feedback("author", name, principal),
            "received": await self._latest_feedback("user", name, principal),
            "mean_score": mean_score,
            "is_admin": principal.has_role(Role.ADMIN),
            "erased": None,
        }
        return await self._pages.render(request, principal, "user.html", values)

    @Endpoint(
        "POST", "/ui/users/{user:(?s:.+)}/erase", Role.ADMIN, "Erase a user on a page", failures=(400, 503)
    )
    async def _erase(self, request: web.Request, principal: Principal) -> web.Response:
        """For good, once the name was typed again."""
        fields = await self._pages.read_form(request, principal)
        name = request.match_info["user"]
        # Fields of forms are read without spaces around them.
        if fields.get("name", "").strip() != name.strip():
            raise BadInput("must repeat the user's name.", field="name", hint="Nothing was erased.")
        scope = await self._eraser.find_user_scope(name, principal)
        await self._eraser.erase(scope)
        raise web.HTTPSeeOther("/ui/users")

    async def _latest_feedback(self, field: str, name: str, principal: Principal) -> list[Feedback]:
        where = FEEDBACK_FILTERS.to_filter([(field, name)])
        return (await self._feedback.find(where, _LATEST_FEEDBACK, None, principal.tenant)).entries
