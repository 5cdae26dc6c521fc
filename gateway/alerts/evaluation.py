"""Evaluation: from what was seen to a value, its evidence, a state, and perhaps an event. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gateway.alerts.measures import MEASURES, Observed
from gateway.alerts.sequential import half_windows_us, share_of_needed
from gateway.models.alerts import (
    AlertEvent,
    AlertRule,
    AlertState,
    AlertStatus,
    AlertTest,
    Direction,
    EventKind,
    Measure,
    NoDataMode,
)
from gateway.models.clock import format_duration
from gateway.models.ids import new_id
from gateway.query.statistics import Estimate


@dataclass(frozen=True, slots=True)
class Look:
    """What one look at a group found.

    Args:
        evidence: of a sequential test, as a part of what is needed.
        has_data: whether there are enough requests or people.
        is_bad: whether the value is on the bad side of the threshold.
        is_crossed: whether the test says that the measure is.
    """

    estimate: Estimate | None
    sample: int
    evidence: float | None
    has_data: bool
    is_bad: bool
    is_crossed: bool


def look_starts_us(rule: AlertRule, to_us: int) -> tuple[int, ...]:
    """Return where the parts of the time begin that a look at the time until `to_us` reads, the earlier first."""
    if rule.test is AlertTest.SEQUENTIAL:
        return half_windows_us(rule.window_us, to_us)
    return (to_us - rule.window_us,)


def look_at(rule: AlertRule, parts: Sequence[Observed], groups: int) -> Look:
    """Return what is to be said of a group, given the parts of its time that begin at `look_starts_us`."""
    kind = MEASURES[rule.measure]
    whole = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    estimate = kind.value(whole)
    sample = whole.usage.requests if kind.count is None else kind.count(whole)
    has_data = estimate is not None and (kind.count is None or sample >= rule.min_count)
    is_bad = estimate is not None and _is_bad(rule, estimate.value)
    if rule.test is AlertTest.NONE or kind.observations is None:
        return Look(estimate, sample, None, has_data, is_bad, is_crossed=has_data and is_bad)
    bets = [kind.observations(seen, rule.threshold) for seen in (whole, parts[-1])]
    evidence = share_of_needed(bets, rule.direction, rule.window_us, groups)
    return Look(estimate, sample, evidence, has_data, is_bad, is_crossed=has_data and evidence >= 1)


def _is_bad(rule: AlertRule, value: float) -> bool:
    return value > rule.threshold if rule.direction is Direction.ABOVE else value < rule.threshold


def judge(
    rule: AlertRule, group: str, earlier: AlertState | None, look: Look, at_us: int
) -> tuple[AlertState, AlertEvent | None]:
    """Return the state of a group after a look, and the event that it makes."""
    before = earlier.status if earlier is not None else AlertStatus.OK
    status = _next_status(rule, before, look)
    is_same = earlier is not None and status is earlier.status
    estimate = look.estimate or Estimate(0.0, None, None)
    state = AlertState(
        alert_id=rule.alert_id,
        group_by=rule.group_by,
        group_value=group,
        tenant=rule.tenant,
        status=status,
        since_us=earlier.since_us if earlier is not None and is_same else at_us,
        value=None if look.estimate is None else estimate.value,
        low=estimate.low,
        high=estimate.high,
        sample=look.sample,
        evidence=look.evidence,
        checked_at_us=at_us,
        notified_at_us=earlier.notified_at_us if earlier is not None else None,
    )
    kind = _event_kind(rule, before, state, at_us)
    if kind is None:
        return state, None
    if kind is not EventKind.RESOLVED:
        state = replace(state, notified_at_us=at_us)
    return state, _event(rule, kind, state, look)


def _next_status(rule: AlertRule, before: AlertStatus, look: Look) -> AlertStatus:
    if not look.has_data:
        if rule.no_data is NoDataMode.KEEP and before is AlertStatus.FIRING:
            return AlertStatus.FIRING
        return AlertStatus.FIRING if rule.no_data is NoDataMode.ALERT else AlertStatus.NO_DATA
    # What has fired ends only once the value is good again; evidence comes and goes with the window.
    if look.is_crossed or (before is AlertStatus.FIRING and look.is_bad):
        return AlertStatus.FIRING
    return AlertStatus.OK


def _event_kind(rule: AlertRule, before: AlertStatus, state: AlertState, at_us: int) -> EventKind | None:
    is_firing, was_firing = state.status is AlertStatus.FIRING, before is AlertStatus.FIRING
    if is_firing and not was_firing:
        return EventKind.FIRED
    if was_firing and not is_firing:
        return EventKind.RESOLVED
    if not is_firing or rule.renotify_us is None:
        return None
    is_due = at_us - (state.notified_at_us or 0) >= rule.renotify_us
    return EventKind.RENOTIFIED if is_due else None


def _event(rule: AlertRule, kind: EventKind, state: AlertState, look: Look) -> AlertEvent:
    return AlertEvent(
        event_id=new_id(),
        alert_id=rule.alert_id,
        tenant=rule.tenant,
        name=rule.name,
        severity=rule.severity,
        kind=kind,
        group_by=rule.group_by,
        group_value=state.group_value,
        at_us=state.checked_at_us,
        measure=rule.measure,
        direction=rule.direction,
        threshold=rule.threshold,
        window_us=rule.window_us,
        value=state.value,
        low=state.low,
        high=state.high,
        sample=state.sample,
        message=describe(rule, state, has_data=look.has_data),
        description=rule.description,
    )


def describe(rule: AlertRule, state: AlertState, *, has_data: bool = True) -> str:
    """Return one sentence on where a rule stands for a group."""
    sources, window = MEASURES[rule.measure].sources, format_duration(rule.window_us)
    field = "model" if rule.group_by == "any_model" else rule.group_by
    whose = f" of {field} {state.group_value!r}" if field else ""
    subject = f"{rule.measure.replace('_', ' ')}{whose}"
    seen = f"{state.sample:,} {'people' if 'people' in sources else 'requests'}"
    if state.value is None or not has_data or state.status is AlertStatus.NO_DATA:
        return f"{subject}: no data, {seen} in {window}."
    value, limit = (format_value(rule.measure, each) for each in (state.value, rule.threshold))
    side = rule.direction.value if _is_bad(rule, state.value) else f"not {rule.direction}"
    over = "" if "waiting" in sources else f" over {window} ({seen})"
    return f"{subject} is {value}{over}, {side} {limit}."


def format_value(measure: Measure, value: float) -> str:
    """Return a value with its unit."""
    match MEASURES[measure].unit:
        case "share":
            return f"{value * 100:.3g} %"
        case "ms":
            return f"{value:,.0f} ms"
        case "usd":
            return f"${value:,.2f}" if value >= 1 or not value else f"${value:.3g}"
        case "score":
            return f"{value:.2f}"
        case _:
            return f"{value:,.0f}"
