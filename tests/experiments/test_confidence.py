"""Evidence that holds at every look: never much where there is nothing, and enough where there is something."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from gateway.experiments.confidence import (
    Sample,
    difference_interval,
    log_evidence,
    log_evidence_of_gain,
    log_sample_ratio_evidence,
    mean_interval,
    pair_alpha,
    people_needed,
    people_needed_at_fixed_end,
    times_needed,
)

ALPHA = 0.05
MEANS = some.floats(0.05, 0.95)
SAMPLES = some.builds(
    lambda count, mean: Sample(count, count * mean), some.integers(1, 5000), some.floats(0, 1)
)


@given(some.lists(some.floats(0, 1), min_size=1, max_size=30), MEANS)
def test_nobody_is_expected_to_gain_from_the_next_observation(seen: list[float], mean: float) -> None:
    before = Sample(len(seen), math.fsum(seen))
    # The worst of all observations with this mean is a coin.
    capital = [math.exp(log_evidence(Sample(before.count + 1, before.total + x), mean)) for x in (0, 1)]
    assert (1 - mean) * capital[0] + mean * capital[1] <= math.exp(log_evidence(before, mean)) * (1 + 1e-9)
    between = math.exp(log_evidence(Sample(before.count + 1, before.total + 0.5), mean))
    assert between <= (capital[0] + capital[1]) / 2 * (1 + 1e-9)


def test_no_observation_is_no_evidence() -> None:
    assert log_evidence(Sample(), 0.3) == pytest.approx(0)
    assert mean_interval(Sample(), ALPHA).high == 1
    assert difference_interval(Sample(), Sample(5, 5), ALPHA).low == -1


@given(SAMPLES, SAMPLES)
def test_the_evidence_of_a_gain_is_the_least_over_all_pairs_of_means(one: Sample, other: Sample) -> None:
    if one.mean > other.mean:
        least = log_evidence_of_gain(one, other)
        for mean in (0.01, 0.2, 0.5, 0.8, 0.99):
            assert least <= log_evidence(one, mean) + log_evidence(other, mean) + 1e-6
    else:
        assert log_evidence_of_gain(one, other) == 0


@given(SAMPLES, SAMPLES)
def test_an_interval_excludes_no_difference_just_where_evidence_lacks(one: Sample, other: Sample) -> None:
    found = difference_interval(one, other, ALPHA)
    assert found.low is not None
    assert found.high is not None
    assert -1 <= found.low <= found.value <= found.high <= 1
    shows_gain = log_evidence_of_gain(one, other) >= math.log(1 / ALPHA)
    assert (found.low > 1e-9) == shows_gain or abs(found.low) < 1e-6
    turned = difference_interval(other, one, ALPHA)
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-6)


def test_a_known_interval() -> None:
    # Of 60 among 100: where the mean capital over all bets is 20.
    bets = math.fsum((n / 1000) ** 60 * (1 - n / 1000) ** 40 / 1000 for n in range(1000))
    found = mean_interval(Sample(100, 60), ALPHA)
    for end in (found.low, found.high):
        assert end is not None
        assert bets / (end**60 * (1 - end) ** 40) == pytest.approx(20, rel=1e-6)
    assert (found.low, found.high) == pytest.approx((0.4408, 0.7460), abs=1e-4)


def test_looking_after_every_person_calls_few_false_winners() -> None:
    draw = random.Random(7)
    runs, false = 300, 0
    for _ in range(runs):
        arms = (Sample(), Sample())
        for _ in range(400):
            one, other = arms if draw.random() < 0.5 else (arms[1], arms[0])
            arms = (Sample(one.count + 1, one.total + (draw.random() < 0.6)), other)
            if max(log_evidence_of_gain(*arms), log_evidence_of_gain(arms[1], arms[0])) >= math.log(
                1 / ALPHA
            ):
                false += 1
                break
    assert false / runs <= ALPHA


def test_a_plan_finds_what_it_promises() -> None:
    needed = people_needed(0.65, 0.5, ALPHA)
    assert needed is not None
    fixed = people_needed_at_fixed_end(0.65, 0.5, ALPHA)
    assert fixed == 167
    assert 1.5 < needed / fixed < 3.5
    draw = random.Random(3)
    shown = 0
    for _ in range(200):
        one, other = (
            Sample(needed, sum(draw.random() < mean for _ in range(needed))) for mean in (0.65, 0.5)
        )
        shown += log_evidence_of_gain(one, other) >= math.log(1 / ALPHA)
    assert 0.7 < shown / 200 < 0.9
    assert people_needed(0.5, 0.5001, ALPHA) is None


def test_more_people_of_the_same_mind_show_what_is_not_shown_yet() -> None:
    one, other = Sample(50, 33), Sample(50, 25)
    factor = times_needed(one, other, ALPHA)
    assert factor is not None
    assert factor > 1
    assert log_evidence_of_gain(one.times(factor + 0.01), other.times(factor + 0.01)) >= math.log(20)
    assert times_needed(other, one, ALPHA) is None


def test_each_pair_has_its_part_of_the_error() -> None:
    assert [pair_alpha(0.06, 2), pair_alpha(0.06, 4)] == pytest.approx([0.06, 0.02])


def test_a_wrong_split_is_found_and_a_right_one_is_not() -> None:
    halves = (0.5, 0.5)
    assert log_sample_ratio_evidence((500, 520), halves) < 0
    assert log_sample_ratio_evidence((500, 700), halves) > math.log(1000)
    assert log_sample_ratio_evidence((0, 0), halves) == pytest.approx(0)
