"""Graphs of errors, and of what was rescued from them: each figure worked out by hand."""

from __future__ import annotations

import pytest

from gateway.models.exchange import Outcome

from .served import Served, at


@pytest.fixture
async def troubled(served: Served) -> Served:
    """A morning with five errors in nine requests."""
    for minute, status, outcome in (
        (0, 200, Outcome.COMPLETE),
        (0, 429, Outcome.COMPLETE),
        (0, 429, Outcome.COMPLETE),
        (0, 500, Outcome.UPSTREAM_ERROR),
        (1, 200, Outcome.UPSTREAM_TRUNCATED),
        (1, None, Outcome.TIMEOUT),
        (1, None, Outcome.CLIENT_CLOSED),
        (2, 200, Outcome.COMPLETE),
        (2, 399, Outcome.COMPLETE),
    ):
        await served.log(minute=minute, status=status, outcome=outcome)
    return served


async def test_errors_are_refusals_and_what_did_not_come_to_its_end(troubled: Served) -> None:
    summary, points = await troubled.graph("errors")
    assert summary == {"total": 5}
    assert points == [{"timestamp": at(0), "total": 3}, {"timestamp": at(1), "total": 2}]


async def test_the_rate_of_errors_is_in_per_cent(troubled: Served) -> None:
    summary, points = await troubled.graph("errors/rate")
    assert summary == {"rate": 56, "rate_exact": pytest.approx(500 / 9)}
    assert points == [
        {"timestamp": at(0), "rate": 75, "rate_exact": 75.0},
        {"timestamp": at(1), "rate": 67, "rate_exact": pytest.approx(200 / 3)},
    ]


async def test_errors_are_stacked_by_the_status_that_was_sent(troubled: Served) -> None:
    summary, points = await troubled.graph("errors/stacks")
    assert summary == {"total": 5}
    assert points == [
        {
            "timestamp": at(0),
            "stats": [
                {"response_status_code": 429, "count": 2},
                {"response_status_code": 500, "count": 1},
            ],
        },
        {
            "timestamp": at(1),
            "stats": [{"response_status_code": 0, "count": 1}, {"response_status_code": 200, "count": 1}],
        },
    ]


async def test_statuses_of_most_errors_come_first(troubled: Served) -> None:
    summary, points = await troubled.graph("errors/status-codes")
    assert summary == {"total_errors": 5, "unique_error_codes": 4}
    assert [(point["status_code"], point["count"]) for point in points] == [
        (429, 2),
        (0, 1),
        (200, 1),
        (500, 1),
    ]


async def test_rescued_is_what_went_well_when_it_was_tried_again(served: Served) -> None:
    for minute, attempt, status in (
        (0, 0, 500),
        (0, 1, 200),
        (0, 1, 200),
        (0, 2, 200),
        (3, 1, 200),
        (4, 3, 500),
    ):
        await served.log(minute=minute, attempt=attempt, status=status)

    summary, points = await served.graph("requests/rescued")

    assert summary == {"retry": 4, "fallback": 0}
    assert points == [
        {
            "timestamp": at(0),
            "retry": [{"retry_success_count": 1, "count": 2}, {"retry_success_count": 2, "count": 1}],
            "fallback": 0,
        },
        {"timestamp": at(3), "retry": [{"retry_success_count": 1, "count": 1}], "fallback": 0},
    ]
