"""Metrics of many requests: by group, in order, over time, with confidence intervals; rollup job."""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Generic, TypeVar

from gateway.models.clock import now_us
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Scalar
from gateway.models.metrics import DAY_US, HOUR_US, FeedbackSums, GroupKey, Latencies, MetricsQuery, UsageSums
from gateway.periodic import PeriodicTask
from gateway.query.filters import METADATA_PREFIX, METRICS_FILTERS, find_unknown_keys
from gateway.store.base import Admin, Queries


@dataclass(frozen=True, slots=True)
class GroupMetrics:
    """One part of an answer, with all that is known of it."""

    cell: GroupKey
    usage: UsageSums
    verdicts: FeedbackSums = field(default_factory=FeedbackSums)
    latencies: Latencies = field(default_factory=dict)


Z_95 = 1.959963984540054
"""Standard deviations from the mean within which 95 % of a normal distribution lie."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % confidence interval. The bounds are None where one verdict alone tells nothing."""

    value: float
    low: float | None
    high: float | None


def mean_score(verdicts: FeedbackSums) -> Estimate | None:
    """Return Σ weight × score / Σ weight, in −1…1; None where no entry weighs anything.

    The interval is that of a ratio estimator, its variance Σ w²(s − mean)² / (Σ w)² times n / (n − 1).

    Source: W. G. Cochran, Sampling Techniques, 3rd edition, section 6.
    """
    total, n = verdicts.weight, verdicts.scored
    if not total:
        return None
    mean = verdicts.weighted_score / total
    if n < 2:
        return Estimate(mean, None, None)
    spread = (
        verdicts.squared_weighted_square
        - 2 * mean * verdicts.squared_weighted_score
        + mean * mean * verdicts.weight_squared
    )
    # Rounding may leave a little less than nothing of a spread that is none.
    margin = Z_95 * math.sqrt(max(spread, 0.0) * n / (n - 1)) / total
    return Estimate(mean, max(mean - margin, -1.0), min(mean + margin, 1.0))


def share_positive(verdicts: FeedbackSums) -> Estimate | None:
    """Return the share of entries with a score that are positive, in 0…1, each counted once whatever its weight;
    None where there are none. The interval is Wilson's.

    Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    n = verdicts.scored
    if not n:
        return None
    share = verdicts.positive / n
    centre = share + Z_95**2 / (2 * n)
    margin = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))
    scale = 1 + Z_95**2 / n
    return Estimate(share, max((centre - margin) / scale, 0.0), min((centre + margin) / scale, 1.0))


def _mean_score_value(verdicts: FeedbackSums) -> float | None:
    estimate = mean_score(verdicts)
    return None if estimate is None else estimate.value


_USAGE_METRICS: Mapping[str, Callable[[UsageSums], float]] = MappingProxyType(
    {
        "requests": lambda usage: usage.requests,
        "errors": lambda usage: usage.errors,
        "error_rate": lambda usage: usage.errors / max(usage.requests, 1),
        "cost": lambda usage: usage.cost_nanousd,
        "tokens": lambda usage: usage.prompt_tokens + usage.completion_tokens,
        "latency": lambda usage: usage.duration_us / max(usage.requests, 1),
        "last_seen": lambda usage: usage.last_started_at_us,
    }
)
_FEEDBACK_METRICS: Mapping[str, Callable[[FeedbackSums], float | None]] = MappingProxyType(
    {"feedback": lambda verdicts: verdicts.entries, "score": _mean_score_value}
)

ORDER_METRICS = (*_USAGE_METRICS, *_FEEDBACK_METRICS)
"""What groups can be put in order by: sums, shares of requests, and the means of latency and score."""


@dataclass(frozen=True, slots=True)
class MetricsOrder:
    """An order of groups. Those that have no such figure come last, equal ones by their names.

    Args:
        by: one of `MEASURES`.
    """

    by: str
    descending: bool = True


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """Some of the groups, in order.

    Args:
        next_offset: how many come before the next ones; None where these are the last.
        unknown_keys: keys of metadata that are grouped by and nothing has; where nothing was found, such criteria.
    """

    figures: tuple[GroupMetrics, ...]
    next_offset: int | None
    unknown_keys: tuple[str, ...] = ()


class MetricsReader:
    """Answers questions about many groups of requests."""

    def __init__(self, store: Queries) -> None:
        self._store = store

    async def find(self, metrics_query: MetricsQuery, order: MetricsOrder, page: Page) -> MetricsPage:
        """Return one page of the groups that have requests: in the order of time, within a time in this order.

        Without groups and pieces of time there is one part, even of no requests at all.

        Raises:
            BadInput: requests have no such field, or it is compared with a value of another kind.
            TooLarge: there are more parts than can be put in order.
        """
        usage = await self._store.usage(metrics_query)
        if not metrics_query.groups and metrics_query.bucket_us is None:
            usage = usage or {GroupKey(): UsageSums()}
        is_by_verdicts = order.by in _FEEDBACK_METRICS
        verdicts = await self._store.verdicts(metrics_query) if is_by_verdicts else {}
        # Very many take long to sort, and other callers' streams go through this thread.
        ranked = await asyncio.to_thread(_sorted_groups, usage, verdicts, order)
        end = page.offset + page.limit
        cells = ranked[page.offset : end]
        page_query = metrics_query if len(cells) == len(ranked) else _narrow_to_page(metrics_query, cells)
        if not is_by_verdicts:
            verdicts = await self._store.verdicts(page_query)
        latencies = await self._store.latencies(page_query)
        figures = tuple(
            GroupMetrics(cell, usage[cell], verdicts.get(cell, FeedbackSums()), latencies.get(cell, {}))
            for cell in cells
        )
        unknown = await self._unknown_keys(metrics_query, usage) if not page.offset else ()
        return MetricsPage(figures, end if end < len(ranked) else None, unknown)

    async def _unknown_keys(
        self, metrics_query: MetricsQuery, usage: Mapping[GroupKey, UsageSums]
    ) -> tuple[str, ...]:
        async def exists(condition: Filter) -> bool:
            probe = MetricsQuery(
                metrics_query.from_us, metrics_query.to_us, condition, tenant=metrics_query.tenant
            )
            return any(sums.requests for sums in (await self._store.usage(probe)).values())

        suspects: list[Filter] = [
            Comparison(field, Op.NE, None) for field in _groups_without_values(metrics_query, usage)
        ]
        if not any(sums.requests for sums in usage.values()):
            suspects.append(metrics_query.where)
        return await find_unknown_keys(METRICS_FILTERS, AllOf(tuple(suspects)), exists) if suspects else ()


def _groups_without_values(metrics_query: MetricsQuery, usage: Mapping[GroupKey, UsageSums]) -> list[str]:
    """The keys of metadata that are grouped by and under which none of the groups has a value."""
    return [
        group
        for group, values in zip(metrics_query.groups, _group_values(list(usage)), strict=False)
        if group.startswith(METADATA_PREFIX) and all(value is None for value in values)
    ]


def _sorted_groups(
    usage: Mapping[GroupKey, UsageSums], verdicts: Mapping[GroupKey, FeedbackSums], order: MetricsOrder
) -> list[GroupKey]:
    sign = -1 if order.descending else 1

    def place(cell: GroupKey) -> tuple[int, bool, float, str, str]:
        if order.by in _USAGE_METRICS:
            figure: float | None = _USAGE_METRICS[order.by](usage[cell])
        else:
            figure = _FEEDBACK_METRICS[order.by](verdicts.get(cell, FeedbackSums()))
        return cell.starts_at_us or 0, figure is None, sign * (figure or 0), str(cell.value), str(cell.second)

    return sorted(usage, key=place)


def _narrow_to_page(metrics_query: MetricsQuery, cells: Sequence[GroupKey]) -> MetricsQuery:
    """The question for no more than what these cells are about."""
    narrowed = metrics_query
    for group, values in zip(metrics_query.groups, _group_values(cells), strict=False):
        of_values = Comparison(_comparable_field(group), Op.IN, tuple(dict.fromkeys(values)))
        narrowed = replace(narrowed, where=AllOf((narrowed.where, of_values)))
    starts = [cell.starts_at_us for cell in cells if cell.starts_at_us is not None]
    if starts and metrics_query.bucket_us is not None:
        narrowed = replace(
            narrowed,
            from_us=max(metrics_query.from_us, min(starts)),
            to_us=min(metrics_query.to_us, max(starts) + metrics_query.bucket_us),
        )
    return narrowed


def _group_values(cells: Sequence[GroupKey]) -> tuple[list[Scalar], list[Scalar]]:
    return [cell.value for cell in cells], [cell.second for cell in cells]


def _comparable_field(field: str) -> str:
    """The field that has the groups' names as its values: metadata is grouped by as text, whatever it holds."""
    return f"property.{field.removeprefix(METADATA_PREFIX)}" if field.startswith(METADATA_PREFIX) else field


T = TypeVar("T")

MINUTE_US = HOUR_US // 60
WEEK_US = 7 * DAY_US

BUCKET_LENGTHS_US: Mapping[int, int] = {
    HOUR_US: MINUTE_US,
    6 * HOUR_US: 5 * MINUTE_US,
    WEEK_US: HOUR_US,
    400 * DAY_US: DAY_US,
}
"""How long the pieces are of a time up to so long; those of a longer one are weeks. Figures of hours and days are
at hand, those of minutes have to be counted."""

MAX_TIMELINE_US = 1000 * WEEK_US
"""The longest time that has a timeline."""


@dataclass(frozen=True, slots=True)
class Bucket(Generic[T]):
    """A piece of time. It is cut at round times (UTC), and counts only what is in the time that was asked for."""

    starts_at_us: int
    figures: T


@dataclass(frozen=True, slots=True)
class Timeline(Generic[T]):
    """Figures of a time as a whole, and of its pieces in their order."""

    overall: T
    buckets: tuple[Bucket[T], ...]


def bucket_length_us(metrics_query: MetricsQuery) -> int:
    """Return how long the pieces are in which a question's time is told."""
    length_us = _last_us(metrics_query) - metrics_query.from_us
    return next((bucket for longest, bucket in BUCKET_LENGTHS_US.items() if length_us <= longest), WEEK_US)


async def usage_over_time(store: Queries, metrics_query: MetricsQuery) -> Timeline[UsageSums]:
    """Return what the requests took."""
    found = await store.usage(_with_buckets(metrics_query))
    overall = sum(found.values(), UsageSums())
    return Timeline(overall, _fill_buckets(metrics_query, _by_start(found), UsageSums()))


async def usage_by_value_over_time(
    store: Queries, metrics_query: MetricsQuery, field: str
) -> Timeline[Mapping[Scalar, UsageSums]]:
    """Return what the requests took, by the values of a field."""
    found = await store.usage(replace(_with_buckets(metrics_query), group_by=field))
    overall: dict[Scalar, UsageSums] = defaultdict(UsageSums)
    buckets: dict[int, dict[Scalar, UsageSums]] = defaultdict(dict)
    for cell, sums in found.items():
        overall[cell.value] += sums
        buckets[_start(cell)][cell.value] = sums
    return Timeline(dict(overall), _fill_buckets(metrics_query, buckets, {}))


async def latencies_over_time(store: Queries, metrics_query: MetricsQuery) -> Timeline[GroupMetrics]:
    """Return what the requests took, and how many of them how long."""
    in_pieces = _with_buckets(metrics_query)
    usage = await store.usage(in_pieces)
    latencies = await store.latencies(in_pieces)
    found = {
        _start(cell): GroupMetrics(cell, sums, latencies=latencies.get(cell, {}))
        for cell, sums in usage.items()
    }
    overall = GroupMetrics(
        GroupKey(), sum(usage.values(), UsageSums()), latencies=_merge_latencies(latencies.values())
    )
    return Timeline(overall, _fill_buckets(metrics_query, found, GroupMetrics(GroupKey(), UsageSums())))


async def feedback_over_time(store: Queries, metrics_query: MetricsQuery) -> Timeline[FeedbackSums]:
    """Return what was said of the requests."""
    found = await store.verdicts(_with_buckets(metrics_query))
    overall = sum(found.values(), FeedbackSums())
    return Timeline(overall, _fill_buckets(metrics_query, _by_start(found), FeedbackSums()))


async def values_over_time(store: Queries, metrics_query: MetricsQuery, field: str) -> Timeline[int]:
    """Return how many values a field has. The whole is less than the sum of its pieces where they share some."""
    grouped = replace(metrics_query, group_by=field)
    found = await store.count_groups(_with_buckets(grouped))
    overall = await store.count_groups(grouped)
    return Timeline(overall.get(GroupKey(), 0), _fill_buckets(metrics_query, _by_start(found), 0))


def _with_buckets(metrics_query: MetricsQuery) -> MetricsQuery:
    return replace(metrics_query, bucket_us=bucket_length_us(metrics_query))


def _fill_buckets(metrics_query: MetricsQuery, found: Mapping[int, T], nothing: T) -> tuple[Bucket[T], ...]:
    length = bucket_length_us(metrics_query)
    first = metrics_query.from_us // length * length
    # From 9:00 to 10:00 is an hour: where 10:00 itself counts too, its piece is shown only if it has something.
    starts = {*range(first, _last_us(metrics_query), length), *found}
    return tuple(Bucket(start, found.get(start, nothing)) for start in sorted(starts))


def _last_us(metrics_query: MetricsQuery) -> int:
    return metrics_query.to_us - 1


def _start(cell: GroupKey) -> int:
    assert cell.starts_at_us is not None, "a question in pieces has its answer in pieces"
    return cell.starts_at_us


def _by_start(found: Mapping[GroupKey, T]) -> dict[int, T]:
    return {_start(cell): figures for cell, figures in found.items()}


def _merge_latencies(parts: Iterable[Latencies]) -> Latencies:
    merged: Counter[int] = Counter()
    for part in parts:
        merged.update(part)
    return merged


ROLLUP_INTERVAL_SECONDS = 60.0
"""How often it is looked what there is to sum up."""


def rollup_job(store: Admin) -> PeriodicTask:
    """Return what sums up hours and days that are over. What it has not got to is counted when it is asked for;
    what is half done when it is closed is done again by whoever comes next."""

    async def roll_up() -> None:
        await store.roll_up(now_us())

    return PeriodicTask(
        "rolling up",
        roll_up,
        pause_seconds=ROLLUP_INTERVAL_SECONDS,
        failed="figures of the past could not be summed up; they are counted",
    )
