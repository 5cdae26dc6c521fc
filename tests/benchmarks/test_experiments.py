"""The simulation of experiments counts votes as experiments do, and hides no winner to be fast."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as some

from benchmarks.experiments import ALIKE, ALPHA, FalseWinners, _chi_squared, _run_alike, _Tally
from benchmarks.tables import false_winners_table
from gateway.experiments.confidence import Sample, log_evidence_of_gain
from gateway.query.statistics import Estimate

SAMPLES = some.builds(
    lambda count, share: Sample(count, count * share), some.integers(1, 400), some.floats(0, 1)
)


@given(SAMPLES, SAMPLES)
def test_no_winner_is_passed_over(first: Sample, second: Sample) -> None:
    if log_evidence_of_gain(first, second) >= math.log(1 / ALPHA):
        assert _chi_squared(first, second) >= math.log(1 / ALPHA)


def test_of_a_person_the_mean_of_the_latest_votes_counts() -> None:
    tally = _Tally()
    for request, liked in ((1, 1), (1, 1), (2, 1), (1, 0)):
        tally.add(0, 7, request, liked)
    assert tally.people[0] == Sample(1, 0.5)
    assert tally.votes[0] == Sample(4, 3)


def test_a_run_is_told_by_its_seed() -> None:
    assert _run_alike(ALIKE[-1], 3) == _run_alike(ALIKE[-1], 3)


def test_rates_are_shown_with_their_intervals() -> None:
    row = FalseWinners("late", 100, 40, 8000, Estimate(0.01, 0.002, 0.05), Estimate(0.5, 0.4, 0.6))
    assert false_winners_table([row]).splitlines()[-1] == (
        "| late | 100 | 40 | 80 | 1.00 [0.20, 5.00] | 50.00 [40.00, 60.00] |"
    )
