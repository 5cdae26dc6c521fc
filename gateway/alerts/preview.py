"""Preview: when a rule would have fired in the past, from sums by steps of time that are read once."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.alerts.evaluation import look_starts_us
from gateway.alerts.measures import MEASURES, ByGroup, MeasureReader, Observed, Series
from gateway.alerts.scheduler import judge_groups
from gateway.errors import BadInput, QueryTimeout
from gateway.models.alerts import (
    HOUR_US,
    MINUTE_US,
    AlertEvent,
    AlertRule,
    AlertState,
    AlertStatus,
    AlertTest,
    EventKind,
)
from gateway.models.metrics import DAY_US
from gateway.store.base import Queries

PREVIEW_SECONDS = 30.0
MAX_DAYS = 400
# Looks are further apart where there would be more, and of people, who are read for each step, where there would
# be more of these.
_MAX_LOOKS = 3_000
_MAX_READS = 200
_MAX_POINTS = 200
_STEPS_US = (
    *(minutes * MINUTE_US for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * HOUR_US for hours in (1, 2, 3, 4, 6, 12)),
    *(days * DAY_US for days in (1, 2, 5)),
)


@dataclass(frozen=True, slots=True)
class Point:
    """A look: the worst value of all groups."""

    at_us: int
    value: float | None
    is_firing: bool


@dataclass(slots=True)
class Preview:
    """What a rule would have done, with looks `step_us` apart and all feedback that is known by now."""

    from_us: int
    to_us: int
    step_us: int
    looks: int = 0
    events: list[AlertEvent] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    # Time for which each group fired.
    firing_us: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def fired(self) -> int:
        return sum(event.kind is EventKind.FIRED for event in self.events)


async def preview_rule(store: Queries, rule: AlertRule, to_us: int, days: int) -> Preview:
    """Return when a rule would have fired in the days before a time. Raises BadInput, QueryTimeout, TooLarge."""
    if not 1 <= days <= MAX_DAYS:
        raise BadInput(f"must be a whole number from 1 to {MAX_DAYS}.", field="days")
    if "waiting" in MEASURES[rule.measure].sources:
        raise BadInput("cannot be shown for the past: what waited then is not kept.", field="measure")
    step = _step_us(rule, days * DAY_US)
    last = (to_us - rule.settle_us) // step * step
    first = last - days * DAY_US // step * step
    try:
        async with asyncio.timeout(PREVIEW_SECONDS):
            series = await MeasureReader(store).read_series(rule, first - _lead_us(rule), last, step)
    except TimeoutError:
        hint = "Ask for fewer days, or a longer window."
        raise QueryTimeout(f"the preview took longer than {PREVIEW_SECONDS:g} s.", hint=hint) from None
    # Thousands of looks take long, and other callers' streams share the event loop.
    return await asyncio.to_thread(replay, rule, series, first, last, step)


def _lead_us(rule: AlertRule) -> int:
    return 2 * (rule.window_us // 2)


def _step_us(rule: AlertRule, length_us: int) -> int:
    most = _MAX_READS if "people" in MEASURES[rule.measure].sources else _MAX_LOOKS
    least = max(rule.interval_us, (length_us + _lead_us(rule)) // most)
    half = rule.window_us // 2
    fitting = [step for step in _STEPS_US if step >= least and half % step == 0]
    if fitting:
        return fitting[0]
    if half < least:
        days = max(half * most // DAY_US, 1)
        raise BadInput(f"may be {days} at most with this window; looks would be too far apart.", field="days")
    return half


def replay(rule: AlertRule, series: Series, from_us: int, to_us: int, step_us: int) -> Preview:
    """Return what the looks at the ends of all steps would have said. Pure."""
    found = Preview(from_us, to_us, step_us)
    states: dict[str, AlertState] = {}
    for at_us, parts in _parts_by_look(rule, series, from_us, to_us, step_us):
        judged, events, _ = judge_groups(rule, parts, states, at_us + rule.settle_us)
        states = {state.group_value: state for state in judged}
        found.looks += 1
        found.events.extend(events)
        firing = [state for state in judged if state.status is AlertStatus.FIRING]
        for state in firing:
            found.firing_us[state.group_value] += step_us
        found.points.append(Point(at_us + rule.settle_us, _worst(rule, judged), bool(firing)))
    # Those of a firing look stay, as far as there is room.
    every = -(-len(found.points) // _MAX_POINTS) or 1
    found.points = [_merge(found.points[at : at + every]) for at in range(0, len(found.points), every)]
    return found


def _worst(rule: AlertRule, states: list[AlertState]) -> float | None:
    values = [state.value for state in states if state.value is not None]
    if not values:
        return None
    return max(values) if rule.direction.value == "above" else min(values)


def _merge(points: list[Point]) -> Point:
    values = [point.value for point in points if point.value is not None]
    mean = sum(values) / len(values) if values else None
    return Point(points[0].at_us, mean, any(point.is_firing for point in points))


def _parts_by_look(
    rule: AlertRule, series: Series, from_us: int, to_us: int, step_us: int
) -> Iterator[tuple[int, list[ByGroup]]]:
    """Yield the end of each step with the parts of the time that a look then reads."""
    steps = sorted(series)
    sums: dict[int, dict[str, Observed]] = {}
    added = 0
    for at_us in range(from_us + step_us, to_us + 1, step_us):
        # A look at the very end of a half window still reads that one.
        starts = look_starts_us(rule, at_us - 1 if rule.test is AlertTest.SEQUENTIAL else at_us)
        if rule.test is AlertTest.NONE:
            within = range(max(starts[0], steps[0] if steps else at_us), at_us, step_us)
            yield at_us, [_sum_up(series, within)]
            continue
        while added < len(steps) and steps[added] < at_us:
            half = rule.window_us // 2
            begun = sums.setdefault(steps[added] // half * half, {})
            _add_up(begun, series[steps[added]])
            added += 1
        yield at_us, [sums.get(start, {}) for start in starts]


def _sum_up(series: Series, starts: range) -> dict[str, Observed]:
    total: dict[str, Observed] = {}
    for start in starts:
        _add_up(total, series.get(start, {}))
    return total


def _add_up(total: dict[str, Observed], more: ByGroup) -> None:
    for group, seen in more.items():
        total[group] = total[group] + seen if group in total else seen
