"""Definition of rules: checked fields with defaults by measure, rules of the file, and changes to stored ones."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeVar

from gateway.alerts.measures import MEASURES, MeasureKind
from gateway.errors import BadInput, Conflict, NotFound
from gateway.models.alerts import (
    FILE_PREFIX,
    MINUTE_US,
    AlertCheck,
    AlertEvent,
    AlertRule,
    AlertState,
    AlertTest,
    Direction,
    Measure,
    NoDataMode,
    Severity,
)
from gateway.models.clock import format_duration, now_us, parse_duration_us
from gateway.models.filters import NO_FILTER, AllOf, Comparison, Op, Page, Sort
from gateway.models.ids import new_id
from gateway.models.metrics import DAY_US
from gateway.models.principal import Principal
from gateway.query.filters import METADATA_PREFIX, METRICS_FILTERS
from gateway.query.metrics import GROUP_FIELDS
from gateway.store.base import Store

MAX_NAME, MAX_DESCRIPTION = 128, 2_000
MIN_WINDOW_US, MAX_WINDOW_US = 5 * MINUTE_US, 31 * DAY_US
MAX_SETTLE_US = 7 * DAY_US
MAX_COUNT = 1_000_000

# Paths that begin with those of alerts; a browser takes away the last two.
_TAKEN_NAMES = ("events", "new", ".", "..")

# Their values are people, and what alerts keep would outlive an erasure.
_NEVER_GROUPED = ("user", "session")
GROUPS = tuple(name for name in GROUP_FIELDS if name not in _NEVER_GROUPED)

# Fields of a rule as callers write them.
FIELDS = (
    "name", "description", "severity", "measure", "where", "group_by", "above", "below", "window", "settle",
    "min_count", "test", "no_data", "renotify", "enabled",
)  # fmt: skip

Choice = TypeVar("Choice", bound=StrEnum)


def build_rule(given: Mapping[str, object], alert_id: str, tenant: str | None) -> AlertRule:
    """Return the rule that these fields mean; None counts as left out. Raises BadInput, which names the field."""
    said = {name: value for name, value in given.items() if value is not None}
    for name in said:
        if name not in FIELDS:
            raise BadInput("is not a field of an alert.", field=name, hint=f"Allowed: {', '.join(FIELDS)}.")
    measure = _choice(said, "measure", Measure)
    if measure is None:
        raise BadInput("is missing.", field="measure", hint=f"Allowed: {', '.join(Measure)}.")
    kind = MEASURES[measure]
    direction, threshold = _threshold(said, measure, kind)
    rule = AlertRule(
        alert_id=alert_id,
        tenant=tenant,
        name=_name(said),
        description=_text(said, "description", 0, MAX_DESCRIPTION),
        severity=_choice(said, "severity", Severity) or Severity.WARNING,
        measure=measure,
        filters=_filters(said.get("where", {})),
        group_by=_group(said.get("group_by")),
        direction=direction,
        threshold=threshold,
        window_us=_duration(said, "window", kind.window_us, MIN_WINDOW_US, MAX_WINDOW_US),
        settle_us=_duration(said, "settle", kind.settle_us, 0, MAX_SETTLE_US),
        min_count=_count(said, kind),
        test=_test(said, measure, kind),
        no_data=_choice(said, "no_data", NoDataMode) or NoDataMode.KEEP,
        renotify_us=_duration(said, "renotify", 0, MINUTE_US, 31 * DAY_US) or None,
        is_enabled=_flag(said.get("enabled", True)),
    )
    if "waiting" in kind.sources and (rule.filters or rule.group_by):
        name = "where" if rule.filters else "group_by"
        raise BadInput(f"is not for {measure}: what waits has no request yet. Leave it out.", field=name)
    return rule


def _text(said: Mapping[str, object], name: str, least: int, most: int) -> str:
    text = said.get(name, "")
    if not isinstance(text, str) or not least <= len(text.strip()) <= most:
        raise BadInput(f"must be a text of {least} to {most:,} characters.", field=name)
    return text.strip()


def _name(said: Mapping[str, object]) -> str:
    name = _text(said, "name", 1, MAX_NAME)
    if not name.isprintable():
        raise BadInput("must be printable.", field="name")
    if name in _TAKEN_NAMES or name.endswith("/"):
        fault = f"{name!r} could not be read at /api/v1/alerts/NAME."
        raise BadInput(fault, field="name", hint="Choose another name.")
    return name


def _choice(said: Mapping[str, object], name: str, allowed: type[Choice]) -> Choice | None:
    if name not in said:
        return None
    try:
        return allowed(str(said[name]))
    except ValueError:
        raise BadInput(f"must be one of {', '.join(allowed)}; got {said[name]!r}.", field=name) from None


def _threshold(said: Mapping[str, object], measure: Measure, kind: MeasureKind) -> tuple[Direction, float]:
    sides = [direction for direction in Direction if direction in said]
    if len(sides) != 1:
        usual = f"For {measure} it is usually {kind.bad}."
        fault = "is missing; give above or below." if not sides else "and above exclude each other."
        raise BadInput(fault, field="below" if sides else "above", hint=usual)
    [direction] = sides
    threshold = _number(said[direction], direction)
    low, high = kind.bounds
    if not low <= threshold <= high:
        what = f"from {low:g} to {high:g}" if high < 1e6 else f"at least {low:g}"
        raise BadInput(f"must be {what} for {measure} ({kind.unit}); got {threshold:g}.", field=direction)
    return direction, threshold


def _number(value: object, name: str) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number or (isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,12})?", value)):
        number = float(str(value))
        if math.isfinite(number):
            return number
    raise BadInput(f"must be a number such as 0.05; got {value!r}.", field=name)


def _count(said: Mapping[str, object], kind: MeasureKind) -> int:
    count = _number(said.get("min_count", kind.min_count), "min_count")
    if not (1 <= count <= MAX_COUNT and count == int(count)):
        raise BadInput(f"must be a whole number from 1 to {MAX_COUNT:,}.", field="min_count")
    return int(count)


def _duration(said: Mapping[str, object], name: str, default: int, least: int, most: int) -> int:
    if name not in said:
        return default
    bounds = f"from {format_duration(least)} to {format_duration(most)}"
    try:
        duration_us = parse_duration_us(str(said[name]))
    except ValueError as error:
        raise BadInput(f"{error}, {bounds}; got {said[name]!r}.", field=name) from None
    if not least <= duration_us <= most:
        raise BadInput(f"must be {bounds}; got {said[name]}.", field=name)
    return duration_us


def _flag(value: object) -> bool:
    if value not in (True, False, "true", "false"):
        raise BadInput("must be true or false.", field="enabled")
    return value in (True, "true")


def _test(said: Mapping[str, object], measure: Measure, kind: MeasureKind) -> AlertTest:
    default = AlertTest.NONE if kind.observations is None else AlertTest.SEQUENTIAL
    test = _choice(said, "test", AlertTest) or default
    if test is AlertTest.SEQUENTIAL and kind.observations is None:
        tested = ", ".join(name for name, each in MEASURES.items() if each.observations is not None)
        fault = f"must be none for {measure}, whose observations have no bounds; sequential is for {tested}."
        raise BadInput(fault, field="test")
    return test


def _filters(where: object) -> Mapping[str, object]:
    if not isinstance(where, Mapping):
        raise BadInput("must have filters by their names, such as {model: gpt-4o}.", field="where")
    for name in ("from", "to"):
        if name in where:
            raise BadInput("is not for alerts, which watch a window of time.", field=f"where.{name}")
    texts = {str(name): _filter_text(value) for name, value in where.items()}
    try:
        METRICS_FILTERS.to_filter(texts.items())
    except BadInput as error:
        raise BadInput(error.message, field=f"where.{error.field}", hint=error.hint) from None
    return dict(texts)


def _filter_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _group(name: object) -> str | None:
    if name is None:
        return None
    text = str(name)
    if text.startswith(METADATA_PREFIX) and text != METADATA_PREFIX:
        return text
    if text not in GROUPS:
        hint = "Alerts keep values for long, so users and sessions are no groups."
        raise BadInput(f"must be one of {', '.join(GROUPS)}, metadata.KEY.", field="group_by", hint=hint)
    return GROUP_FIELDS[text]


def written_fields(rule: AlertRule) -> dict[str, object]:
    """Return the fields of a rule as callers write them, all of them."""
    group = "model" if rule.group_by == "any_model" else rule.group_by
    return {
        "name": rule.name,
        "description": rule.description,
        "severity": rule.severity.value,
        "measure": rule.measure.value,
        "where": dict(rule.filters),
        "group_by": group,
        "above": rule.threshold if rule.direction is Direction.ABOVE else None,
        "below": rule.threshold if rule.direction is Direction.BELOW else None,
        "window": format_duration(rule.window_us),
        "settle": format_duration(rule.settle_us),
        "min_count": rule.min_count,
        "test": rule.test.value,
        "no_data": rule.no_data.value,
        "renotify": None if rule.renotify_us is None else format_duration(rule.renotify_us),
        "enabled": rule.is_enabled,
    }


def rules_of_file(given: Sequence[tuple[Mapping[str, object], str | None]]) -> tuple[AlertRule, ...]:
    """Return the rules of the configuration file, each with its tenant. Raises BadInput with the field's path."""
    rules: dict[str, AlertRule] = {}
    for position, (fields, tenant) in enumerate(given):
        alert_id = f"{FILE_PREFIX}{fields.get('name')}"
        try:
            rule = build_rule(fields, alert_id, tenant)
        except BadInput as error:
            raise BadInput(error.message, field=f"alerts.{position}.{error.field}", hint=error.hint) from None
        if alert_id in rules:
            raise BadInput(f"{rule.name!r} is given twice.", field=f"alerts.{position}.name")
        rules[alert_id] = rule
    return tuple(rules.values())


def is_state_of(rule: AlertRule, state: AlertState) -> bool:
    # A rule may have got another tenant, who must not see the groups of the one before, or another field, by which
    # a group that fires would never end.
    return all(getattr(state, name) == getattr(rule, name) for name in ("alert_id", "tenant", "group_by"))


@dataclass(frozen=True, slots=True)
class AlertView:
    """A rule, where it stands for each group, and the last look at it."""

    rule: AlertRule
    states: tuple[AlertState, ...]
    check: AlertCheck | None


@dataclass(slots=True)
class AlertService:
    """Lists rules with their states, and changes those that are not of the configuration file.

    Args:
        file_rules: replaced by a reload.
        on_change: called when a rule should be looked at soon.
    """

    store: Store
    file_rules: tuple[AlertRule, ...] = ()
    on_change: Callable[[], None] = field(default=lambda: None)

    async def list(self, tenant: str | None) -> list[AlertView]:
        """Return the rules that a tenant sees: of the file first, then as they were made."""
        of_file = [rule for rule in self.file_rules if tenant is None or rule.tenant == tenant]
        stored = await self.store.find_alerts(NO_FILTER, Sort(descending=False), Page(10_000), tenant)
        rules = [*of_file, *stored]
        states = await self.store.alert_states([rule.alert_id for rule in rules])
        checks = await self.store.alert_checks()
        return [
            AlertView(
                rule,
                tuple(state for state in states if is_state_of(rule, state)),
                checks.get(rule.alert_id),
            )
            for rule in rules
        ]

    async def find(self, alert_id: str, tenant: str | None) -> AlertView:
        """Return a rule by its id, or by its name where one alone has it. Raises NotFound, Conflict."""
        views = await self.list(tenant)
        found = [view for view in views if view.rule.alert_id == alert_id]
        found = found or [view for view in views if view.rule.name == alert_id]
        if not found:
            raise NotFound("there is no such alert.", field="alert_id")
        if len(found) > 1:
            ids = ", ".join(view.rule.alert_id for view in found)
            raise Conflict("several alerts have this name.", field="alert_id", hint=f"Use an id: {ids}.")
        return found[0]

    async def create(self, fields: Mapping[str, object], principal: Principal) -> AlertRule:
        """Store a new rule, of the caller's tenant. Raises BadInput, Conflict."""
        rule = build_rule(fields, new_id(), principal.tenant)
        now = now_us()
        rule = replace(rule, key_name=principal.name, created_at_us=now, updated_at_us=now)
        await self.store.put_alert(rule)
        self.on_change()
        return rule

    async def change(self, alert_id: str, fields: Mapping[str, object], principal: Principal) -> AlertRule:
        """Replace a rule. Raises BadInput, NotFound, Conflict."""
        stored = (await self.find(alert_id, principal.tenant)).rule
        _refuse_rule_of_file(stored)
        rule = build_rule(fields, stored.alert_id, stored.tenant)
        rule = replace(
            rule,
            version=stored.version + 1,
            key_name=principal.name,
            created_at_us=stored.created_at_us,
            updated_at_us=now_us(),
        )
        await self.store.put_alert(rule)
        self.on_change()
        return rule

    async def delete(self, alert_id: str, tenant: str | None) -> str:
        """Delete a rule with its states, and return its id; its events stay. Raises NotFound, Conflict."""
        rule = (await self.find(alert_id, tenant)).rule
        _refuse_rule_of_file(rule)
        await self.store.delete_alert(rule.alert_id)
        return rule.alert_id

    async def events(
        self, tenant: str | None, limit: int, *, alert_id: str | None = None, before: int | None = None
    ) -> Sequence[AlertEvent]:
        """Return events, the newest first."""
        parts = [Comparison("alert_id", Op.EQ, alert_id)] if alert_id is not None else []
        parts += [Comparison("seq", Op.LT, before)] if before is not None else []
        return await self.store.find_alert_events(AllOf(tuple(parts)), Sort(), Page(limit), tenant)


def _refuse_rule_of_file(rule: AlertRule) -> None:
    if rule.is_from_file:
        raise Conflict("the alert is of the configuration file.", hint="Change it there, and send SIGHUP.")
