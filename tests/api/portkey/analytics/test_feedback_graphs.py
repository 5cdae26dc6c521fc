"""Graphs of feedback: each figure worked out by hand."""

from __future__ import annotations

from .served import Served, at


async def judged(served: Served) -> Served:
    """A morning with three requests, five verdicts on them, and a comment."""
    await served.log("a", minute=0, model="large")
    await served.log("b", minute=1, model="small")
    await served.log("c", minute=1)
    for request_id, value, weight in (
        ("a", 10, 0.5),
        ("a", -2, 1),
        ("b", 10, 1),
        ("b", 4.4, 0),
        ("c", -10, 0.1),
        ("a", None, 1),
    ):
        await served.judge(request_id, value, weight)
    return served


async def test_feedback_is_counted_by_when_its_request_started(served: Served) -> None:
    summary, points = await (await judged(served)).graph("feedbacks")
    assert summary == {"total": 6}
    assert points == [{"timestamp": at(0), "total": 3}, {"timestamp": at(1), "total": 3}]


async def test_values_are_counted_one_by_one_and_rounded(served: Served) -> None:
    summary, points = await (await judged(served)).graph("feedbacks/scores")
    assert summary == {"total": 5}
    assert [(point["score"], point["total"]) for point in points] == [(-10, 1), (-2, 1), (4, 1), (10, 2)]


async def test_weighted_feedback_is_the_mean_of_value_times_weight(served: Served) -> None:
    summary, points = await (await judged(served)).graph("feedbacks/weighted")
    assert summary == {"avg": 2, "avg_exact": 2.4}
    assert points == [
        {"timestamp": at(0), "avg": 2, "avg_exact": 1.5},
        {"timestamp": at(1), "avg": 3, "avg_exact": 3.0},
    ]


async def test_models_of_most_feedback_come_first_and_unknown_ones_are_left_out(served: Served) -> None:
    summary, points = await (await judged(served)).graph("feedbacks/ai-models")
    assert summary == {}
    assert points == [
        {
            "ai_model": "large",
            "total": 3,
            "avg_weighted_feedback": 2,
            "avg_weighted_feedback_exact": 1.5,
        },
        {"ai_model": "small", "total": 2, "avg_weighted_feedback": 5, "avg_weighted_feedback_exact": 5.0},
    ]
