"""The page of rules under the settings: what happens by itself to requests that match."""

from aiohttp import web

from gateway.alerts.rules import DryRun, RuleService, RuleSettings
from gateway.errors import BadInput
from gateway.models.clock import now_us
from gateway.models.metrics import DAY_US
from gateway.models.principal import Principal, Role
from gateway.ui.page import Pages
from gateway.ui.webhooks import read_filters
from gateway.web.endpoint import Endpoint

PAGE = "/ui/settings/rules"
DRY_RUN_DAYS = 7


class RulePages:
    def __init__(self, pages: Pages, rules: RuleService) -> None:
        self._pages = pages
        self._rules = rules

    @Endpoint("GET", PAGE, Role.ADMIN, "The page of rules", failures=(503,))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        return await self._render(request, principal)

    @Endpoint("POST", PAGE, Role.ADMIN, "Make or try a rule on a page", failures=(400, 409))
    async def _create(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes the form of that page; its button `try` makes nothing, and shows what it would have matched."""
        fields = await self._pages.read_form(request, principal)
        settings = _read_settings(fields)
        if fields.get("action") == "try":
            since_us = now_us() - DRY_RUN_DAYS * DAY_US
            found = await self._rules.dry_run(settings, since_us, principal)
            return await self._render(request, principal, fields, found)
        await self._rules.create(fields.get("name", "").strip(), settings, principal)
        raise web.HTTPSeeOther(PAGE)

    @Endpoint("POST", f"{PAGE}/change", Role.ADMIN, "Change a rule on a page", failures=(400, 404, 409))
    async def _change(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes the buttons of that page: `enable`, `disable`, `backfill`, `remove`."""
        fields = await self._pages.read_form(request, principal)
        rule_id, action = fields.get("rule_id", ""), fields.get("action", "")
        if action in ("enable", "disable"):
            await self._rules.switch(rule_id, action == "enable", principal)
        elif action == "backfill":
            await self._rules.backfill(rule_id, None, principal)
        elif action == "remove":
            await self._rules.remove(rule_id, principal)
        else:
            raise BadInput("must be enable, disable, backfill or remove.", field="action")
        raise web.HTTPSeeOther(PAGE)

    async def _render(
        self,
        request: web.Request,
        principal: Principal,
        form: dict[str, str] | None = None,
        tried: DryRun | None = None,
    ) -> web.Response:
        values = {
            "rules": await self._rules.find(principal),
            "form": form or {},
            "tried": tried,
            "days": DRY_RUN_DAYS,
        }
        return await self._pages.render(request, principal, "rules.html", values)


def _read_settings(fields: dict[str, str]) -> RuleSettings:
    sample = fields.get("sample", "").strip() or "100"
    try:
        share = float(sample) / 100
    except ValueError:
        raise BadInput("must be a percentage such as 10.", field="sample") from None
    if not 0 < share <= 1:
        raise BadInput(f"must be above 0 % and at most 100 %; got {sample[:20]}.", field="sample")
    return RuleSettings(
        filters=read_filters(fields.get("filters", "")),
        sample=share,
        label=fields.get("label", "").strip() or None,
        review="review" in fields,
        webhook=fields.get("webhook", "").strip() or None,
        dataset=fields.get("dataset", "").strip() or None,
        delete_after_days=_read_days(fields, "delete_after_days"),
        keep_days=_read_days(fields, "keep_days"),
    )


def _read_days(fields: dict[str, str], name: str) -> int | None:
    days = fields.get(name, "").strip()
    if days and not (days.isascii() and days.isdecimal()):
        raise BadInput("must be a whole number of days.", field=name)
    return int(days) if days else None
