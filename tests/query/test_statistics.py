"""Means, shares and their intervals."""

from __future__ import annotations

import math
import random

import pytest

from gateway.models.metrics import FeedbackSums
from gateway.query.metrics import Estimate, mean_score, share_positive


def sums_of(*votes: tuple[float, float]) -> FeedbackSums:
    """Sums over (weight, score)."""
    return FeedbackSums(
        entries=len(votes),
        scored=len(votes),
        positive=sum(score > 0 for _, score in votes),
        weight=sum(w for w, _ in votes),
        weight_squared=sum(w * w for w, _ in votes),
        weighted_score=sum(w * s for w, s in votes),
        squared_weighted_score=sum(w * w * s for w, s in votes),
        squared_weighted_square=sum(w * w * s * s for w, s in votes),
    )


def test_the_mean_weighs_each_score() -> None:
    estimate = mean_score(sums_of((1.0, 1.0), (0.5, -1.0)))
    assert estimate is not None
    assert estimate.value == pytest.approx(0.5 / 1.5)


def test_with_equal_weights_the_interval_is_that_of_the_plain_mean() -> None:
    scores = [0.2, 0.4, -0.6, 1.0]
    mean = sum(scores) / 4
    deviation = math.sqrt(sum((s - mean) ** 2 for s in scores) / 3)
    margin = 1.959964 * deviation / 2
    estimate = mean_score(sums_of(*((0.7, s) for s in scores)))
    assert estimate is not None
    assert (estimate.low, estimate.high) == pytest.approx((mean - margin, mean + margin), abs=1e-6)


def test_what_is_certain_has_an_interval_of_no_width_and_what_is_unknown_none() -> None:
    assert mean_score(sums_of((1.0, 0.5), (1.0, 0.5))) == Estimate(0.5, 0.5, 0.5)
    assert mean_score(sums_of((1.0, 0.5))) == Estimate(0.5, None, None)
    assert mean_score(sums_of((0.0, 0.5))) is None
    assert mean_score(FeedbackSums()) is None


def test_the_interval_holds_the_true_mean_about_95_times_of_100() -> None:
    dice = random.Random(7)
    hits = 0
    for _ in range(1000):
        votes = [(dice.choice([0.25, 1.0]), dice.choice([-1.0, 0.0, 1.0, 1.0])) for _ in range(60)]
        estimate = mean_score(sums_of(*votes))
        assert estimate is not None
        assert estimate.low is not None
        assert estimate.high is not None
        hits += estimate.low <= 0.25 <= estimate.high
    assert 920 <= hits <= 975


@pytest.mark.parametrize(
    ("positive", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0)],
)
def test_the_share_of_positive_has_wilson_s_interval(positive: int, of: int, low: float, high: float) -> None:
    estimate = share_positive(FeedbackSums(scored=of, positive=positive))
    assert estimate is not None
    assert estimate.value == positive / of
    assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-4)


def test_without_scores_there_is_no_share() -> None:
    assert share_positive(FeedbackSums(entries=3)) is None
