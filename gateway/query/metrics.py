"""Metrics of many requests: by group, in order, over time, with confidence intervals; rollup job."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from gateway.models.clock import now_us
from gateway.models.columns import GROUP
from gateway.models.filters import AllOf, Comparison, Filter, Op, Page, Scalar
from gateway.models.metrics import (
    DAY_US,
    HOUR_US,
    WEEK_US,
    Coverage,
    FeedbackSums,
    GroupKey,
    Latencies,
    MetricsQuery,
    UsageSums,
)
from gateway.models.request import REQUEST_COLUMNS
from gateway.periodic import PeriodicTask
from gateway.query.filters import METADATA_PREFIX, METRICS_FILTERS, find_unknown_keys
from gateway.query.statistics import mean_score
from gateway.store.base import Admin, Queries


@dataclass(frozen=True, slots=True)
class GroupMetrics:
    cell: GroupKey
    usage: UsageSums
    feedback_sums: FeedbackSums = field(default_factory=FeedbackSums)
    latencies: Latencies = field(default_factory=dict)


def _mean_score_value(feedback: FeedbackSums) -> float | None:
    estimate = mean_score(feedback)
    return None if estimate is None else estimate.value


_USAGE_METRICS: Mapping[str, Callable[[UsageSums], float]] = {
    "requests": lambda usage: usage.requests,
    "errors": lambda usage: usage.errors,
    "error_rate": lambda usage: usage.errors / max(usage.requests, 1),
    "cost": lambda usage: usage.cost_nanousd,
    "tokens": lambda usage: usage.prompt_tokens + usage.completion_tokens,
    "latency": lambda usage: usage.duration_us / max(usage.requests, 1),
    "last_seen": lambda usage: usage.last_started_at_us,
}
_FEEDBACK_METRICS: Mapping[str, Callable[[FeedbackSums], float | None]] = {
    "feedback": lambda feedback: feedback.entries,
    "score": _mean_score_value,
}

USAGE_ORDERS = tuple(_USAGE_METRICS)
# Metrics by which groups can be sorted.
ORDER_METRICS = (*_USAGE_METRICS, *_FEEDBACK_METRICS)


@dataclass(frozen=True, slots=True)
class MetricsOrder:
    """An order by one of `ORDER_METRICS`; groups without a value come last."""

    by: str
    descending: bool = True


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """A page of groups; `unknown_keys` are metadata keys that no request has."""

    figures: tuple[GroupMetrics, ...]
    next_offset: int | None
    unknown_keys: tuple[str, ...] = ()
    # Of an answer within a time limit that is not about all requests.
    partial: Coverage | None = None


# Part of a time limit that is for the usage of all groups; the rest is for what else is shown of a page.
_USAGE_SHARE = 0.4


class MetricsReader:
    def __init__(self, store: Queries) -> None:
        self._store = store

    async def find(
        self,
        query: MetricsQuery,
        order: MetricsOrder,
        page: Page,
        within_seconds: float | None = None,
        *,
        with_latencies: bool = True,
    ) -> MetricsPage:
        """Return a page of groups with requests, sorted within each bucket; with a time limit perhaps only of the
        latest requests. Raises BadInput, TooLarge."""
        partial = None
        if within_seconds is None:
            usage = await self._store.usage(query)
        else:
            usage, coverage = await self._store.usage_within(query, _USAGE_SHARE * within_seconds)
            if not coverage.is_whole:
                query, partial = replace(query, from_us=coverage.covers_from_us or 0), coverage
        if not query.groups and query.bucket_us is None:
            usage = usage or {GroupKey(): UsageSums()}
        is_by_feedback = order.by in _FEEDBACK_METRICS
        feedback = await self._store.feedback_sums(query) if is_by_feedback else {}
        # Sorting very many takes long, and other callers' streams share the event loop.
        ranked = await asyncio.to_thread(rank_groups, usage, feedback, order)
        end = page.offset + page.limit
        cells = ranked[page.offset : end]
        # Feedback and latencies are dear to sum up, so only those of the page are.
        page_query = query if len(cells) == len(ranked) else _narrow_to_page(query, cells)
        if not is_by_feedback:
            feedback = await self._store.feedback_sums(page_query)
        latencies = await self._store.latencies(page_query) if with_latencies else {}
        figures = tuple(
            GroupMetrics(cell, usage[cell], feedback.get(cell, FeedbackSums()), latencies.get(cell, {}))
            for cell in cells
        )
        # Of a part nobody can tell whether others have the key.
        unknown = await self.unknown_keys(query, usage) if not page.offset and partial is None else ()
        return MetricsPage(figures, end if end < len(ranked) else None, unknown, partial)

    async def list_values(self, query: MetricsQuery, limit: int) -> Sequence[Scalar]:
        """Return the values of the field that a query is split by, the most frequent first."""
        usage = await self._store.usage(query)
        ranked = sorted(usage.items(), key=lambda each: -each[1].requests)
        return [key.value for key, _ in ranked if key.value is not None][:limit]

    async def unknown_keys(self, query: MetricsQuery, usage: Mapping[GroupKey, UsageSums]) -> tuple[str, ...]:
        async def exists(condition: Filter) -> bool:
            probe = MetricsQuery(query.from_us, query.to_us, condition, tenant=query.tenant)
            return any(sums.requests for sums in (await self._store.usage(probe)).values())

        fields = _groups_without_values(query, usage)
        suspects: list[Filter] = [Comparison(field, Op.NE, None) for field in fields]
        if not any(sums.requests for sums in usage.values()):
            suspects.append(query.where)
        return await find_unknown_keys(METRICS_FILTERS, AllOf(tuple(suspects)), exists) if suspects else ()

    async def usage_by_group(self, query: MetricsQuery) -> dict[GroupKey, UsageSums]:
        """Return the usage of the requests of each group."""
        return await self._store.usage(query)

    async def feedback_by_group(self, query: MetricsQuery) -> dict[GroupKey, FeedbackSums]:
        """Return the feedback that counts for the requests of each group."""
        return await self._store.feedback_sums(query)

    async def usage_over_time(self, query: MetricsQuery) -> Timeline[UsageSums]:
        """Return what the requests took."""
        found = await self._store.usage(_with_buckets(query))
        overall = sum(found.values(), UsageSums())
        return Timeline(overall, _fill_buckets(query, _by_start(found), UsageSums()))

    async def usage_by_value_over_time(
        self, query: MetricsQuery, field: str
    ) -> Timeline[Mapping[Scalar, UsageSums]]:
        """Return what the requests took, by the values of a field."""
        found = await self._store.usage(replace(_with_buckets(query), group_by=field))
        overall: dict[Scalar, UsageSums] = defaultdict(UsageSums)
        buckets: dict[int, dict[Scalar, UsageSums]] = defaultdict(dict)
        for cell, sums in found.items():
            overall[cell.value] += sums
            buckets[_start(cell)][cell.value] = sums
        return Timeline(dict(overall), _fill_buckets(query, buckets, {}))

    async def latencies_over_time(self, query: MetricsQuery) -> Timeline[GroupMetrics]:
        """Return what the requests took, and how many of them how long."""
        in_pieces = _with_buckets(query)
        usage = await self._store.usage(in_pieces)
        latencies = await self._store.latencies(in_pieces)
        found = {
            _start(cell): GroupMetrics(cell, sums, latencies=latencies.get(cell, {}))
            for cell, sums in usage.items()
        }
        merged = merge_latencies(latencies.values())
        overall = GroupMetrics(GroupKey(), sum(usage.values(), UsageSums()), latencies=merged)
        return Timeline(overall, _fill_buckets(query, found, GroupMetrics(GroupKey(), UsageSums())))

    async def feedback_over_time(self, query: MetricsQuery) -> Timeline[FeedbackSums]:
        """Return what was said of the requests."""
        found = await self._store.feedback_sums(_with_buckets(query))
        overall = sum(found.values(), FeedbackSums())
        return Timeline(overall, _fill_buckets(query, _by_start(found), FeedbackSums()))

    async def values_over_time(self, query: MetricsQuery, field: str) -> Timeline[int]:
        """Return how many values a field has; a value in several buckets counts once in the whole."""
        grouped = replace(query, group_by=field)
        found = await self._store.count_groups(_with_buckets(grouped))
        overall = await self._store.count_groups(grouped)
        return Timeline(overall.get(GroupKey(), 0), _fill_buckets(query, _by_start(found), 0))


def _groups_without_values(query: MetricsQuery, usage: Mapping[GroupKey, UsageSums]) -> list[str]:
    return [
        group
        for group, values in zip(query.groups, _group_values(list(usage)), strict=False)
        if group.startswith(METADATA_PREFIX) and all(value is None for value in values)
    ]


def rank_by_feedback(feedback: Mapping[GroupKey, FeedbackSums], order: MetricsOrder) -> list[GroupKey]:
    """Return the groups that come before all those without feedback, sorted by a metric of feedback."""
    if order.by == "feedback" and not order.descending:
        return []
    figure = _FEEDBACK_METRICS[order.by]
    rated = {key: UsageSums() for key, sums in feedback.items() if figure(sums) is not None}
    return rank_groups(rated, feedback, order)


def rank_groups(
    usage: Mapping[GroupKey, UsageSums], feedback: Mapping[GroupKey, FeedbackSums], order: MetricsOrder
) -> list[GroupKey]:
    sign = -1 if order.descending else 1

    def place(cell: GroupKey) -> tuple[int, bool, float, str, str]:
        if order.by in _USAGE_METRICS:
            figure: float | None = _USAGE_METRICS[order.by](usage[cell])
        else:
            figure = _FEEDBACK_METRICS[order.by](feedback.get(cell, FeedbackSums()))
        return cell.starts_at_us or 0, figure is None, sign * (figure or 0), str(cell.value), str(cell.second)

    return sorted(usage, key=place)


def _narrow_to_page(query: MetricsQuery, cells: Sequence[GroupKey]) -> MetricsQuery:
    narrowed = query
    for group, values in zip(query.groups, _group_values(cells), strict=False):
        of_values = Comparison(comparable_field(group), Op.IN, tuple(dict.fromkeys(values)))
        narrowed = replace(narrowed, where=AllOf((narrowed.where, of_values)))
    starts = [cell.starts_at_us for cell in cells if cell.starts_at_us is not None]
    if starts and query.bucket_us is not None:
        from_us, to_us = max(query.from_us, min(starts)), min(query.to_us, max(starts) + query.bucket_us)
        narrowed = replace(narrowed, from_us=from_us, to_us=to_us)
    return narrowed


def _group_values(cells: Sequence[GroupKey]) -> tuple[list[Scalar], list[Scalar]]:
    return [cell.value for cell in cells], [cell.second for cell in cells]


# Fields that metrics can be grouped by besides metadata, by the names that callers use.
GROUP_FIELDS: Mapping[str, str] = {
    "model": "any_model",
    **{column.name: column.name for column in REQUEST_COLUMNS if column.uses & GROUP},
}


def comparable_field(field: str) -> str:
    # Metadata is grouped as text, whatever its type.
    return f"property.{field.removeprefix(METADATA_PREFIX)}" if field.startswith(METADATA_PREFIX) else field


T = TypeVar("T")

MINUTE_US = HOUR_US // 60

# Length of buckets by the longest time that has them; weeks beyond. Hours and days are rolled up, minutes counted.
BUCKET_LENGTHS_US: Mapping[int, int] = {
    HOUR_US: MINUTE_US,
    6 * HOUR_US: 5 * MINUTE_US,
    WEEK_US: HOUR_US,
    400 * DAY_US: DAY_US,
}

MAX_TIMELINE_US = 1000 * WEEK_US


@dataclass(frozen=True, slots=True)
class Bucket(Generic[T]):
    starts_at_us: int
    figures: T


@dataclass(frozen=True, slots=True)
class Timeline(Generic[T]):
    overall: T
    buckets: tuple[Bucket[T], ...]


def bucket_length_us(query: MetricsQuery) -> int:
    length_us = _last_us(query) - query.from_us
    return next((bucket for longest, bucket in BUCKET_LENGTHS_US.items() if length_us <= longest), WEEK_US)


def _with_buckets(query: MetricsQuery) -> MetricsQuery:
    return replace(query, bucket_us=bucket_length_us(query))


def _fill_buckets(query: MetricsQuery, found: Mapping[int, T], nothing: T) -> tuple[Bucket[T], ...]:
    length = bucket_length_us(query)
    first = query.from_us // length * length
    # From 9:00 to 10:00 is an hour: although it includes 10:00, that bucket is shown only if it has requests.
    starts = {*range(first, _last_us(query), length), *found}
    return tuple(Bucket(start, found.get(start, nothing)) for start in sorted(starts))


def _last_us(query: MetricsQuery) -> int:
    return query.to_us - 1


def _start(cell: GroupKey) -> int:
    assert cell.starts_at_us is not None, "a query with buckets has its answer in buckets"
    return cell.starts_at_us


def _by_start(found: Mapping[GroupKey, T]) -> dict[int, T]:
    return {_start(cell): figures for cell, figures in found.items()}


def merge_latencies(parts: Iterable[Latencies]) -> Latencies:
    merged: Counter[int] = Counter()
    for part in parts:
        merged.update(part)
    return merged


ROLLUP_INTERVAL_SECONDS = 60.0


def rollup_job(store: Admin) -> PeriodicTask:
    # What is not rolled up yet is counted by each query, so that an interrupted run does no harm.
    async def roll_up() -> None:
        await store.roll_up(now_us())

    failed = "rollup failed; queries count the requests instead"
    task = PeriodicTask("rollup", roll_up, pause_seconds=ROLLUP_INTERVAL_SECONDS, failed=failed)
    store.on_new_split(task.run_now)
    return task
