"""What answers from a cache saved: two graphs and a summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import accumulate
from typing import Any, Literal

from pydantic import BaseModel, Field

from gateway.api.portkey.analytics.figures import cents, latency_ms, per_cent, with_exact
from gateway.api.portkey.analytics.shapes import At, Exact, Graph, MeanAt, NoSummary, Rate, Total
from gateway.api.portkey.analytics.views import View, points
from gateway.api.portkey.values import iso_time
from gateway.domain.aggregate import Question, UsageSums
from gateway.domain.filter import Scalar
from gateway.query.timelines import usage_by_value_over_time
from gateway.store.figures import AggregateQueries

SIMPLE = "HIT"
SEMANTIC = "SEMANTIC HIT"
HITS = (SIMPLE, SEMANTIC)
"""Values of `cache_status` of answers that came from a cache."""


class CacheHitTotals(Rate, Total):
    """Answers from a cache: how many, and their share of all."""


class CacheHits(Rate, At):
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


async def _draw_hit_rate(store: AggregateQueries, question: Question) -> CacheHitsGraph:
    usage = await usage_by_value_over_time(store, question, "cache_status")
    saved_simply = accumulate(_of(piece.figures, SIMPLE) for piece in usage.pieces)
    saved_semantically = accumulate(_of(piece.figures, SEMANTIC) for piece in usage.pieces)
    return CacheHitsGraph(
        summary=CacheHitTotals(total=_of(usage.whole, *HITS).requests, **_rate(usage.whole)),
        data_points=[
            CacheHits(
                timestamp=iso_time(piece.starts_at_us),
                simple_hits=_of(piece.figures, SIMPLE).requests,
                semantic_hits=_of(piece.figures, SEMANTIC).requests,
                **_rate(piece.figures),
                **_savings(simple, semantic),
            )
            for piece, simple, semantic in zip(usage.pieces, saved_simply, saved_semantically, strict=True)
        ],
    )


async def _draw_hit_latency(store: AggregateQueries, question: Question) -> CacheLatencyGraph:
    usage = await usage_by_value_over_time(store, question, "cache_status")
    return CacheLatencyGraph(summary=NoSummary(), data_points=points(MeanAt, usage, _latency))


async def _draw_summary(store: AggregateQueries, question: Question) -> CacheSummaryReply:
    usage = await store.usage(replace(question, group_by="cache_status"))
    by_status = {cell.value: sums for cell, sums in usage.items()}
    hits, others = _of(by_status, *HITS), _of(by_status, *(by_status.keys() - set(HITS)))
    speedup = per_cent(latency_ms(others) - latency_ms(hits), latency_ms(others)) if hits.requests else 0.0
    return CacheSummaryReply(
        summary=CacheSummary(
            hits=hits.requests,
            total_requests=hits.requests + others.requests,
            **with_exact(avg_latency=latency_ms(hits), cache_speedup=speedup),
        )
    )


def _of(by_status: Mapping[Scalar, UsageSums], *statuses: Scalar) -> UsageSums:
    return sum((by_status.get(status, UsageSums()) for status in statuses), UsageSums())


def _rate(by_status: Mapping[Scalar, UsageSums]) -> dict[str, Any]:
    return with_exact(rate=per_cent(_of(by_status, *HITS).requests, _of(by_status, *by_status).requests))


def _latency(by_status: Mapping[Scalar, UsageSums]) -> dict[str, Any]:
    return with_exact(avg=latency_ms(_of(by_status, *HITS)))


def _savings(simple: UsageSums, semantic: UsageSums) -> dict[str, Any]:
    return with_exact(
        cumulative_simple_cache_savings=cents(simple), cumulative_semantic_cache_savings=cents(semantic)
    )


VIEWS = (
    View(
        "graphs/cache/hit-rate", "Answers from a cache over time",
        "Savings are what the tokens of these answers would have cost.",
        CacheHitsGraph, _draw_hit_rate,
    ),
    View(
        "graphs/cache/latency", "Latency of answers from a cache over time", "In milliseconds.",
        CacheLatencyGraph, _draw_hit_latency,
    ),
    View(
        "summary/cache", "Answers from a cache beside the others", "Of the time as a whole.",
        CacheSummaryReply, _draw_summary,
    ),
)  # fmt: skip
