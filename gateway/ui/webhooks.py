"""The page of webhooks under the settings: endpoints, what became of their messages, resending."""

from collections.abc import Mapping

from aiohttp import web

from gateway.alerts.webhooks import WebhookService, WebhookSettings
from gateway.errors import BadInput
from gateway.models.principal import Principal, Role
from gateway.models.webhooks import SUBSCRIBABLE_EVENTS, TEXTS, Webhook
from gateway.query.filters import DELIVERY_FILTERS
from gateway.ui.filters import CURSOR, PageQuery
from gateway.ui.page import Pages
from gateway.web.endpoint import Endpoint

PAGE = "/ui/settings/webhooks"
PAGE_ROWS = 50
_MAX_FILTERS = 20


class WebhookPages:
    def __init__(self, pages: Pages, webhooks: WebhookService) -> None:
        self._pages = pages
        self._webhooks = webhooks

    @Endpoint("GET", PAGE, Role.ADMIN, "The page of webhooks", failures=(400, 503))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        return await self._render(request, principal)

    @Endpoint("POST", PAGE, Role.ADMIN, "Make a webhook on a page", failures=(400, 409))
    async def _create(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes the form of that page, and shows the secret this once."""
        fields = await self._pages.read_form(request, principal)
        settings = WebhookSettings(
            name=fields.get("name", "").strip() or None,
            url=fields.get("url", "").strip(),
            events=[each.value for each in SUBSCRIBABLE_EVENTS if each.value in fields],
            filters=read_filters(fields.get("filters", "")),
            include=[TEXTS] if TEXTS in fields else [],
        )
        made = await self._webhooks.create(settings, principal)
        return await self._render(request, principal, made)

    @Endpoint("POST", f"{PAGE}/change", Role.ADMIN, "Change a webhook on a page", failures=(400, 404, 409))
    async def _change(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes the buttons of that page: `enable`, `disable`, `rotate`, `test`, `remove`."""
        fields = await self._pages.read_form(request, principal)
        webhook_id, action = fields.get("webhook_id", ""), fields.get("action", "")
        if action == "rotate":
            rotated = await self._webhooks.rotate(webhook_id, principal)
            return await self._render(request, principal, rotated)
        if action in ("enable", "disable"):
            switch = WebhookSettings(is_enabled=action == "enable")
            await self._webhooks.change(webhook_id, switch, principal)
        elif action == "test":
            await self._webhooks.test(webhook_id, principal)
        elif action == "remove":
            await self._webhooks.remove(webhook_id, principal)
        else:
            raise BadInput("must be enable, disable, rotate, test or remove.", field="action")
        raise web.HTTPSeeOther(PAGE)

    @Endpoint("POST", f"{PAGE}/resend", Role.ADMIN, "Send a message again on a page", failures=(404, 409))
    async def _resend(self, request: web.Request, principal: Principal) -> web.Response:
        fields = await self._pages.read_form(request, principal)
        await self._webhooks.resend(fields.get("delivery_id", ""), principal)
        raise web.HTTPSeeOther(f"{PAGE}#deliveries")

    async def _render(
        self, request: web.Request, principal: Principal, shown: Webhook | None = None
    ) -> web.Response:
        given: Mapping[str, str] = request.query if shown is None else {}
        query = PageQuery.of(PAGE, DELIVERY_FILTERS, given)
        cursor = query.params.get(CURSOR)
        if cursor is not None and not cursor.isdecimal():
            raise BadInput("must be the one of a link on this page.", field=CURSOR)
        after = None if cursor is None else int(cursor)
        found = await self._webhooks.find_deliveries(query.where(), PAGE_ROWS, after, principal)
        webhooks = await self._webhooks.find(principal)
        values = {
            "query": query,
            "webhooks": webhooks,
            "names": {each.webhook_id: each.name for each in webhooks},
            "deliveries": found.deliveries,
            "cursor": cursor,
            "next_cursor": found.next_cursor,
            "shown": shown,
            "events": SUBSCRIBABLE_EVENTS,
        }
        return await self._pages.render(request, principal, "webhooks.html", values)


def read_filters(text: str, field: str = "filters") -> dict[str, str]:
    """Return the conditions in lines of `name=value`. Raises BadInput."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    pairs = [line.partition("=") for line in lines]
    if len(lines) > _MAX_FILTERS or not all(separator for _, separator, _ in pairs):
        raise BadInput(f"must be at most {_MAX_FILTERS} lines of name=value.", field=field)
    filters = {name.strip(): value.strip() for name, _, value in pairs}
    if len(filters) < len(pairs):
        # The last one alone would count, which nobody means.
        raise BadInput("names the same filter in two lines; give it once.", field=field)
    return filters
