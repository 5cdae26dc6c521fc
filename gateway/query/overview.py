"""Overview of a time: numbers and the period before, series, tables, and what needs attention."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain

from gateway.errors import QueryTimeout
from gateway.models.clock import now_us
from gateway.models.exchange import Outcome
from gateway.models.feedback import WaitingFeedback
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
from gateway.query.metrics import (
    MINUTE_US,
    Bucket,
    GroupMetrics,
    MetricsOrder,
    MetricsReader,
    merge_latencies,
)
from gateway.store.base import FeedbackStore

DEFAULT_LENGTH_US = WEEK_US

# Series have at least so many points; the steps between the intervals keep them below 60.
MIN_POINTS = 24
_SECOND_US = MINUTE_US // 60
_INTERVALS_US = (
    *(seconds * _SECOND_US for seconds in (1, 2, 3, 5, 10, 15, 30)),
    *(minutes * MINUTE_US for minutes in (1, 2, 3, 5, 10, 15, 30)),
    *(hours * HOUR_US for hours in (1, 2, 3, 6, 12)),
    *(days * DAY_US for days in (1, 2, 4, 7, 14, 28, 56, 112, 224, 448, 896)),
)

# Of a longer time, the days before the first request are left out.
_LONG_US = 60 * DAY_US

# Of a time limit: what the whole time may take, and then one of the dozen sums over its latest part.
_WHOLE_SHARE = 0.4
_SUM_SHARE = 0.04
# So much shorter a time is answered for where not the number of requests took long, but other sums than theirs.
_SHORTER = 8

TABLE_ROWS = 10
_MOST_REQUESTS_FIRST = MetricsOrder("requests")

# Waiting for less long than this is usual: feedback may come before its request.
_USUAL_WAIT_US = MINUTE_US
# Models with fewer prompt tokens say nothing of caching.
_MIN_PROMPT_TOKENS = 10_000
_MIN_CACHED_PROMPT_TOKENS = 1_024
_LOW_CACHE_SHARE = 0.2


class Attention(StrEnum):
    """What needs attention."""

    CACHE_SHARE = "cache_share"
    TOKENS_DISCARDED = "tokens_discarded"
    STREAMS_WITHOUT_USAGE = "streams_without_usage"
    FEEDBACK_WAITING = "feedback_waiting"
    RECENT_ERRORS = "recent_errors"
    THUMBS_MISREAD = "thumbs_misread"


@dataclass(frozen=True, slots=True)
class AttentionItem:
    """Something that costs money or feedback unseen.

    Args:
        count: of requests or of entries.
        share: of the prompt tokens that came from a cache, or of the streams.
        conditions: filters that list its rows, beside those of the overview and `since_us`.
    """

    kind: Attention
    message: str
    count: int
    conditions: Mapping[str, str]
    share: float | None = None
    tokens: int | None = None
    cost_nanousd: int | None = None
    since_us: int | None = None
    ids: tuple[str, ...] = ()

    @property
    def is_urgent(self) -> bool:
        """Whether a person should look at it; the API alone shows what is usual."""
        if self.kind is not Attention.CACHE_SHARE or self.share is None or self.tokens is None:
            return True
        # Providers cache no shorter prompts.
        has_long_prompts = self.tokens >= _MIN_CACHED_PROMPT_TOKENS * self.count
        return has_long_prompts and self.share < _LOW_CACHE_SHARE

    @property
    def is_of_feedback(self) -> bool:
        return self.kind in (Attention.FEEDBACK_WAITING, Attention.THUMBS_MISREAD)


@dataclass(frozen=True, slots=True)
class Overview:
    """Requests from `from_us` until `to_us`; `before`: of a period of the same length that ends there."""

    from_us: int
    to_us: int
    interval_us: int
    total: GroupMetrics
    before: GroupMetrics
    points: tuple[Bucket[GroupMetrics], ...]
    by_model: tuple[GroupMetrics, ...]
    by_prompt: tuple[GroupMetrics, ...]
    attention: tuple[AttentionItem, ...] = field(default=())
    unknown_keys: tuple[str, ...] = ()
    # Of an answer within a time limit that is about the latest requests only.
    partial: Coverage | None = None


class OverviewReader:
    def __init__(self, store: FeedbackStore) -> None:
        self._store = store
        self._metrics = MetricsReader(store)

    async def read(self, query: MetricsQuery, within_seconds: float | None = None) -> Overview:
        """Return the overview of the requests of a query without groups; with a time limit perhaps only of the
        latest. Raises BadInput, TooLarge."""
        query = replace(query, to_us=min(query.to_us, now_us()))
        query = replace(query, from_us=min(query.from_us, query.to_us))
        if within_seconds is None:
            return await self._read(query)
        try:
            async with asyncio.timeout(_WHOLE_SHARE * within_seconds):
                return await self._read(query)
        except (TimeoutError, QueryTimeout):
            coverage = await self._coverage(query, _SUM_SHARE * within_seconds)
        found = await self._read(replace(query, from_us=coverage.covers_from_us or query.from_us))
        return replace(found, partial=coverage)

    async def _coverage(self, query: MetricsQuery, seconds: float) -> Coverage:
        _, coverage = await self._store.usage_within(query, seconds)
        if coverage.is_whole:
            shorter_us = max((query.to_us - query.from_us) // _SHORTER, 1)
            return Coverage(query.from_us, query.to_us, query.to_us - shorter_us, coverage.is_rolled_up)
        return coverage

    async def _read(self, query: MetricsQuery) -> Overview:
        seen = await self._from_first_request(query)
        series = replace(seen, bucket_us=series_interval_us(seen.to_us - seen.from_us))
        length_us = query.to_us - query.from_us
        previous = replace(query, from_us=max(query.from_us - length_us, 0), to_us=query.from_us)
        # The dearest first, since few connections share them out.
        parts, models, prompts, before, attention = await asyncio.gather(
            self._groups(series),
            self._metrics.find(replace(seen, group_by="any_model"), _MOST_REQUESTS_FIRST, Page(TABLE_ROWS)),
            self._metrics.find(replace(seen, group_by="prompt"), _MOST_REQUESTS_FIRST, Page(TABLE_ROWS)),
            self._groups(previous),
            self._attention(seen),
        )
        usage = {part.cell: part.usage for part in parts.values()}
        return Overview(
            query.from_us,
            query.to_us,
            interval_us=series.bucket_us or 0,
            total=_total(parts.values()),
            before=_total(before.values()),
            points=tuple(_fill_points(series, parts)),
            by_model=models.figures,
            by_prompt=prompts.figures,
            attention=(*attention, *_cache_shares(models.figures)),
            unknown_keys=await self._metrics.unknown_keys(query, usage),
        )

    async def _from_first_request(self, query: MetricsQuery) -> MetricsQuery:
        if query.to_us - query.from_us <= _LONG_US:
            return query
        days = await self._store.usage(replace(query, bucket_us=DAY_US))
        first_day = min((key.starts_at_us or 0 for key in days), default=query.to_us - DEFAULT_LENGTH_US)
        return replace(query, from_us=max(query.from_us, first_day))

    async def _groups(self, query: MetricsQuery) -> dict[GroupKey, GroupMetrics]:
        usage, feedback, latencies = await asyncio.gather(
            self._store.usage(query), self._store.feedback_sums(query), self._store.latencies(query)
        )
        return {
            key: GroupMetrics(key, sums, feedback.get(key, FeedbackSums()), latencies.get(key, {}))
            for key, sums in usage.items()
        }

    async def _attention(self, query: MetricsQuery) -> list[AttentionItem]:
        found = await asyncio.gather(
            self._discarded(query), self._streams(query), self._errors(query), self._feedback(query.tenant)
        )
        return list(chain.from_iterable(found))

    async def _discarded(self, query: MetricsQuery) -> list[AttentionItem]:
        usage = await self._store.usage(replace(query, group_by="outcome"))
        return [
            _discarded_item(str(key.value), sums)
            for key, sums in sorted(usage.items(), key=lambda each: -each[1].cost_nanousd)
            if key.value != Outcome.COMPLETE and (sums.cost_nanousd or sums.completion_tokens)
        ]

    async def _streams(self, query: MetricsQuery) -> list[AttentionItem]:
        # Of the last day, since a mistake of long ago may be mended, and these requests have to be counted.
        since_us = max(query.from_us, query.to_us - DAY_US)
        answered: tuple[Filter, ...] = (
            Comparison("is_stream", Op.EQ, True),
            Comparison("outcome", Op.EQ, Outcome.COMPLETE.value),
            Comparison("status", Op.GE, 200),
            Comparison("status", Op.LT, 300),
        )
        where = AllOf((query.where, *answered))
        usage = await self._store.usage(replace(query, from_us=since_us, where=where))
        streams = sum(usage.values(), UsageSums())
        lacking = streams.requests - streams.tokens_counted
        if not lacking:
            return []
        share = lacking / streams.requests
        return [
            AttentionItem(
                Attention.STREAMS_WITHOUT_USAGE,
                f"{lacking:,} of the last day's streams ({_percent(share)}) have no usage, so their tokens and"
                " cost are not known.",
                lacking,
                {"is_stream": "true", "outcome": Outcome.COMPLETE, "status": "2xx", "has_usage": "false"},
                share=share,
                since_us=since_us,
            )
        ]

    async def _errors(self, query: MetricsQuery) -> list[AttentionItem]:
        since_us = max(query.from_us, query.to_us - HOUR_US)
        where = AllOf((query.where, Comparison("is_error", Op.EQ, True)))
        by_end = replace(query, from_us=since_us, where=where, group_by="outcome", then_by="status")
        usage = await self._store.usage(by_end)
        ranked = sorted(usage.items(), key=lambda each: -each[1].requests)
        return [_error_item(key.value, key.second, sums.requests, since_us) for key, sums in ranked]

    async def _feedback(self, tenant: str | None) -> list[AttentionItem]:
        waiting, grades = await asyncio.gather(
            self._store.waiting_feedback(now_us() - _USUAL_WAIT_US, tenant),
            self._store.recent_binary_grades(tenant),
        )
        items = [_waiting_item(waiting)] if waiting.count else []
        for key_name, count in grades.items():
            if not await self._store.has_non_binary_grades(key_name):
                items.append(_misread_item(key_name, count))
        return items


def series_interval_us(length_us: int) -> int:
    """Return the longest interval with at least `MIN_POINTS` points."""
    fitting = (interval for interval in _INTERVALS_US if interval * MIN_POINTS <= length_us)
    return max(fitting, default=_INTERVALS_US[0])


def _total(parts: Iterable[GroupMetrics]) -> GroupMetrics:
    found = list(parts)
    usage = sum((part.usage for part in found), UsageSums())
    feedback = sum((part.feedback_sums for part in found), FeedbackSums())
    latencies: Latencies = merge_latencies(part.latencies for part in found)
    return GroupMetrics(GroupKey(), usage, feedback, latencies)


def _fill_points(
    query: MetricsQuery, parts: Mapping[GroupKey, GroupMetrics]
) -> Iterator[Bucket[GroupMetrics]]:
    length = query.bucket_us
    assert length is not None, "a series has intervals"
    for start in range(query.from_us // length * length, query.to_us, length):
        key = GroupKey(start)
        yield Bucket(start, parts.get(key) or GroupMetrics(key, UsageSums()))


def _cache_shares(models: Iterable[GroupMetrics]) -> Iterator[AttentionItem]:
    for part in models:
        usage, model = part.usage, part.cell.value
        if model is None or usage.prompt_tokens < _MIN_PROMPT_TOKENS:
            continue
        share = usage.cached_tokens / usage.prompt_tokens
        yield AttentionItem(
            Attention.CACHE_SHARE,
            f"{_percent(share)} of the prompt tokens of {model} came from a cache.",
            usage.tokens_counted,
            {"model": str(model)},
            share=share,
            tokens=usage.prompt_tokens,
            cost_nanousd=usage.cost_nanousd,
        )


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _discarded_item(outcome: str, sums: UsageSums) -> AttentionItem:
    tokens = sums.prompt_tokens + sums.completion_tokens
    return AttentionItem(
        Attention.TOKENS_DISCARDED,
        f"{tokens:,} tokens were paid for and discarded: {_number(sums.requests, 'request')} ended as"
        f" {outcome.replace('_', ' ')}.",
        sums.requests,
        {"outcome": outcome},
        tokens=tokens,
        cost_nanousd=sums.cost_nanousd,
    )


def _error_item(outcome: Scalar, status: Scalar, count: int, since_us: int) -> AttentionItem:
    conditions = {"outcome": str(outcome)} | ({} if status is None else {"status": str(status)})
    ended = "without a status" if status is None else f"with status {status}"
    return AttentionItem(
        Attention.RECENT_ERRORS,
        f"{_number(count, 'error')} in the last hour: {str(outcome).replace('_', ' ')} {ended}.",
        count,
        conditions,
        since_us=since_us,
    )


def _waiting_item(waiting: WaitingFeedback) -> AttentionItem:
    return AttentionItem(
        Attention.FEEDBACK_WAITING,
        f"Feedback waits for a request, trace or session that is not logged: {waiting.count:,} so far.",
        waiting.count,
        {"is_joined": "false"},
        since_us=waiting.oldest_at_us,
        ids=waiting.ids,
    )


def _misread_item(key_name: str | None, count: int) -> AttentionItem:
    whose = "callers without a key" if key_name is None else f"key {key_name!r}"
    return AttentionItem(
        Attention.THUMBS_MISREAD,
        f"All grades of {whose} are 0 or 1 and count as nearly neutral; if they are thumbs, set the scale to thumbs"
        " and run `gateway feedback rescale`.",
        count,
        {} if key_name is None else {"key_name": key_name},
    )
