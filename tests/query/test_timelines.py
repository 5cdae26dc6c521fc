"""Timelines: how time is cut, that nothing is missing in between, and what a whole is."""

from __future__ import annotations

import pytest

from gateway.models.metrics import DAY_US, HOUR_US, WEEK_US, MetricsQuery
from gateway.query.metrics import (
    MAX_TIMELINE_US,
    MINUTE_US,
    MetricsReader,
    bucket_length_us,
)
from gateway.store.base import Store
from tests.factories import MakeExchange, MakeFeedback

START_US = 1_700_000_000_000_000 // DAY_US * DAY_US


def of_length(length_us: int) -> MetricsQuery:
    """All from a midnight on until so much later, that moment included."""
    return MetricsQuery(START_US, START_US + length_us + 1)


@pytest.mark.parametrize(
    ("length_us", "bucket"),
    [
        (0, MINUTE_US),
        (HOUR_US, MINUTE_US),
        (HOUR_US + 1, 5 * MINUTE_US),
        (6 * HOUR_US, 5 * MINUTE_US),
        (DAY_US, HOUR_US),
        (WEEK_US, HOUR_US),
        (WEEK_US + 1, DAY_US),
        (400 * DAY_US, DAY_US),
        (401 * DAY_US, WEEK_US),
        (MAX_TIMELINE_US, WEEK_US),
    ],
)
def test_the_longer_a_time_the_longer_its_pieces(length_us: int, bucket: int) -> None:
    assert bucket_length_us(of_length(length_us)) == bucket


@pytest.mark.parametrize("length_us", [HOUR_US, 6 * HOUR_US, DAY_US, WEEK_US, 400 * DAY_US, MAX_TIMELINE_US])
async def test_nothing_is_missing_and_there_are_never_very_many(store: Store, length_us: int) -> None:
    timeline = await MetricsReader(store).usage_over_time(of_length(length_us))
    starts = [bucket.starts_at_us for bucket in timeline.buckets]
    bucket = bucket_length_us(of_length(length_us))
    assert starts == list(range(START_US // bucket * bucket, START_US + length_us, bucket))
    assert 24 <= len(starts) <= 1001


async def test_the_last_moment_is_a_piece_only_if_something_is_in_it(
    store: Store, make_exchange: MakeExchange
) -> None:
    timeline = await MetricsReader(store).usage_over_time(of_length(HOUR_US))
    assert len(timeline.buckets) == 60
    end = START_US + HOUR_US
    await store.append([make_exchange(started_at_us=end, ended_at_us=end)])
    timeline = await MetricsReader(store).usage_over_time(of_length(HOUR_US))
    assert (len(timeline.buckets), timeline.buckets[-1].starts_at_us, timeline.overall.requests) == (
        61,
        end,
        1,
    )


async def test_a_piece_that_begins_earlier_counts_only_what_was_asked_for(
    store: Store, make_exchange: MakeExchange
) -> None:
    for second in (10, 50):
        start = START_US + second * 1_000_000
        await store.append([make_exchange(started_at_us=start, ended_at_us=start)])
    timeline = await MetricsReader(store).usage_over_time(
        MetricsQuery(START_US + 30_000_000, START_US + 90_000_000)
    )
    assert [(bucket.starts_at_us, bucket.figures.requests) for bucket in timeline.buckets] == [
        (START_US, 1),
        (START_US + MINUTE_US, 0),
    ]


async def test_a_whole_is_the_sum_of_its_pieces_but_shares_its_values(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    for number, (minute, user) in enumerate(((0, "ann"), (1, "ann"), (1, "bob"))):
        start = START_US + minute * MINUTE_US
        await store.append(
            [
                make_exchange(
                    f"r{number}", started_at_us=start, ended_at_us=start + 5_000, metadata={"_user": user}
                )
            ]
        )
    await store.put_feedback([make_feedback(f"r{number}", score=1.0, grade=9.0) for number in range(3)])
    metrics_query = of_length(HOUR_US)

    usage = await MetricsReader(store).usage_by_value_over_time(metrics_query, "user")
    assert {value: sums.requests for value, sums in usage.overall.items()} == {"ann": 2, "bob": 1}
    assert [sorted(map(str, bucket.figures)) for bucket in usage.buckets[:3]] == [["ann"], ["ann", "bob"], []]

    users = await MetricsReader(store).values_over_time(metrics_query, "user")
    assert (users.overall, [bucket.figures for bucket in users.buckets[:3]]) == (2, [1, 2, 0])

    latencies = await MetricsReader(store).latencies_over_time(metrics_query)
    assert (latencies.overall.usage.duration_us, latencies.overall.latencies) == (15_000, {5: 3})
    assert [bucket.figures.latencies for bucket in latencies.buckets[:3]] == [{5: 1}, {5: 2}, {}]

    feedback_sums = await MetricsReader(store).feedback_over_time(metrics_query)
    assert (feedback_sums.overall.entries, feedback_sums.overall.weighted_grade) == (3, 27.0)
    assert [bucket.figures.entries for bucket in feedback_sums.buckets[:3]] == [1, 2, 0]
