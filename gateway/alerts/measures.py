"""Measures that rules watch: how each follows from sums of requests and feedback, and how these are read."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import add
from typing import Any, TypeVar

from gateway.alerts.sequential import Observations
from gateway.models.alerts import HOUR_US, MINUTE_US, AlertRule, Direction, Measure
from gateway.models.feedback import Source
from gateway.models.filters import Scalar
from gateway.models.metrics import (
    DAY_US,
    FeedbackSums,
    GroupKey,
    Latencies,
    MetricsQuery,
    PersonSums,
    UsageSums,
    percentile_ms,
)
from gateway.models.request import NANOUSD_PER_USD
from gateway.query.filters import METRICS_FILTERS
from gateway.query.metrics import merge_latencies
from gateway.query.statistics import Estimate, Spread, mean_of_people, wilson_interval
from gateway.store.base import Queries

# Groups beyond these are not watched; those with most requests are.
MAX_GROUPS = 50

_SLOW_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Observed:
    """What was seen of the requests of one group in a time."""

    usage: UsageSums = field(default_factory=UsageSums)
    feedback: FeedbackSums = field(default_factory=FeedbackSums)
    latencies: Latencies = field(default_factory=dict)
    people: Mapping[str, PersonSums] = field(default_factory=dict)
    # Entries that wait for their request, of any time.
    waiting: int = 0

    def __add__(self, other: "Observed") -> "Observed":
        return Observed(
            self.usage + other.usage,
            self.feedback + other.feedback,
            merge_latencies((self.latencies, other.latencies)) if other.latencies else self.latencies,
            _merge_people(self.people, other.people) if other.people else self.people,
            max(self.waiting, other.waiting),
        )


def _merge_people(one: Mapping[str, PersonSums], other: Mapping[str, PersonSums]) -> Mapping[str, PersonSums]:
    merged = dict(one)
    for person, sums in other.items():
        merged[person] = _add_person(merged[person], sums) if person in merged else sums
    return merged


def _add_person(one: PersonSums, other: PersonSums) -> PersonSums:
    return PersonSums._make(map(add, one, other))


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureKind:
    """What a rule needs to know of a measure.

    Args:
        unit: of the value and the threshold.
        sources: sums that it follows from: usage, feedback, latencies, people, waiting.
        count: how many requests or people there are, for `min_count`; None: 0 is a value as any other.
        observations: for the sequential test, given a threshold; None where observations have no bounds.
        bounds: of the threshold.
    """

    description: str
    unit: str
    sources: frozenset[str]
    value: Callable[[Observed], Estimate | None]
    count: Callable[[Observed], int] | None
    observations: Callable[[Observed, float], Observations] | None = None
    bounds: tuple[float, float]
    bad: Direction = Direction.ABOVE
    window_us: int = HOUR_US
    settle_us: int = MINUTE_US
    min_count: int = 20


def _plain(value: float | None) -> Estimate | None:
    return None if value is None else Estimate(value, None, None)


def _ratio(part: float, whole: float) -> Estimate | None:
    return _plain(part / whole if whole else None)


def _mean_scores(seen: Observed) -> dict[str, float]:
    return {person: sums.weighted_score / sums.weight for person, sums in seen.people.items()}


def _negative_shares(seen: Observed) -> list[float]:
    return [1 - sums.positive / sums.entries for sums in seen.people.values()]


def _negative_share(seen: Observed) -> Estimate | None:
    shares = _negative_shares(seen)
    return wilson_interval(sum(shares) / max(len(shares), 1), len(shares))


def _judged(seen: Observed) -> int:
    return min(seen.feedback.judged_requests, seen.usage.requests)


def _slow(seen: Observed, threshold_ms: float) -> Observations:
    slower = sum(number for least_ms, number in seen.latencies.items() if least_ms > threshold_ms)
    return Observations(sum(seen.latencies.values()), slower, _SLOW_SHARE)


def _people(seen: Observed) -> int:
    return len(seen.people)


def _requests(seen: Observed) -> int:
    return seen.usage.requests


def _share_of_requests(part: Callable[[Observed], float], seen: Observed) -> Estimate | None:
    return wilson_interval(part(seen) / max(seen.usage.requests, 1), seen.usage.requests)


T = TypeVar("T")

_UNBOUNDED = 1e12

MEASURES: Mapping[Measure, MeasureKind] = {
    Measure.MEAN_SCORE: MeasureKind(
        description="mean over people of each one's mean score, from -1 to 1",
        unit="score",
        sources=frozenset({"people"}),
        value=lambda seen: mean_of_people(Spread.of(_mean_scores(seen))),
        count=_people,
        observations=lambda seen, threshold: Observations(
            len(seen.people),
            sum((score + 1) / 2 for score in _mean_scores(seen).values()),
            (threshold + 1) / 2,
        ),
        bounds=(-1.0, 1.0),
        bad=Direction.BELOW,
        window_us=DAY_US,
        min_count=10,
    ),
    Measure.NEGATIVE_SHARE: MeasureKind(
        description="mean over people of the share of their scores that are not above 0",
        unit="share",
        sources=frozenset({"people"}),
        value=_negative_share,
        count=_people,
        observations=lambda seen, threshold: Observations(
            len(seen.people), sum(_negative_shares(seen)), threshold
        ),
        bounds=(0.0, 1.0),
        window_us=DAY_US,
        min_count=10,
    ),
    Measure.COVERAGE: MeasureKind(
        description="share of requests with feedback",
        unit="share",
        sources=frozenset({"usage", "feedback"}),
        value=lambda seen: _share_of_requests(_judged, seen),
        count=_requests,
        observations=lambda seen, threshold: Observations(seen.usage.requests, _judged(seen), threshold),
        bounds=(0.0, 1.0),
        bad=Direction.BELOW,
        window_us=DAY_US,
        # Later feedback would be missed each time.
        settle_us=HOUR_US,
    ),
    Measure.ERROR_RATE: MeasureKind(
        description="share of requests with a status from 400 on, or without an answer",
        unit="share",
        sources=frozenset({"usage"}),
        value=lambda seen: _share_of_requests(lambda each: each.usage.errors, seen),
        count=_requests,
        observations=lambda seen, threshold: Observations(
            seen.usage.requests, seen.usage.errors, threshold
        ),
        bounds=(0.0, 1.0),
    ),
    Measure.LATENCY_P95: MeasureKind(
        description="95th percentile of the time from arrival to the end of the answer, in milliseconds",
        unit="ms",
        sources=frozenset({"latencies"}),
        value=lambda seen: _plain(percentile_ms(seen.latencies, 1 - _SLOW_SHARE)),
        count=lambda seen: sum(seen.latencies.values()),
        # Above it is the percentile where more than a twentieth of the requests are slower.
        observations=_slow,
        bounds=(0.0, _UNBOUNDED),
    ),
    Measure.FIRST_BYTE: MeasureKind(
        description="mean time to the first byte of answered requests, in milliseconds",
        unit="ms",
        sources=frozenset({"usage"}),
        value=lambda seen: _ratio(seen.usage.first_byte_us / 1000, seen.usage.answered),
        count=lambda seen: seen.usage.answered,
        bounds=(0.0, _UNBOUNDED),
    ),
    Measure.COST: MeasureKind(
        description="US dollars in all",
        unit="usd",
        sources=frozenset({"usage"}),
        value=lambda seen: _plain(seen.usage.cost_nanousd / NANOUSD_PER_USD),
        count=None,
        bounds=(0.0, _UNBOUNDED),
        window_us=DAY_US,
    ),
    Measure.CACHE_HIT_SHARE: MeasureKind(
        description="share of prompt tokens that came from a provider's cache",
        unit="share",
        sources=frozenset({"usage"}),
        value=lambda seen: _ratio(seen.usage.cached_tokens, seen.usage.prompt_tokens),
        count=lambda seen: seen.usage.tokens_counted,
        bounds=(0.0, 1.0),
        bad=Direction.BELOW,
    ),
    Measure.REQUESTS: MeasureKind(
        description="number of requests",
        unit="count",
        sources=frozenset({"usage"}),
        value=lambda seen: _plain(float(seen.usage.requests)),
        count=None,
        bounds=(0.0, _UNBOUNDED),
        bad=Direction.BELOW,
    ),
    Measure.ORPHANED_FEEDBACK: MeasureKind(
        description="entries of feedback that wait for a request longer than `settle`; no filters, no groups",
        unit="count",
        sources=frozenset({"waiting"}),
        value=lambda seen: _plain(float(seen.waiting)),
        count=None,
        bounds=(0.0, _UNBOUNDED),
        settle_us=HOUR_US,
    ),
}  # fmt: skip

ByGroup = Mapping[str, Observed]
# By the start of each part of the time.
Series = Mapping[int, ByGroup]


def group_text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def biggest_groups(rule: AlertRule, found: ByGroup) -> list[str]:
    """Return the groups that are watched: those with most requests or people."""
    count = MEASURES[rule.measure].count or _requests
    return sorted(found, key=lambda group: (-count(found[group]), group))[:MAX_GROUPS]


class MeasureReader:
    """Reads what rules measure."""

    def __init__(self, store: Queries) -> None:
        self._store = store

    async def read(self, rule: AlertRule, from_us: int, to_us: int) -> ByGroup:
        """Return what was seen, by group; requests without a value of `group_by` are left out.

        Raises BadInput, TooLarge, QueryTimeout.
        """
        query = _query(rule, from_us, to_us)
        sources = MEASURES[rule.measure].sources
        found: dict[str, Observed] = {} if rule.group_by else {"": Observed()}
        if "waiting" in sources:
            waiting = await self._store.waiting_feedback(to_us, rule.tenant)
            return {"": Observed(waiting=waiting.count)}
        if "people" in sources:
            people = await self._store.people(query, Source.HUMAN)
            return found | {group: Observed(people=sums) for group, sums in _named(rule, people.items())}
        by_start = await self._read_sums(rule, query)
        return found | by_start.get(None, {})

    async def read_series(self, rule: AlertRule, from_us: int, to_us: int, step_us: int) -> Series:
        """Return the same by parts of the time, which begin at whole steps."""
        if not MEASURES[rule.measure].sources & {"people", "waiting"}:
            query = replace(_query(rule, from_us, to_us), bucket_us=step_us)
            by_start = await self._read_sums(rule, query)
            return {start: found for start, found in by_start.items() if start is not None}
        starts = range(from_us, to_us, step_us)
        return {start: await self.read(rule, start, min(start + step_us, to_us)) for start in starts}

    async def _read_sums(self, rule: AlertRule, query: MetricsQuery) -> dict[int | None, dict[str, Observed]]:
        sources, store = MEASURES[rule.measure].sources, self._store
        usage, feedback, latencies = await asyncio.gather(
            store.usage(query) if "usage" in sources else _nothing(),
            store.feedback_sums(query) if "feedback" in sources else _nothing(),
            store.latencies(query) if "latencies" in sources else _nothing(),
        )
        found: dict[int | None, dict[str, Observed]] = {}
        for key in {*usage, *feedback, *latencies}:
            seen = Observed(
                usage.get(key, UsageSums()), feedback.get(key, FeedbackSums()), latencies.get(key, {})
            )
            for group, observed in _named(rule, [(key.value, seen)]):
                found.setdefault(key.starts_at_us, {})[group] = observed
        return found


async def _nothing() -> dict[GroupKey, Any]:
    return {}


def _named(rule: AlertRule, found: Iterable[tuple[Scalar, T]]) -> Iterator[tuple[str, T]]:
    for value, seen in found:
        if rule.group_by is None:
            yield "", seen
        elif value is not None:
            yield group_text(value), seen


def _query(rule: AlertRule, from_us: int, to_us: int) -> MetricsQuery:
    where = METRICS_FILTERS.to_filter((name, str(text)) for name, text in rule.filters.items())
    return MetricsQuery(from_us, to_us, where, group_by=rule.group_by, tenant=rule.tenant)
