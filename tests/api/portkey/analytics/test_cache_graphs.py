"""Graphs and the summary of answers from a cache: each figure worked out by hand."""

from __future__ import annotations

import pytest

from .served import Served, at


@pytest.fixture
async def cached(served: Served) -> Served:
    """A morning on which four of eight answers came from a cache."""
    for minute, status, took_ms, cents in (
        (0, "HIT", 2, 1.5),
        (0, "HIT", 4, 0.25),
        (0, "MISS", 40, 9),
        (0, None, 60, 9),
        (1, "SEMANTIC HIT", 12, 2),
        (2, "HIT", 2, None),
        (2, "SEMANTIC MISS", 50, 9),
        (3, None, 50, 9),
    ):
        await served.log(minute=minute, cache_status=status, took_ms=took_ms, cents=cents)
    return served


async def test_hits_are_counted_and_savings_add_up(cached: Served) -> None:
    graph = await cached.ask("graphs/cache/hit-rate")

    assert graph["summary"] == {"total": 4, "rate": 50, "rate_exact": 50.0}
    shown = [
        (
            point["simple_hits"],
            point["semantic_hits"],
            point["rate"],
            point["cumulative_simple_cache_savings_exact"],
            point["cumulative_semantic_cache_savings_exact"],
        )
        for point in graph["data_points"][:4]
    ]
    assert shown == [(2, 0, 50, 1.75, 0), (0, 1, 100, 1.75, 2), (1, 0, 50, 1.75, 2), (0, 0, 0, 1.75, 2)]
    last = graph["data_points"][-1]
    assert (last["cumulative_simple_cache_savings"], last["cumulative_semantic_cache_savings"]) == (2, 2)


async def test_latency_is_that_of_hits_alone(cached: Served) -> None:
    summary, points = await cached.graph("cache/latency")
    assert summary == {}
    assert points == [
        {"timestamp": at(0), "avg": 3, "avg_exact": 3.0},
        {"timestamp": at(1), "avg": 12, "avg_exact": 12.0},
        {"timestamp": at(2), "avg": 2, "avg_exact": 2.0},
    ]


async def test_the_summary_compares_hits_with_all_others(cached: Served) -> None:
    assert await cached.ask("summary/cache") == {
        "summary": {
            "hits": 4,
            "avg_latency": 5,
            "avg_latency_exact": 5.0,
            "total_requests": 8,
            "cache_speedup": 90,
            "cache_speedup_exact": 90.0,
        },
        "object": "analytics-summary",
    }


@pytest.mark.parametrize("status", ["HIT", None])
async def test_with_nothing_to_compare_there_is_no_speedup(served: Served, status: str | None) -> None:
    await served.log(cache_status=status)
    summary = (await served.ask("summary/cache"))["summary"]
    assert (summary["total_requests"], summary["cache_speedup"]) == (1, 0)
