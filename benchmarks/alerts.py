"""How often alerts fire falsely in a year, and what they miss, with and without the sequential test.

Minutes of traffic are drawn, and each minute the gateway's own functions look at the rule. Looks that cannot fire,
where nothing fires and the value of each part is good, are left out for speed. Times are minutes.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from statistics import median

from gateway.alerts.definition import build_rule
from gateway.alerts.evaluation import judge, look_at
from gateway.alerts.measures import Observed
from gateway.alerts.sequential import log_needed
from gateway.models.alerts import AlertRule, AlertState, AlertStatus, AlertTest, EventKind
from gateway.models.metrics import PersonSums, UsageSums
from gateway.query.statistics import wilson_interval

MINUTE_US = 60_000_000
YEAR = 365 * 24 * 60
HOUR, DAY = 60, 24 * 60
INCIDENTS = 400
_SEED = 20261201

# A step's requests with how many of them failed, or each person's scores with how many of them were good.
Step = Observed


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """Alerts of years in which the measure never crossed the threshold."""

    scenario: str
    test: str
    years: float
    alarms: int

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the alarms a year: exact, of a Poisson number (Garwood 1936)."""
        low = _solve(lambda mean: _poisson_tail(self.alarms, mean) - 0.025) if self.alarms else 0.0
        high = _solve(lambda mean: 0.025 - (1 - _poisson_tail(self.alarms + 1, mean)), rising=True)
        return low / self.years, high / self.years


@dataclass(frozen=True, slots=True)
class Missed:
    """Incidents of an hour, how many were not found while they lasted, and the minutes that the others took."""

    scenario: str
    test: str
    incidents: int
    missed: int
    delay: float | None

    @property
    def interval(self) -> tuple[float, float]:
        estimate = wilson_interval(self.missed / self.incidents, self.incidents)
        assert estimate is not None, "there are incidents"
        return estimate.low or 0.0, estimate.high or 1.0


def measure_alerts(years: float, say: Callable[[str], None]) -> tuple[list[FalseAlarms], list[Missed]]:
    """Simulate so many years of each scenario with the test, a tenth of it without, and `INCIDENTS` incidents."""
    false_alarms = []
    for name, fields, step_minutes, traffic in _scenarios():
        for test in AlertTest:
            rule = build_rule({**fields, "name": "r", "test": test.value}, "r", None)
            # Without the test there are so many that a part of the time is enough.
            length = years if test is AlertTest.SEQUENTIAL else years / 10
            dice = random.Random(_SEED)
            steps = islice(traffic(dice), int(length * YEAR / step_minutes))
            events = _looks(rule, steps, step_minutes)
            alarms = sum(kind is EventKind.FIRED for _, kind in events)
            false_alarms.append(FalseAlarms(name, test.value, length, alarms))
            say(f"{name}, {test}: {alarms} false alarms in {length:g} years")
    missed = [
        _incidents(hourly, rate, test)
        for hourly in (120, 1200)
        for rate in (0.1, 0.2, 0.5)
        for test in AlertTest
    ]
    for each in missed:
        say(f"{each.scenario}, {each.test}: {each.missed} of {each.incidents} missed")
    return false_alarms, missed


_Traffic = Callable[[random.Random], Iterator[Step]]
_ERRORS = {"measure": "error_rate", "above": 0.05, "settle": "0s"}
_DISLIKES = {"measure": "negative_share", "above": 0.2, "settle": "0s"}


def _scenarios() -> Iterator[tuple[str, dict[str, object], int, _Traffic]]:
    for hourly, rate in ((120, 0.05), (1200, 0.05), (120, 0.03)):
        name = f"errors {rate:.0%}, threshold 5 %, {hourly:,} requests/h"
        yield name, _ERRORS, 1, partial(_requests, a_minute=hourly / HOUR, rate=rate)
    yield "disliked 20 %, threshold 20 %, 150 people/day", _DISLIKES, DAY // 60, _people


def _requests(dice: random.Random, a_minute: float, rate: float) -> Iterator[Step]:
    while True:
        number = _poisson(dice, a_minute)
        errors = sum(dice.random() < rate for _ in range(number))
        yield Observed(UsageSums(requests=number, errors=errors))


def _people(dice: random.Random) -> Iterator[Step]:
    """Yield the scores of steps of 24 minutes: each person gives several, of which a share of their own is bad."""
    day = 0
    while True:
        day += 1
        # Mean 0.2; some like everything, and some nothing.
        tastes = [dice.betavariate(0.5, 2.0) for _ in range(150)]
        given: list[dict[str, PersonSums]] = [{} for _ in range(60)]
        for number, bad in enumerate(tastes):
            for _ in range(1 + _poisson(dice, 2)):
                people = given[dice.randrange(60)]
                name, is_good = f"{day}-{number}", dice.random() >= bad
                known = people.get(name, PersonSums())
                people[name] = PersonSums(known.entries + 1, known.positive + is_good, 0, known.weight + 1.0)
        yield from (Observed(people=people) for people in given)


def _poisson(dice: random.Random, mean: float) -> int:
    # D. E. Knuth, The Art of Computer Programming, volume 2, 3.4.1.
    limit, product, number = math.exp(-mean), dice.random(), 0
    while product > limit:
        product *= dice.random()
        number += 1
    return number


def _looks(rule: AlertRule, steps: Iterator[Step], step: int) -> Iterator[tuple[int, EventKind]]:
    """Look after each step; yield the minute and kind of each event."""
    window = rule.window_us // MINUTE_US // step
    parts_of = _halves if rule.test is AlertTest.SEQUENTIAL else _last
    state: AlertState | None = None
    for number, parts in enumerate(parts_of(steps, window)):
        is_firing = state is not None and state.status is AlertStatus.FIRING
        if not is_firing and not _may_fire(rule, parts):
            continue
        look = look_at(rule, [_observed(part) for part in parts], 1)
        state, event = judge(rule, "", state, look, number * step * MINUTE_US)
        if event is not None:
            yield number * step, event.kind


def _halves(steps: Iterator[Step], window: int) -> Iterator[list[_Sums]]:
    earlier, latest = _Sums(), _Sums()
    for number, seen in enumerate(steps):
        if number % (window // 2) == 0:
            earlier, latest = latest, _Sums()
        latest.add(seen)
        yield [earlier, latest]


def _last(steps: Iterator[Step], window: int) -> Iterator[list[_Sums]]:
    recent: deque[Step] = deque(maxlen=window)
    whole = _Sums()
    for seen in steps:
        if len(recent) == window and not seen.people:
            whole.requests -= recent[0].usage.requests
            whole.errors -= recent[0].usage.errors
        recent.append(seen)
        if seen.people:
            whole = _Sums()
            for each in recent:
                whole.add(each)
        else:
            whole.add(seen)
        yield [whole]


@dataclass(slots=True)
class _Sums:
    """What adds up fast, of millions of steps."""

    requests: int = 0
    errors: int = 0
    people: Observed = field(default_factory=Observed)

    def add(self, seen: Step) -> None:
        self.requests += seen.usage.requests
        self.errors += seen.usage.errors
        if seen.people:
            self.people = self.people + seen


def _observed(sums: _Sums) -> Observed:
    return replace(sums.people, usage=UsageSums(requests=sums.requests, errors=sums.errors))


def _may_fire(rule: AlertRule, parts: Sequence[_Sums]) -> bool:
    """Tell whether a look is worth it: a mixture of bets wins at most what the best single one would have won."""
    if parts[0].people.people or parts[-1].people.people:
        return True
    counts = [(parts[-1].requests, parts[-1].errors)]
    counts.append((sum(part.requests for part in parts), sum(part.errors for part in parts)))
    if rule.test is AlertTest.NONE:
        return counts[0][1] > rule.threshold * counts[0][0]
    needed = log_needed(rule.window_us, 1) - math.log(len(counts))
    return any(_most_evidence(errors, requests, rule.threshold) >= needed for requests, errors in counts)


def _most_evidence(errors: int, requests: int, threshold: float) -> float:
    if errors <= threshold * requests:
        return 0.0
    rate = errors / requests
    rest = (1 - rate) * math.log((1 - rate) / (1 - threshold)) if rate < 1 else 0.0
    return requests * (rate * math.log(rate / threshold) + rest)


def _incidents(hourly: int, rate: float, test: AlertTest) -> Missed:
    """Return how many hours with this error rate are missed, each after two of 2 %."""
    dice = random.Random(_SEED)
    rule = build_rule({**_ERRORS, "name": "r", "test": test.value}, "r", None)
    missed, delays = 0, []
    for _ in range(INCIDENTS):
        begins = 2 * HOUR + dice.randrange(HOUR)
        usual = islice(_requests(dice, hourly / HOUR, 0.02), begins)
        wrong = islice(_requests(dice, hourly / HOUR, rate), HOUR)
        steps = iter([*usual, *wrong])
        fired = [
            minute for minute, kind in _looks(rule, steps, 1) if kind is EventKind.FIRED and minute >= begins
        ]
        if fired:
            delays.append(fired[0] - begins + 1)
        else:
            missed += 1
    scenario = f"errors 2 % → {rate:.0%} for 1 h, {hourly:,} requests/h"
    return Missed(scenario, test.value, INCIDENTS, missed, median(delays) if delays else None)


def _poisson_tail(number: int, mean: float) -> float:
    """Return the probability of so many or more."""
    below = math.fsum(math.exp(-mean + k * math.log(mean) - math.lgamma(k + 1)) for k in range(number))
    return 1 - below


def _solve(function: Callable[[float], float], *, rising: bool = False) -> float:
    """Return where a function of a mean crosses 0, from below to above."""
    low, high = 1e-9, 1e6
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) < 0 else (low, middle)
    return low
