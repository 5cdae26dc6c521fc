"""Timelines: how time is cut, that nothing is missing in between, and what a whole is."""

from __future__ import annotations

import pytest

from gateway.domain.aggregate import DAY_US, HOUR_US, Question
from gateway.query.timelines import (
    LONGEST_US,
    MINUTE_US,
    WEEK_US,
    latencies_over_time,
    piece_us,
    usage_by_value_over_time,
    usage_over_time,
    values_over_time,
    verdicts_over_time,
)
from gateway.store.base import Store
from tests.making import MakeExchange, MakeFeedback

START_US = 1_700_000_000_000_000 // DAY_US * DAY_US


def of_length(length_us: int) -> Question:
    """All from a midnight on until so much later, that moment included."""
    return Question(START_US, START_US + length_us + 1)


@pytest.mark.parametrize(
    ("length_us", "piece"),
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
        (LONGEST_US, WEEK_US),
    ],
)
def test_the_longer_a_time_the_longer_its_pieces(length_us: int, piece: int) -> None:
    assert piece_us(of_length(length_us)) == piece


@pytest.mark.parametrize("length_us", [HOUR_US, 6 * HOUR_US, DAY_US, WEEK_US, 400 * DAY_US, LONGEST_US])
async def test_nothing_is_missing_and_there_are_never_very_many(store: Store, length_us: int) -> None:
    timeline = await usage_over_time(store, of_length(length_us))
    starts = [piece.starts_at_us for piece in timeline.pieces]
    piece = piece_us(of_length(length_us))
    assert starts == list(range(START_US // piece * piece, START_US + length_us, piece))
    assert 24 <= len(starts) <= 1001


async def test_the_last_moment_is_a_piece_only_if_something_is_in_it(
    store: Store, make_exchange: MakeExchange
) -> None:
    timeline = await usage_over_time(store, of_length(HOUR_US))
    assert len(timeline.pieces) == 60
    end = START_US + HOUR_US
    await store.append([make_exchange(started_at_us=end, ended_at_us=end)])
    timeline = await usage_over_time(store, of_length(HOUR_US))
    assert (len(timeline.pieces), timeline.pieces[-1].starts_at_us, timeline.whole.requests) == (61, end, 1)


async def test_a_piece_that_begins_earlier_counts_only_what_was_asked_for(
    store: Store, make_exchange: MakeExchange
) -> None:
    for second in (10, 50):
        start = START_US + second * 1_000_000
        await store.append([make_exchange(started_at_us=start, ended_at_us=start)])
    timeline = await usage_over_time(store, Question(START_US + 30_000_000, START_US + 90_000_000))
    assert [(piece.starts_at_us, piece.figures.requests) for piece in timeline.pieces] == [
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
    question = of_length(HOUR_US)

    usage = await usage_by_value_over_time(store, question, "user")
    assert {value: sums.requests for value, sums in usage.whole.items()} == {"ann": 2, "bob": 1}
    assert [sorted(map(str, piece.figures)) for piece in usage.pieces[:3]] == [["ann"], ["ann", "bob"], []]

    users = await values_over_time(store, question, "user")
    assert (users.whole, [piece.figures for piece in users.pieces[:3]]) == (2, [1, 2, 0])

    latencies = await latencies_over_time(store, question)
    assert (latencies.whole.usage.duration_us, latencies.whole.latencies) == (15_000, {5: 3})
    assert [piece.figures.latencies for piece in latencies.pieces[:3]] == [{5: 1}, {5: 2}, {}]

    verdicts = await verdicts_over_time(store, question)
    assert (verdicts.whole.entries, verdicts.whole.weighted_grade) == (3, 27.0)
    assert [piece.figures.entries for piece in verdicts.pieces[:3]] == [1, 2, 0]
