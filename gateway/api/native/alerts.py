"""`/api/v1/alerts`: rules with where they stand, their events, and when a rule would have fired."""

from __future__ import annotations

from typing import Annotated, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from gateway.alerts.definition import AlertService, AlertView, build_rule, written_fields
from gateway.alerts.evaluation import describe
from gateway.alerts.measures import MAX_GROUPS, MEASURES
from gateway.alerts.preview import MAX_DAYS, Preview, preview_rule
from gateway.alerts.sequential import METHOD
from gateway.api.native.filters import DEFAULT_LIMIT, Limit, NumberCursor
from gateway.api.native.http_responses import NextCursor
from gateway.api.native.schemas import Time, format_time
from gateway.models import alerts as models
from gateway.models.clock import format_duration, format_rfc3339, now_us
from gateway.models.principal import Principal, Role
from gateway.web.bodies import ScalarInput, read_json, validate_body
from gateway.web.endpoint import Endpoint, Example, Schema
from gateway.web.query_params import QueryParams

_MEASURES = "; ".join(f"`{name}`: {kind.description}" for name, kind in MEASURES.items())
_Input = TypeVar("_Input", bound="AlertInput")
_Duration = Annotated[str, Field(pattern="^[0-9]{1,6}[smhdw]$")]


class AlertInput(BaseModel):
    """A rule; `above` or `below` is the threshold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    measure: models.Measure = Field(description=f"What is watched. {_MEASURES}.")
    above: float | None = Field(None, description="Threshold that the measure shall not be above.")
    below: float | None = Field(None, description="Threshold that it shall not be below.")
    where: dict[str, ScalarInput] = Field(
        default_factory=dict, description="Filters by their names, those of `/api/v1/aggregates`."
    )
    group_by: str | None = Field(
        None, description=f"Field whose values are watched one by one, at most {MAX_GROUPS}."
    )
    window: _Duration | None = Field(None, description="Time that a look is about, from `5m` to `31d`.")
    settle: _Duration | None = Field(None, description="Age from which requests count.")
    min_count: int | None = Field(None, description="With fewer requests or people there is no data.")
    test: models.AlertTest | None = Field(
        None, description=f"`sequential`: {METHOD} `none`: the value decides."
    )
    no_data: models.NoDataMode | None = Field(
        None, description="Without data: `ok` ends an alert, `alert` fires, `keep` changes nothing."
    )
    renotify: _Duration | None = Field(None, description="Pause between reminders while it fires.")
    severity: models.Severity | None = None
    description: str | None = Field(None, description="What to do about it.")
    enabled: bool | None = None

    def fields(self) -> dict[str, object]:
        return self.model_dump(mode="json", exclude_none=True, exclude={"days"})


class PreviewInput(AlertInput):
    days: int = Field(7, ge=1, le=MAX_DAYS, description="How many days back.")


class AlertStateShape(Schema):
    """Where a rule stands for one group."""

    group: str = Field(description="Value of `group_by`; empty without it.")
    status: models.AlertStatus
    since: Time | None
    value: float | None
    low: float | None = Field(description="With `high`, the 95 % interval of the value at this look.")
    high: float | None
    sample: int = Field(description="Requests, or people where scores are measured.")
    evidence: float | None = Field(description="Part of the evidence that is needed; 1 fires.")
    summary: str

    @classmethod
    def of(cls, rule: models.AlertRule, state: models.AlertState) -> AlertStateShape:
        return cls(
            group=state.group_value, status=state.status, since=format_time(state.since_us),
            value=state.value, low=state.low, high=state.high, sample=state.sample, evidence=state.evidence,
            summary=describe(rule, state),
        )  # fmt: skip


class AlertShape(Schema):
    alert_id: str
    version: int
    is_from_file: bool = Field(description="Whether it is of the configuration file, and not changed here.")
    tenant: str | None
    name: str
    description: str
    severity: models.Severity
    measure: models.Measure
    where: dict[str, str]
    group_by: str | None
    above: float | None
    below: float | None
    window: str
    settle: str
    min_count: int
    test: models.AlertTest
    no_data: models.NoDataMode
    renotify: str | None
    enabled: bool
    interval_seconds: int = Field(description="Between two looks.")
    next_look_at: Time | None = Field(description="Null before the first look.")
    groups_left_out: int = Field(description="Groups beyond those that are watched.")
    error: str | None = Field(description="Why the last look failed.")
    states: list[AlertStateShape]

    @classmethod
    def of(cls, view: AlertView) -> AlertShape:
        rule, check = view.rule, view.check
        return cls.model_validate(
            {
                "alert_id": rule.alert_id,
                "version": rule.version,
                "is_from_file": rule.is_from_file,
                "tenant": rule.tenant,
                **written_fields(rule),
                "interval_seconds": rule.interval_us // 1_000_000,
                "next_look_at": format_time(check.next_at_us) if check and check.next_at_us else None,
                "groups_left_out": check.groups_left_out if check else 0,
                "error": check.error if check else None,
                "states": [AlertStateShape.of(rule, state) for state in view.states],
            }
        )


class AlertListReply(Schema):
    data: list[AlertShape] = Field(description="Those of the configuration file first.")


class AlertEventShape(Schema):
    seq: int
    event_id: str
    alert_id: str
    name: str
    severity: models.Severity
    kind: models.EventKind
    group_by: str | None
    group: str
    at: Time
    measure: models.Measure
    value: float | None
    low: float | None
    high: float | None
    direction: models.Direction
    threshold: float
    window: str
    sample: int
    message: str
    description: str

    @classmethod
    def of(cls, event: models.AlertEvent) -> AlertEventShape:
        return cls(
            seq=event.seq, event_id=event.event_id, alert_id=event.alert_id, name=event.name,
            severity=event.severity, kind=event.kind, group_by=event.group_by, group=event.group_value,
            at=format_rfc3339(event.at_us), measure=event.measure, value=event.value, low=event.low,
            high=event.high, direction=event.direction, threshold=event.threshold,
            window=format_duration(event.window_us), sample=event.sample, message=event.message,
            description=event.description,
        )  # fmt: skip


class DeletedAlertReply(Schema):
    alert_id: str


class AlertEventListReply(Schema):
    data: list[AlertEventShape] = Field(description="Newest first.")
    next_cursor: NextCursor


class PreviewPoint(Schema):
    at: Time
    value: float | None = Field(description="The worst of all groups; of several looks, their mean.")
    is_firing: bool


class PreviewReply(Schema):
    starts_at: Time
    ends_at: Time
    step_seconds: int = Field(description="Between two looks; the rule itself may look more often.")
    looks: int
    fired: int
    firing_seconds: dict[str, int] = Field(description="For how long, by group.")
    events: list[AlertEventShape] = Field(description="In order, at most 1,000.")
    points: list[PreviewPoint]
    method: str

    @classmethod
    def of(cls, preview: Preview) -> PreviewReply:
        return cls(
            starts_at=format_rfc3339(preview.from_us),
            ends_at=format_rfc3339(preview.to_us),
            step_seconds=preview.step_us // 1_000_000,
            looks=preview.looks,
            fired=preview.fired,
            firing_seconds={group: firing // 1_000_000 for group, firing in preview.firing_us.items()},
            events=[AlertEventShape.of(event) for event in preview.events[:1_000]],
            points=[
                PreviewPoint(at=format_rfc3339(point.at_us), value=point.value, is_firing=point.is_firing)
                for point in preview.points
            ],
            method=METHOD,
        )


class AlertEventParams(QueryParams):
    alert_id: str | None = Field(None, description="Events of this alert.")
    limit: Limit = DEFAULT_LIMIT
    cursor: NumberCursor = None


_EXAMPLE = {
    "name": "support-errors",
    "measure": "error_rate",
    "above": 0.05,
    "where": {"metadata.team": "support"},
}


class AlertEndpoints:
    def __init__(self, alerts: AlertService, max_body_bytes: int) -> None:
        self._alerts = alerts
        self._max_body_bytes = max_body_bytes

    @Endpoint(
        "POST",
        "/api/v1/alerts",
        Role.ADMIN,
        "Make an alert",
        body=AlertInput,
        failures=(400, 409, 503),
        example=Example(body=_EXAMPLE),
    )
    async def _create(self, request: web.Request, principal: Principal) -> AlertShape:
        """The key's tenant is that of the alert, which then watches its requests alone."""
        rule = await self._alerts.create((await self._read(request, AlertInput)).fields(), principal)
        return AlertShape.of(AlertView(rule, (), None))

    @Endpoint("GET", "/api/v1/alerts", Role.READ, "List alerts", failures=(503,), example=Example())
    async def _list(self, request: web.Request, principal: Principal) -> AlertListReply:
        """Rules and where they stand. A key of a tenant sees those of its tenant."""
        views = await self._alerts.list(principal.tenant)
        return AlertListReply(data=list(map(AlertShape.of, views)))

    @Endpoint(
        "GET",
        "/api/v1/alerts/events",
        Role.READ,
        "List events of alerts",
        failures=(400, 503),
        example=Example(query={"limit": "2"}),
    )
    async def _events(
        self, request: web.Request, principal: Principal, params: AlertEventParams
    ) -> AlertEventListReply:
        """Fired, resolved and reminded, newest first; also of alerts that were deleted."""
        events = await self._alerts.events(
            principal.tenant, params.limit + 1, alert_id=params.alert_id, before=params.cursor
        )
        page = events[: params.limit]
        cursor = str(page[-1].seq) if len(events) > params.limit else None
        return AlertEventListReply(data=list(map(AlertEventShape.of, page)), next_cursor=cursor)

    @Endpoint(
        "POST",
        "/api/v1/alerts/preview",
        Role.READ,
        "Preview an alert on the past",
        body=PreviewInput,
        failures=(400, 503, 504),
        example=Example(body={**_EXAMPLE, "days": 3}),
    )
    async def _preview(self, request: web.Request, principal: Principal) -> PreviewReply:
        """When the rule would have fired in the days before, with what is stored by now."""
        given = await self._read(request, PreviewInput)
        rule = build_rule(given.fields(), "preview", principal.tenant)
        return PreviewReply.of(await preview_rule(self._alerts.store, rule, now_us(), given.days))

    @Endpoint("GET", "/api/v1/alerts/{alert_id:.*[^/]}", Role.READ, "Show an alert", failures=(404, 503))
    async def _show(self, request: web.Request, principal: Principal) -> AlertShape:
        """By its id or its name."""
        return AlertShape.of(await self._alerts.find(request.match_info["alert_id"], principal.tenant))

    @Endpoint(
        "PUT",
        "/api/v1/alerts/{alert_id:.*[^/]}",
        Role.ADMIN,
        "Replace an alert",
        body=AlertInput,
        failures=(400, 404, 409, 503),
        example=Example(body=_EXAMPLE),
    )
    async def _change(self, request: web.Request, principal: Principal) -> AlertShape:
        """What is left out gets its default. Alerts of the configuration file are refused with 409."""
        alert_id = request.match_info["alert_id"]
        fields = (await self._read(request, AlertInput)).fields()
        await self._alerts.change(alert_id, fields, principal)
        return AlertShape.of(await self._alerts.find(alert_id, principal.tenant))

    @Endpoint(
        "DELETE",
        "/api/v1/alerts/{alert_id:.*[^/]}",
        Role.ADMIN,
        "Delete an alert",
        failures=(404, 409, 503),
    )
    async def _delete(self, request: web.Request, principal: Principal) -> DeletedAlertReply:
        """Its events stay."""
        alert_id = await self._alerts.delete(request.match_info["alert_id"], principal.tenant)
        return DeletedAlertReply(alert_id=alert_id)

    async def _read(self, request: web.Request, model: type[_Input]) -> _Input:
        return validate_body(model, await read_json(request, self._max_body_bytes))
