"""The sequential test: what a bettor owns is expected not to grow while nothing is wrong, and grows once it is."""

from __future__ import annotations

import math
import random
from itertools import product

import pytest

from gateway.alerts.sequential import (
    Observations,
    half_windows_us,
    log_evidence,
    log_needed,
    share_of_needed,
)
from gateway.models.alerts import HOUR_US, Direction


def capital(count: int, total: float, mean: float) -> float:
    return math.exp(log_evidence(Observations(count, total, mean)))


@pytest.mark.parametrize("mean", [0.05, 0.5, 0.9])
def test_capital_is_a_martingale_of_coins_at_the_threshold(mean: float) -> None:
    for seen in product((0, 1), repeat=4):
        now = capital(4, sum(seen), mean)
        following = mean * capital(5, sum(seen) + 1, mean) + (1 - mean) * capital(5, sum(seen), mean)
        assert following == pytest.approx(now)


@pytest.mark.parametrize("values", [(0.0, 0.4), (0.1, 0.3), (0.2, 0.2)])
def test_capital_is_expected_to_shrink_with_observations_between_and_with_a_lower_mean(
    values: tuple[float, float],
) -> None:
    # Each with a mean of 0.2.
    following = sum(capital(11, 3 + value, 0.2) for value in values) / 2
    assert following <= capital(10, 3, 0.2) + 1e-12
    below = 0.1 * capital(11, 4, 0.2) + 0.9 * capital(11, 3, 0.2)
    assert below < capital(10, 3, 0.2)


def test_evidence_for_too_little_is_that_for_too_much_of_the_rest() -> None:
    above = share_of_needed([Observations(100, 30, 0.1)], Direction.ABOVE, HOUR_US, 1)
    below = share_of_needed([Observations(100, 70, 0.9)], Direction.BELOW, HOUR_US, 1)
    assert above == pytest.approx(below)
    assert above > 1
    assert share_of_needed([Observations(100, 30, 0.1)], Direction.BELOW, HOUR_US, 1) == 0


def test_thresholds_at_the_ends_are_exact() -> None:
    assert share_of_needed([Observations(5, 1, 0.0)], Direction.ABOVE, HOUR_US, 1) == 1000
    assert share_of_needed([Observations(5, 0, 0.0)], Direction.ABOVE, HOUR_US, 1) == 0
    assert share_of_needed([Observations(5, 4, 1.0)], Direction.BELOW, HOUR_US, 1) == 1000
    assert share_of_needed([Observations(5, 5, 1.0)], Direction.ABOVE, HOUR_US, 1) == 0


def test_what_is_needed_grows_with_the_bets_of_a_year() -> None:
    assert math.exp(log_needed(HOUR_US, 1)) == pytest.approx(2 * 8766)
    assert math.exp(log_needed(24 * HOUR_US, 5)) == pytest.approx(5 * 2 * 8766 / 24)
    assert half_windows_us(HOUR_US, 7 * HOUR_US + 5) == (6.5 * HOUR_US, 7 * HOUR_US)
    assert half_windows_us(HOUR_US, 7 * HOUR_US - 1) == (6 * HOUR_US, 6.5 * HOUR_US)


def test_a_doubled_rate_is_found_and_one_at_the_threshold_is_not() -> None:
    dice = random.Random(4)

    def looks(rate: float) -> list[bool]:
        errors, found = 0, []
        for count in range(1, 3_001):
            errors += dice.random() < rate
            seen = Observations(count, errors, 0.05)
            found.append(share_of_needed([seen], Direction.ABOVE, HOUR_US, 1) >= 1)
        return found

    assert not any(looks(0.05))
    assert looks(0.1).index(True) < 1_500
