"""Means, shares and their intervals."""

from __future__ import annotations

import math
import random

import pytest

from gateway.models.metrics import FeedbackSums
from gateway.query.statistics import (
    ALPHA,
    Difference,
    Estimate,
    Spread,
    difference_of_means,
    holm_adjusted,
    mean_of_people,
    mean_score,
    more_people_needed,
    share_positive,
    student_cdf,
    student_quantile,
)


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


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.7062), (2, 4.3027), (5, 2.5706), (10, 2.2281), (30, 2.0423), (120, 1.9799), (100_000, 1.96)],
)
def test_student_s_distribution_is_that_of_the_tables(freedom: int, quantile: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(quantile, abs=1e-4)
    assert student_cdf(quantile, freedom) == pytest.approx(0.975, abs=1e-5)
    assert student_cdf(-quantile, freedom) == pytest.approx(0.025, abs=1e-5)
    assert student_cdf(0, freedom) == pytest.approx(0.5)


def spread_of(*means: float) -> Spread:
    return Spread.of({str(person): mean for person, mean in enumerate(means)})


def test_the_mean_of_people_by_hand() -> None:
    # With -1 and 1 added, six people have mean 1/6, squares 2.5 - 6/36, and five degrees of freedom.
    estimate = mean_of_people(spread_of(0.5, 0.0, 0.5, 0.0))
    assert estimate is not None
    margin = 2.57058 * math.sqrt((2.5 - 1 / 6) / 5 / 6)
    assert estimate.value == 0.25
    assert (estimate.low, estimate.high) == pytest.approx((1 / 6 - margin, 1 / 6 + margin), abs=1e-4)
    assert mean_of_people(spread_of(0.5)) == Estimate(0.5, None, None)
    assert mean_of_people(spread_of()) is None


def test_a_few_people_of_one_mind_are_no_certainty() -> None:
    estimate = mean_of_people(spread_of(*[1.0] * 10))
    assert estimate is not None
    assert estimate.value == estimate.high == 1.0
    assert estimate.low is not None
    assert estimate.low < 0.6


def test_the_difference_of_strangers_is_welch_s() -> None:
    one = {f"a{n}": score for n, score in enumerate([0.5, 0.7, 0.1, -0.2, 0.9, 0.4])}
    other = {f"b{n}": score for n, score in enumerate([-0.5, 0.2, 0.1, -0.8])}
    found = difference_of_means(Spread.of(one), Spread.of(other))
    assert found is not None
    assert found.value == pytest.approx(0.4 + 0.25)

    def spread(scores: list[float]) -> tuple[int, float, float]:
        n, mean = len(scores), sum(scores) / len(scores)
        return n, mean, sum((s - mean) ** 2 for s in scores) / (n - 1) / n

    (n, mean, v), (m, mean_2, w) = (spread([*arm.values(), -1, 1]) for arm in (one, other))
    freedom = math.floor((v + w) ** 2 / (v * v / (n - 1) + w * w / (m - 1)))
    margin = student_quantile(0.975, freedom) * math.sqrt(v + w)
    assert (found.low, found.high) == pytest.approx((mean - mean_2 - margin, mean - mean_2 + margin))
    assert found.people == 10


def test_people_in_both_arms_are_compared_with_themselves() -> None:
    dice = random.Random(2)
    kind = [dice.uniform(-0.7, 0.7) for _ in range(200)]
    one = {f"p{n}": mind + 0.1 for n, mind in enumerate(kind)}
    other = {f"p{n}": mind - 0.1 for n, mind in enumerate(kind)}
    strangers = {f"q{n}": mind - 0.1 for n, mind in enumerate(kind)}
    first, second, third = (Spread.of(arm) for arm in (one, other, strangers))
    paired, unpaired = difference_of_means(first, second), difference_of_means(first, third)
    assert paired is not None
    assert unpaired is not None
    assert paired.standard_error < unpaired.standard_error / 3
    assert paired.p_value < 1e-6
    assert (paired.people, unpaired.people) == (200, 400)


def test_holm_s_correction_by_hand() -> None:
    assert holm_adjusted([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm_adjusted([0.6, 0.7]) == [1.0, 1.0]
    assert holm_adjusted([]) == []


def test_people_needed_are_those_of_the_handbook() -> None:
    # 2 × ((1.96 + 0.8416) × 1 / 0.5)² = 62.8 people in both arms of a spread of 1, of whom there are 40.
    found = Difference(0.5, 0, 0, standard_error=math.sqrt(2 / 20), p_value=0.1, people=40)
    assert more_people_needed(found) == pytest.approx(2 * 62.8 - 40, abs=0.1)
    assert more_people_needed(found, comparisons=6) > more_people_needed(found)
    assert more_people_needed(Difference(0, 0, 0, 0.1, 1, 40)) == math.inf


def scores_of(dice: random.Random, people: range, share: float, kindness: list[float]) -> dict[str, float]:
    """Means of people who say something between once and a thousand times."""
    found = {}
    for person in people:
        entries = min(int(dice.paretovariate(0.8)), 1000)
        liked = min(max(share + kindness[person], 0.02), 0.98)
        found[f"p{person}"] = 2 * sum(dice.random() < liked for _ in range(entries)) / entries - 1
    return found


# Strangers; few and nearly of one mind; of very different number; half of them in both; three arms.
NO_DIFFERENCE: list[tuple[tuple[range, ...], float]] = [
    ((range(60), range(60, 120)), 0.6),
    ((range(10), range(10, 20)), 0.9),
    ((range(12), range(12, 120)), 0.85),
    ((range(50), range(25, 75)), 0.5),
    ((range(30), range(30, 60), range(20, 70)), 0.7),
]
RUNS = 400


def false_claims(arms: tuple[range, ...], share: float) -> int:
    dice = random.Random(11)
    claims = 0
    for _ in range(RUNS):
        kindness = [dice.gauss(0, 0.25) for _ in range(120)]
        scores = [Spread.of(scores_of(dice, people, share, kindness)) for people in arms]
        pairs = [(a, b) for n, a in enumerate(scores) for b in scores[n + 1 :]]
        found = [difference for a, b in pairs if (difference := difference_of_means(a, b))]
        claims += min(holm_adjusted([difference.p_value for difference in found])) < ALPHA
    return claims


def test_where_there_is_no_difference_at_most_one_comparison_in_twenty_claims_one() -> None:
    claims = [false_claims(arms, share) for arms, share in NO_DIFFERENCE]
    assert sum(claims) <= ALPHA * RUNS * len(claims)
    # A twentieth is 20 claims of 400 runs, with a standard deviation of 4.4.
    assert max(claims) <= 29


def test_a_difference_is_found_about_as_often_as_the_number_of_people_promises() -> None:
    dice = random.Random(5)
    hits = 0
    for _ in range(200):
        arms = [
            {f"{arm}{n}": dice.choices([1.0, -1.0], [liked, 1 - liked])[0] for n in range(250)}
            for arm, liked in (("a", 0.6), ("b", 0.475))
        ]
        found = difference_of_means(*map(Spread.of, arms))
        assert found is not None
        hits += found.p_value < ALPHA
    # 250 people in each arm have a power of 80 % for this difference.
    assert 145 <= hits <= 180
