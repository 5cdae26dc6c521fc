"""Alerts on the pages: where rules stand, their events, and a form to make, change and try one."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlencode

from aiohttp import web
from markupsafe import Markup

from gateway.alerts.definition import GROUPS, AlertService, AlertView, build_rule, written_fields
from gateway.alerts.evaluation import describe, format_value
from gateway.alerts.measures import MEASURES
from gateway.alerts.preview import Preview, preview_rule
from gateway.alerts.sequential import METHOD
from gateway.errors import BadInput
from gateway.models.alerts import (
    AlertRule,
    AlertStatus,
    AlertTest,
    Direction,
    Measure,
    NoDataMode,
    Severity,
)
from gateway.models.clock import format_duration, now_us, to_datetime
from gateway.models.principal import Principal, Role
from gateway.ui.charts import Chart, Series, draw
from gateway.ui.page import FORM_TOKEN, Pages
from gateway.ui.webhooks import read_filters
from gateway.web.endpoint import Endpoint, base_url

PAGE_EVENTS = 50
DEFAULT_DAYS = 7
_DEFAULTS: Mapping[str, object] = {
    "name": "", "description": "", "severity": Severity.WARNING, "measure": Measure.NEGATIVE_SHARE, "where": {},
    "group_by": None, "above": 0.2, "below": None, "window": "", "settle": "", "min_count": "", "test": "",
    "no_data": NoDataMode.KEEP, "renotify": None, "enabled": True,
}  # fmt: skip
_BOXES = ("name", "description", "severity", "measure", "group_by", "window", "settle", "min_count", "test")


class AlertPages:
    def __init__(self, pages: Pages, alerts: AlertService) -> None:
        self._pages = pages
        self._alerts = alerts

    @Endpoint("GET", "/ui/alerts", Role.READ, "The page of alerts", failures=(503,))
    async def _list(self, request: web.Request, principal: Principal) -> web.Response:
        views, events = await asyncio.gather(
            self._alerts.list(principal.tenant), self._alerts.events(principal.tenant, PAGE_EVENTS)
        )
        values = {
            "views": [(view, *_standing(view)) for view in views],
            "events": events,
            # Events outlive their rules.
            "alert_ids": {view.rule.alert_id for view in views},
            "describe": describe,
            "format_value": format_value,
            "can_change": principal.has_role(Role.ADMIN),
            "is_empty": not views,
            "base_url": base_url(request),
        }
        return await self._pages.render(request, principal, "alerts.html", values)

    @Endpoint("GET", "/ui/alerts/new", Role.READ, "The form of a new alert", failures=(503,))
    async def _new(self, request: web.Request, principal: Principal) -> web.Response:
        return await self._render_form(request, principal, dict(_DEFAULTS), None)

    @Endpoint("GET", "/ui/alerts/{alert_id:.*[^/]}", Role.READ, "The page of an alert", failures=(404, 503))
    async def _show(self, request: web.Request, principal: Principal) -> web.Response:
        view = await self._alerts.find(request.match_info["alert_id"], principal.tenant)
        return await self._render_form(request, principal, written_fields(view.rule), view)

    @Endpoint("POST", "/ui/alerts", Role.ADMIN, "Change alerts on a page", failures=(400, 404, 409))
    async def _change(self, request: web.Request, principal: Principal) -> web.Response:
        """Takes the buttons of that form: `save` and `delete`."""
        fields = await self._pages.read_form(request, principal)
        alert_id = fields.get("alert_id", "")
        if fields.get("action") == "delete":
            await self._alerts.delete(alert_id, principal.tenant)
        elif alert_id:
            await self._alerts.change(alert_id, read_fields(fields), principal)
        else:
            await self._alerts.create(read_fields(fields), principal)
        raise web.HTTPSeeOther("/ui/alerts")

    @Endpoint("POST", "/ui/alerts/preview", Role.READ, "Try an alert on a page", failures=(400, 504))
    async def _preview(self, request: web.Request, principal: Principal) -> web.Response:
        """Shows the form as it was filled in, with when the alert would have fired."""
        form = await self._pages.read_form(request, principal)
        fields = read_fields(form)
        alert_id = form.get("alert_id", "")
        view = await self._alerts.find(alert_id, principal.tenant) if alert_id else None
        # A rule that is tried needs no name yet.
        rule = build_rule({**fields, "name": fields.get("name") or "preview"}, "preview", principal.tenant)
        preview = await preview_rule(self._alerts.store, rule, now_us(), _days(form.get("days", "")))
        shown = {**written_fields(rule), "name": fields.get("name", "")}
        return await self._render_form(
            request, principal, shown, view, (rule, preview), preview_days=form["days"]
        )

    async def _render_form(
        self,
        request: web.Request,
        principal: Principal,
        fields: Mapping[str, object],
        view: AlertView | None,
        tried: tuple[AlertRule, Preview] | None = None,
        preview_days: str = str(DEFAULT_DAYS),
    ) -> web.Response:
        where = fields["where"]
        assert isinstance(where, Mapping), "filters are by name"
        alert_id = None if view is None else view.rule.alert_id
        chart = None if tried is None else await asyncio.to_thread(_draw, *tried)
        values = {
            "view": view,
            "fields": fields,
            "where": "\n".join(f"{name}={text}" for name, text in where.items()),
            "days": preview_days,
            "rule": None if tried is None else tried[0],
            "preview": None if tried is None else tried[1],
            "chart": chart,
            "events": [] if alert_id is None else await self._events(principal, alert_id),
            "choices": {
                "measure": Measure,
                "severity": Severity,
                "no_data": NoDataMode,
                "test": AlertTest,
                "direction": Direction,
            },
            "measures": MEASURES,
            "groups": GROUPS,
            "method": METHOD,
            "describe": describe,
            "format_value": format_value,
            "format_duration": format_duration,
            "can_change": principal.has_role(Role.ADMIN) and not (view and view.rule.is_from_file),
            "rows": "/ui/requests?" + urlencode({**where, "from": "7d"}),
        }
        return await self._pages.render(request, principal, "alert.html", values)

    async def _events(self, principal: Principal, alert_id: str) -> object:
        return await self._alerts.events(principal.tenant, PAGE_EVENTS, alert_id=alert_id)


def _standing(view: AlertView) -> tuple[str, int]:
    """Return the worst status of a rule's groups, and how many groups have it."""
    statuses = [state.status for state in view.states]
    for status in (AlertStatus.FIRING, AlertStatus.OK, AlertStatus.NO_DATA):
        if status in statuses:
            return status.value, statuses.count(status)
    return "off" if not view.rule.is_enabled else "not looked at yet", 0


def read_fields(form: Mapping[str, str]) -> dict[str, object]:
    """Return the fields of a rule that a form means. Raises BadInput."""
    fields: dict[str, object] = {
        name: text.strip() for name, text in form.items() if name != FORM_TOKEN and text.strip()
    }
    read = {name: fields[name] for name in (*_BOXES, "no_data", "renotify") if name in fields}
    direction = str(fields.get("direction", ""))
    if direction not in tuple(Direction):
        raise BadInput(f"must be one of {', '.join(Direction)}.", field="direction")
    return {
        **read,
        direction: fields.get("threshold", ""),
        "where": read_filters(form.get("where", ""), "where"),
        "enabled": fields.get("enabled", "false"),
    }


def _days(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 5):
        raise BadInput("must be a whole number of days.", field="days")
    return int(text)


def _draw(rule: AlertRule, preview: Preview) -> Markup | None:
    labels = [f"{to_datetime(point.at_us):%m-%d %H:%M}" for point in preview.points]
    values = [point.value for point in preview.points]
    firing = [point.value if point.is_firing else None for point in preview.points]
    threshold = [rule.threshold] * len(labels)
    series = [Series("value", values, 0), Series("threshold", threshold, 2), Series("firing", firing, 1)]
    write = lambda value: "–" if value is None else format_value(rule.measure, value)  # noqa: E731
    chart = Chart(rule.measure.replace("_", " "), labels, series, (), write)
    return None if chart.is_empty else draw(chart)
