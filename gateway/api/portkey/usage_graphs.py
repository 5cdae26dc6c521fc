"""Analytics graphs of requests, cost, latency, tokens, users and cache hits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.api.portkey.graphs import (
    Exact,
    Graph,
    GraphSpec,
    Mean,
    MeanAt,
    NoSummary,
    Rate,
    TimePoint,
    Total,
    TotalGraph,
    mean,
    mean_latency_ms,
    per_cent,
    round_half_up,
    time_points,
    total_graph,
    usage_cents,
    usage_tokens,
    with_exact,
)
from gateway.api.portkey.schemas import iso_time
from gateway.models.filters import AllOf, Comparison, Op, Scalar
from gateway.models.metrics import MetricsQuery, UsageSums, percentile_ms
from gateway.query import GroupMetrics
from gateway.query.metrics import (
    latencies_over_time,
    usage_by_value_over_time,
    usage_over_time,
    values_over_time,
)
from gateway.store.base import Queries


class Cost(Mean):
    """Cents: of all requests, and the mean of one."""

    total: int
    total_exact: Exact


class CostAt(Cost, TimePoint):
    pass


class Latency(Mean):
    """Milliseconds from the arrival of a request to the end of its answer."""

    p50: int = Field(description="What half of the requests did not exceed.")
    p90: int
    p99: int


class LatencyAt(Latency, TimePoint):
    pass


class Tokens(Mean, Total):
    """Tokens of prompts and completions: of all requests, and the mean of one."""


class TokensAt(Tokens, TimePoint):
    pass


class UserRequests(Mean, Total):
    """Requests that name a user: how many, and the mean of a user."""

    unique: int = Field(description="How many users there are.")


CostGraph = Graph[Cost, CostAt]
LatencyGraph = Graph[Latency, LatencyAt]
TokensGraph = Graph[Tokens, TokensAt]
UserRequestsGraph = Graph[UserRequests, MeanAt]


async def _requests_graph(store: Queries, metrics_query: MetricsQuery) -> TotalGraph:
    return total_graph(await usage_over_time(store, metrics_query), lambda usage: usage.requests)


async def _cost_graph(store: Queries, metrics_query: MetricsQuery) -> CostGraph:
    usage = await usage_over_time(store, metrics_query)
    return CostGraph(
        summary=Cost(**_cost_fields(usage.overall)), data_points=time_points(CostAt, usage, _cost_fields)
    )


async def _latency_graph(store: Queries, metrics_query: MetricsQuery) -> LatencyGraph:
    figures = await latencies_over_time(store, metrics_query)
    return LatencyGraph(
        summary=Latency(**_latency_fields(figures.overall)),
        data_points=time_points(LatencyAt, figures, _latency_fields),
    )


async def _tokens_graph(store: Queries, metrics_query: MetricsQuery) -> TokensGraph:
    usage = await usage_over_time(store, metrics_query)
    return TokensGraph(
        summary=Tokens(**_tokens_fields(usage.overall)),
        data_points=time_points(TokensAt, usage, _tokens_fields),
    )


async def _users_graph(store: Queries, metrics_query: MetricsQuery) -> TotalGraph:
    return total_graph(await values_over_time(store, metrics_query, "user"), lambda number: number)


async def _user_requests_graph(store: Queries, metrics_query: MetricsQuery) -> UserRequestsGraph:
    with_user = replace(metrics_query, where=AllOf((metrics_query.where, Comparison("user", Op.NE, None))))
    usage = await usage_over_time(store, with_user)
    users = await values_over_time(store, metrics_query, "user")
    users_at = {bucket.starts_at_us: bucket.figures for bucket in users.buckets}
    return UserRequestsGraph(
        summary=UserRequests(
            total=usage.overall.requests,
            unique=users.overall,
            **with_exact(avg=mean(usage.overall.requests, users.overall)),
        ),
        data_points=[
            MeanAt(
                timestamp=iso_time(bucket.starts_at_us),
                **with_exact(avg=mean(bucket.figures.requests, users_at.get(bucket.starts_at_us, 0))),
            )
            for bucket in usage.buckets
        ],
    )


def _cost_fields(usage: UsageSums) -> dict[str, Any]:
    return with_exact(total=usage_cents(usage), avg=mean(usage_cents(usage), usage.requests))


def _latency_fields(figures: GroupMetrics) -> dict[str, Any]:
    percentiles = {
        f"p{n}": round_half_up(percentile_ms(figures.latencies, n / 100) or 0) for n in (50, 90, 99)
    }
    return {**with_exact(avg=mean_latency_ms(figures.usage)), **percentiles}


def _tokens_fields(usage: UsageSums) -> dict[str, Any]:
    total = usage_tokens(usage)
    return {"total": total, **with_exact(avg=mean(total, usage.requests))}


USAGE_GRAPHS = (
    GraphSpec("graphs/requests", "Requests over time", "All that were logged.", TotalGraph, _requests_graph),
    GraphSpec(
        "graphs/cost", "Cost over time",
        "In cents. A request whose cost is not known counts as one that cost nothing.",
        CostGraph, _cost_graph,
    ),
    GraphSpec(
        "graphs/latency", "Latency over time",
        "Percentiles are read from classes of durations, each less than 1.6 % wide.",
        LatencyGraph, _latency_graph,
    ),
    GraphSpec("graphs/tokens", "Tokens over time", "Those of prompts and completions.", TokensGraph, _tokens_graph),
    GraphSpec("graphs/users", "Users over time", "Whoever is named as `_user`.", TotalGraph, _users_graph),
    GraphSpec(
        "graphs/users/requests", "Requests of a user over time",
        "The mean of the users that there are in a piece of time.",
        UserRequestsGraph, _user_requests_graph,
    ),
)  # fmt: skip


SIMPLE_HIT = "HIT"
SEMANTIC_HIT = "SEMANTIC HIT"
CACHE_HITS = (SIMPLE_HIT, SEMANTIC_HIT)
"""Values of `cache_status` of answers that came from a cache."""


class CacheHitTotals(Rate, Total):
    """Answers from a cache: how many, and their share of all."""


class CacheHits(Rate, TimePoint):
    """Answers from a cache, and what they would have cost: cents, since the first data point."""

    simple_hits: int = Field(description="Answers to a request that came before.")
    semantic_hits: int = Field(description="Answers to one of the same meaning.")
    cumulative_simple_cache_savings: int
    cumulative_simple_cache_savings_exact: Exact
    cumulative_semantic_cache_savings: int
    cumulative_semantic_cache_savings_exact: Exact


class CacheSummary(BaseModel):
    """Answers from a cache beside the others."""

    hits: int
    avg_latency: int = Field(description="Milliseconds, the mean of the answers from a cache.")
    avg_latency_exact: Exact
    total_requests: int
    cache_speedup: int = Field(
        description="By how many per cent of the others' mean that is less; 0 where there are none to compare."
    )
    cache_speedup_exact: Exact


class CacheSummaryReply(BaseModel):
    summary: CacheSummary
    object: Literal["analytics-summary"] = "analytics-summary"


CacheHitsGraph = Graph[CacheHitTotals, CacheHits]
CacheLatencyGraph = Graph[NoSummary, MeanAt]


async def _cache_hit_rate_graph(store: Queries, metrics_query: MetricsQuery) -> CacheHitsGraph:
    usage = await usage_by_value_over_time(store, metrics_query, "cache_status")
    saved_simply = accumulate(_usage_of_statuses(bucket.figures, SIMPLE_HIT) for bucket in usage.buckets)
    saved_semantically = accumulate(
        _usage_of_statuses(bucket.figures, SEMANTIC_HIT) for bucket in usage.buckets
    )
    return CacheHitsGraph(
        summary=CacheHitTotals(
            total=_usage_of_statuses(usage.overall, *CACHE_HITS).requests, **_hit_rate(usage.overall)
        ),
        data_points=[
            CacheHits(
                timestamp=iso_time(bucket.starts_at_us),
                simple_hits=_usage_of_statuses(bucket.figures, SIMPLE_HIT).requests,
                semantic_hits=_usage_of_statuses(bucket.figures, SEMANTIC_HIT).requests,
                **_hit_rate(bucket.figures),
                **_savings(simple, semantic),
            )
            for bucket, simple, semantic in zip(usage.buckets, saved_simply, saved_semantically, strict=True)
        ],
    )


async def _cache_latency_graph(store: Queries, metrics_query: MetricsQuery) -> CacheLatencyGraph:
    usage = await usage_by_value_over_time(store, metrics_query, "cache_status")
    return CacheLatencyGraph(summary=NoSummary(), data_points=time_points(MeanAt, usage, _hit_latency))


async def _cache_summary(store: Queries, metrics_query: MetricsQuery) -> CacheSummaryReply:
    usage = await store.usage(replace(metrics_query, group_by="cache_status"))
    by_status = {cell.value: sums for cell, sums in usage.items()}
    hits, others = (
        _usage_of_statuses(by_status, *CACHE_HITS),
        _usage_of_statuses(by_status, *(by_status.keys() - set(CACHE_HITS))),
    )
    speedup = (
        per_cent(mean_latency_ms(others) - mean_latency_ms(hits), mean_latency_ms(others))
        if hits.requests
        else 0.0
    )
    return CacheSummaryReply(
        summary=CacheSummary(
            hits=hits.requests,
            total_requests=hits.requests + others.requests,
            **with_exact(avg_latency=mean_latency_ms(hits), cache_speedup=speedup),
        )
    )


def _usage_of_statuses(by_status: Mapping[Scalar, UsageSums], *statuses: Scalar) -> UsageSums:
    return sum((by_status.get(status, UsageSums()) for status in statuses), UsageSums())


def _hit_rate(by_status: Mapping[Scalar, UsageSums]) -> dict[str, Any]:
    return with_exact(
        rate=per_cent(
            _usage_of_statuses(by_status, *CACHE_HITS).requests,
            _usage_of_statuses(by_status, *by_status).requests,
        )
    )


def _hit_latency(by_status: Mapping[Scalar, UsageSums]) -> dict[str, Any]:
    return with_exact(avg=mean_latency_ms(_usage_of_statuses(by_status, *CACHE_HITS)))


def _savings(simple: UsageSums, semantic: UsageSums) -> dict[str, Any]:
    return with_exact(
        cumulative_simple_cache_savings=usage_cents(simple),
        cumulative_semantic_cache_savings=usage_cents(semantic),
    )


CACHE_GRAPHS = (
    GraphSpec(
        "graphs/cache/hit-rate", "Answers from a cache over time",
        "Savings are what the tokens of these answers would have cost.",
        CacheHitsGraph, _cache_hit_rate_graph,
    ),
    GraphSpec(
        "graphs/cache/latency", "Latency of answers from a cache over time", "In milliseconds.",
        CacheLatencyGraph, _cache_latency_graph,
    ),
    GraphSpec(
        "summary/cache", "Answers from a cache beside the others", "Of the time as a whole.",
        CacheSummaryReply, _cache_summary,
    ),
)  # fmt: skip
