"""Graphs of what requests took: each figure worked out by hand."""

from __future__ import annotations

import pytest

from .served import Served, at


async def test_requests_are_counted_minute_by_minute_and_empty_minutes_are_noughts(served: Served) -> None:
    for minute in (0, 0.5, 1.99, 59.999):
        await served.log(minute=minute)

    graph = await served.ask("graphs/requests")

    assert graph["object"] == "analytics-graph"
    assert graph["summary"] == {"total": 4}
    assert [point["timestamp"] for point in graph["data_points"]] == [at(minute) for minute in range(60)]
    counts = [point["total"] for point in graph["data_points"]]
    assert (counts[0], counts[1], counts[59], sum(counts)) == (2, 1, 1, 4)


async def test_costs_are_cents_and_what_is_not_known_costs_nothing(served: Served) -> None:
    await served.log(cents=1.25)
    await served.log(cents=0.2)
    await served.log(minute=1)

    summary, points = await served.graph("cost")

    assert summary == {
        "total": 1,
        "total_exact": 1.45,
        "avg": 0,
        "avg_exact": pytest.approx(1.45 / 3),
    }
    assert points == [
        {"timestamp": at(0), "total": 1, "total_exact": 1.45, "avg": 1, "avg_exact": pytest.approx(0.725)}
    ]


async def test_latencies_are_milliseconds_to_the_end_of_the_answer(served: Served) -> None:
    for took_ms in (10, 20, 30, 100):
        await served.log(took_ms=took_ms)
    await served.log(minute=2, took_ms=91)

    summary, points = await served.graph("latency")

    assert summary == {"avg": 50, "avg_exact": 50.2, "p50": 30, "p90": 100, "p99": 100}
    assert points == [
        {"timestamp": at(0), "avg": 40, "avg_exact": 40.0, "p50": 20, "p90": 100, "p99": 100},
        {"timestamp": at(2), "avg": 91, "avg_exact": 91.0, "p50": 91, "p90": 91, "p99": 91},
    ]


async def test_tokens_are_those_of_prompts_and_completions(served: Served) -> None:
    await served.log(tokens=(10, 5))
    await served.log(tokens=(1, 0))
    await served.log(minute=3)

    summary, points = await served.graph("tokens")

    assert summary == {"total": 16, "avg": 5, "avg_exact": pytest.approx(16 / 3)}
    assert points == [{"timestamp": at(0), "total": 16, "avg": 8, "avg_exact": 8.0}]


async def test_a_user_counts_once_in_each_piece_of_time_and_once_in_all(served: Served) -> None:
    for minute, user in ((0, "ann"), (0, "ann"), (0, "bob"), (4, "ann")):
        await served.log(minute=minute, metadata={"_user": user})
    await served.log(minute=5)

    summary, points = await served.graph("users")

    assert summary == {"total": 2}
    assert points == [{"timestamp": at(0), "total": 2}, {"timestamp": at(4), "total": 1}]


async def test_requests_of_a_user_are_a_mean_of_those_who_have_any(served: Served) -> None:
    for minute, user in ((0, "ann"), (0, "ann"), (0, "bob"), (4, "ann"), (4, "ann")):
        await served.log(minute=minute, metadata={"_user": user})
    await served.log(minute=5)

    summary, points = await served.graph("users/requests")

    assert summary == {"total": 5, "unique": 2, "avg": 3, "avg_exact": 2.5}
    assert points == [
        {"timestamp": at(0), "avg": 2, "avg_exact": 1.5},
        {"timestamp": at(4), "avg": 2, "avg_exact": 2.0},
    ]
