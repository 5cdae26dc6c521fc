"""Analytics graphs of requests, cost, latency, tokens, users and cache hits."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.api.portkey import graphs
from gateway.models.filters import AllOf, Comparison, Op, Scalar
from gateway.models.metrics import MetricsQuery, UsageSums, percentile_ms
from gateway.query.metrics import GroupMetrics, MetricsReader, Timeline


class Cost(graphs.Mean):
    """Cents of all requests, and the mean of one."""

    total: int
    total_exact: graphs.Exact


class CostAt(Cost, graphs.TimePoint):
    pass


class Latency(graphs.Mean):
    """Milliseconds from the arrival of a request to the end of its response."""

    p50: int = Field(description="The median.")
    p90: int
    p99: int


class LatencyAt(Latency, graphs.TimePoint):
    pass


class Tokens(graphs.Mean, graphs.Total):
    """Prompt and completion tokens of all requests, and the mean of one."""


class TokensAt(Tokens, graphs.TimePoint):
    pass


class UserRequests(graphs.Mean, graphs.Total):
    """Requests with a user: their number, and the mean of a user."""

    unique: int = Field(description="The number of users.")


def _cost_fields(usage: UsageSums) -> dict[str, Any]:
    cents = graphs.usage_cents(usage)
    return graphs.with_exact(total=cents, avg=graphs.mean(cents, usage.requests))


def _latency_fields(metrics: GroupMetrics) -> dict[str, Any]:
    exact = {f"p{n}": percentile_ms(metrics.latencies, n / 100) or 0 for n in (50, 90, 99)}
    percentiles = {name: graphs.round_half_up(value) for name, value in exact.items()}
    return {**graphs.with_exact(avg=graphs.mean_latency_ms(metrics.usage)), **percentiles}


def _tokens_fields(usage: UsageSums) -> dict[str, Any]:
    total = graphs.usage_tokens(usage)
    return {"total": total, **graphs.with_exact(avg=graphs.mean(total, usage.requests))}


async def _users_over_time(metrics: MetricsReader, query: MetricsQuery) -> Timeline[int]:
    return await metrics.values_over_time(query, "user")


async def _user_requests_graph(metrics: MetricsReader, query: MetricsQuery) -> dict[str, Any]:
    with_user = replace(query, where=AllOf((query.where, Comparison("user", Op.NE, None))))
    usage = await metrics.usage_over_time(with_user)
    users = await _users_over_time(metrics, query)
    users_at = {bucket.starts_at_us: bucket.figures for bucket in users.buckets}
    points = graphs.time_points(usage, lambda sums: {"requests": sums.requests})
    for bucket, point in zip(usage.buckets, points, strict=True):
        number = users_at.get(bucket.starts_at_us, 0)
        point |= graphs.with_exact(avg=graphs.mean(point.pop("requests"), number))
    return {
        "summary": {
            "total": usage.overall.requests,
            "unique": users.overall,
            **graphs.with_exact(avg=graphs.mean(usage.overall.requests, users.overall)),
        },
        "data_points": points,
    }


SIMPLE_HIT = "HIT"
SEMANTIC_HIT = "SEMANTIC HIT"
# Values of `cache_status` of responses that came from a cache.
CACHE_HITS = (SIMPLE_HIT, SEMANTIC_HIT)

UsageByStatus = Mapping[Scalar, UsageSums]


class CacheHitTotals(graphs.Rate, graphs.Total):
    """Responses from a cache: their number, and their share of all."""


class CacheHits(graphs.Rate, graphs.TimePoint):
    """Responses from a cache, and the cents that they saved since the first data point."""

    simple_hits: int = Field(description="Responses to an equal request.")
    semantic_hits: int = Field(description="Responses to a similar request.")
    cumulative_simple_cache_savings: int
    cumulative_simple_cache_savings_exact: graphs.Exact
    cumulative_semantic_cache_savings: int
    cumulative_semantic_cache_savings_exact: graphs.Exact


class CacheSummary(BaseModel):
    """Responses from a cache compared with the others."""

    hits: int
    avg_latency: int = Field(description="Mean milliseconds of responses from a cache.")
    avg_latency_exact: graphs.Exact
    total_requests: int
    cache_speedup: int = Field(
        description="How much faster than the others, in per cent of their mean; 0 where there are none."
    )
    cache_speedup_exact: graphs.Exact


class CacheSummaryReply(BaseModel):
    summary: CacheSummary
    object: Literal["analytics-summary"] = "analytics-summary"


async def _cache_over_time(metrics: MetricsReader, query: MetricsQuery) -> Timeline[UsageByStatus]:
    return await metrics.usage_by_value_over_time(query, "cache_status")


async def _cache_hit_rate_graph(metrics: MetricsReader, query: MetricsQuery) -> dict[str, Any]:
    usage = await _cache_over_time(metrics, query)
    points = graphs.time_points(usage, _hit_fields)
    for point, simple, semantic in zip(
        points, _accumulate(usage, SIMPLE_HIT), _accumulate(usage, SEMANTIC_HIT), strict=True
    ):
        point |= graphs.with_exact(
            cumulative_simple_cache_savings=graphs.usage_cents(simple),
            cumulative_semantic_cache_savings=graphs.usage_cents(semantic),
        )
    total = _usage_of(usage.overall, *CACHE_HITS).requests
    return {"summary": {"total": total, **_hit_rate(usage.overall)}, "data_points": points}


def _accumulate(usage: Timeline[UsageByStatus], status: str) -> Iterator[UsageSums]:
    return accumulate(_usage_of(bucket.figures, status) for bucket in usage.buckets)


async def _cache_summary(metrics: MetricsReader, query: MetricsQuery) -> dict[str, Any]:
    usage = await metrics.usage_by_group(replace(query, group_by="cache_status"))
    by_status = {group.value: sums for group, sums in usage.items()}
    hits = _usage_of(by_status, *CACHE_HITS)
    others = _usage_of(by_status, *(by_status.keys() - set(CACHE_HITS)))
    saved_ms = graphs.mean_latency_ms(others) - graphs.mean_latency_ms(hits)
    speedup = graphs.per_cent(saved_ms, graphs.mean_latency_ms(others)) if hits.requests else 0.0
    return {
        "summary": {
            "hits": hits.requests,
            "total_requests": hits.requests + others.requests,
            **graphs.with_exact(avg_latency=graphs.mean_latency_ms(hits), cache_speedup=speedup),
        }
    }


def _usage_of(by_status: UsageByStatus, *statuses: Scalar) -> UsageSums:
    return sum((by_status.get(status, UsageSums()) for status in statuses), UsageSums())


def _hit_rate(by_status: UsageByStatus) -> dict[str, Any]:
    hits, all_requests = _usage_of(by_status, *CACHE_HITS), _usage_of(by_status, *by_status)
    return graphs.with_exact(rate=graphs.per_cent(hits.requests, all_requests.requests))


def _hit_fields(by_status: UsageByStatus) -> dict[str, Any]:
    return {
        "simple_hits": _usage_of(by_status, SIMPLE_HIT).requests,
        "semantic_hits": _usage_of(by_status, SEMANTIC_HIT).requests,
        **_hit_rate(by_status),
    }


def _hit_latency(by_status: UsageByStatus) -> dict[str, Any]:
    return graphs.with_exact(avg=graphs.mean_latency_ms(_usage_of(by_status, *CACHE_HITS)))


USAGE_GRAPHS = (
    graphs.GraphSpec(
        "graphs/requests", "Requests over time", "All logged requests.",
        graphs.Graph[graphs.Total, graphs.TotalAt],
        graphs.over_time(MetricsReader.usage_over_time, lambda usage: {"total": usage.requests}),
    ),
    graphs.GraphSpec(
        "graphs/cost", "Cost over time",
        "In cents. A request of unknown cost counts as free.",
        graphs.Graph[Cost, CostAt], graphs.over_time(MetricsReader.usage_over_time, _cost_fields),
    ),
    graphs.GraphSpec(
        "graphs/latency", "Latency over time",
        "Percentiles are read from a histogram whose buckets are less than 1.6 % wide.",
        graphs.Graph[Latency, LatencyAt], graphs.over_time(MetricsReader.latencies_over_time, _latency_fields),
    ),
    graphs.GraphSpec(
        "graphs/tokens", "Tokens over time", "Prompt and completion tokens.",
        graphs.Graph[Tokens, TokensAt], graphs.over_time(MetricsReader.usage_over_time, _tokens_fields),
    ),
    graphs.GraphSpec(
        "graphs/users", "Users over time", "Values of `_user` in the metadata.",
        graphs.Graph[graphs.Total, graphs.TotalAt],
        graphs.over_time(_users_over_time, lambda number: {"total": number}),
    ),
    graphs.GraphSpec(
        "graphs/users/requests", "Requests of a user over time",
        "The mean over the users of each time bucket.",
        graphs.Graph[UserRequests, graphs.MeanAt], _user_requests_graph,
    ),
)  # fmt: skip

CACHE_GRAPHS = (
    graphs.GraphSpec(
        "graphs/cache/hit-rate", "Responses from a cache over time",
        "Savings are what the tokens of these responses would have cost.",
        graphs.Graph[CacheHitTotals, CacheHits], _cache_hit_rate_graph,
    ),
    graphs.GraphSpec(
        "graphs/cache/latency", "Latency of responses from a cache over time", "In milliseconds.",
        graphs.Graph[graphs.NoSummary, graphs.MeanAt],
        graphs.over_time(_cache_over_time, _hit_latency, summary=lambda _: {}),
    ),
    graphs.GraphSpec(
        "summary/cache", "Responses from a cache compared with the others", "Of the whole time range.",
        CacheSummaryReply, _cache_summary,
    ),
)  # fmt: skip
