"""Statistics of what people think: means with intervals, differences, correction for several comparisons."""

import math
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import repeat
from statistics import NormalDist

from gateway.models.metrics import FeedbackSums

# Standard deviations around the mean that contain 95 % of a normal distribution.
Z_95 = 1.959963984540054

# Probability of claiming a difference where there is none, and of finding one that there is.
ALPHA = 0.05
POWER = 0.8

# With fewer people in an arm nothing is claimed.
MIN_PEOPLE = 10

# One at each end of the scale is added to each arm. Without them a few people of one mind would have no variance.
_ADDED_PEOPLE = (-1.0, 1.0)

# Terms of the continued fraction, and where it stops.
_MAX_TERMS = 300
_PRECISION = 1e-14


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % confidence interval; no interval for a single entry."""

    value: float
    low: float | None
    high: float | None


def mean_score(feedback: FeedbackSums) -> Estimate | None:
    """Return Σ weight × score / Σ weight in -1…1, with the interval of a ratio estimator.

    Source: W. G. Cochran, Sampling Techniques, 3rd edition, section 6.
    """
    total, n = feedback.weight, feedback.scored
    if not total:
        return None
    mean = feedback.weighted_score / total
    if n < 2:
        return Estimate(mean, None, None)
    spread = (
        feedback.squared_weighted_square
        - 2 * mean * feedback.squared_weighted_score
        + mean * mean * feedback.weight_squared
    )
    # Rounding may make a spread of 0 negative.
    margin = Z_95 * math.sqrt(max(spread, 0.0) * n / (n - 1)) / total
    return Estimate(mean, max(mean - margin, -1.0), min(mean + margin, 1.0))


def share_positive(feedback: FeedbackSums) -> Estimate | None:
    """Return the unweighted share of positive scores, with Wilson's interval."""
    n = feedback.scored
    return wilson_interval(feedback.positive / n, n) if n else None


def wilson_interval(share: float, n: int) -> Estimate | None:
    """Return a share of `n` with Wilson's 95 % interval; None of nothing.

    Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    if not n:
        return None
    centre = share + Z_95**2 / (2 * n)
    margin = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))
    scale = 1 + Z_95**2 / n
    return Estimate(share, max((centre - margin) / scale, 0.0), min((centre + margin) / scale, 1.0))


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean of people and its variance with the added people, and what each person adds to the error of the mean.

    Args:
        mean: without the added people; `shrunk_mean`: with them.
    """

    mean: float
    shrunk_mean: float
    variance: float
    influence: Mapping[str, float]

    @classmethod
    def of(cls, means: Mapping[str, float]) -> "Spread":
        total, people = math.fsum(means.values()), len(means) + len(_ADDED_PEOPLE)
        shrunk_mean = (total + sum(_ADDED_PEOPLE)) / people
        scale = 1 / math.sqrt(people * (people - 1))
        influence = {person: (value - shrunk_mean) * scale for person, value in means.items()}
        added = ((value - shrunk_mean) * scale for value in _ADDED_PEOPLE)
        variance = math.fsum(error * error for error in (*influence.values(), *added))
        return cls(total / max(len(means), 1), shrunk_mean, variance, influence)

    @property
    def people(self) -> int:
        """Their number with the added ones."""
        return len(self.influence) + len(_ADDED_PEOPLE)


def mean_of_people(spread: Spread) -> Estimate | None:
    """Return the mean of one value in -1…1 for each person, with its 95 % interval; none for one person.

    Source of the added people: A. Agresti, B. Caffo, Simple and Effective Confidence Intervals for Proportions
    and Differences of Proportions, The American Statistician 54, 2000.
    """
    if not spread.influence:
        return None
    if len(spread.influence) < 2:
        return Estimate(spread.mean, None, None)
    margin = student_quantile(1 - ALPHA / 2, spread.people - 1) * math.sqrt(spread.variance)
    return Estimate(
        spread.mean, max(spread.shrunk_mean - margin, -1.0), min(spread.shrunk_mean + margin, 1.0)
    )


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two means of people, with its 95 % interval.

    Args:
        people: different people in both arms together.
        p_value: two-sided, of this comparison alone.
    """

    value: float
    low: float
    high: float
    standard_error: float
    p_value: float
    people: int


def difference_of_means(one: Spread, other: Spread) -> Difference | None:
    """Return mean of `one` minus mean of `other`; None with fewer than two people in either.

    The variance is robust to people who are in both arms: their errors are subtracted before they are squared.
    Sources: A. Deng, U. Knoblich, J. Lu, Applying the Delta Method in Metric Analytics, KDD 2018, section 3;
    degrees of freedom: B. L. Welch, The Generalization of Student's Problem, 1947.
    """
    first, second = one.influence, other.influence
    if len(first) < 2 or len(second) < 2:
        return None
    # In the order of one of the two: of a set of both the lookups would take five times as long.
    shared = sum(map(operator.mul, first.values(), map(second.get, first, repeat(0.0))))
    variance = one.variance + other.variance - 2 * shared
    people = len(first) + len(second) - sum(map(second.__contains__, first))
    freedom = min(_welch_freedom(one, other), people + len(_ADDED_PEOPLE) - 1)
    error, shift = math.sqrt(variance), one.shrunk_mean - other.shrunk_mean
    margin = student_quantile(1 - ALPHA / 2, freedom) * error
    return Difference(
        value=one.mean - other.mean,
        low=max(shift - margin, -2.0),
        high=min(shift + margin, 2.0),
        standard_error=error,
        p_value=2 * (1 - student_cdf(abs(shift) / error, freedom)),
        people=people,
    )


def _welch_freedom(first: Spread, second: Spread) -> int:
    parts = ((spread.variance**2 / (spread.people - 1)) for spread in (first, second))
    return max(int((first.variance + second.variance) ** 2 / math.fsum(parts)), 1)


def holm_adjusted(p_values: Sequence[float]) -> list[float]:
    """Return p values of several comparisons, of which at most one in twenty families has a false claim.

    Source: S. Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(p_values[place] * (len(p_values) - rank), 1.0))
        adjusted[place] = highest
    return adjusted


def more_people_needed(found: Difference, comparisons: int = 1) -> float:
    """Return how many more people would show this difference with a probability of `POWER`, at this spread.

    Source: NIST/SEMATECH e-Handbook of Statistical Methods, section 7.2.2.2; Bonferroni for several comparisons.
    """
    if not found.value:
        return math.inf
    normal = NormalDist()
    z = normal.inv_cdf(1 - ALPHA / comparisons / 2) + normal.inv_cdf(POWER)
    times = (z * found.standard_error / found.value) ** 2
    return max(found.people * (times - 1), 1.0)


@cache
def student_quantile(share: float, freedom: int) -> float:
    """Return the value below which a share above 0.5 of Student's t distribution lies."""
    low, high = 0.0, 1.0
    while student_cdf(high, freedom) < share:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_cdf(middle, freedom) < share else (low, middle)
    return (low + high) / 2


def student_cdf(t: float, freedom: int) -> float:
    """Return the share of Student's t distribution below a value.

    Source: NIST Digital Library of Mathematical Functions, 8.17.
    """
    tail = _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t)) / 2
    return 1 - tail if t > 0 else tail


def _incomplete_beta(a: float, b: float, x: float) -> float:
    if x in (0.0, 1.0):
        return x
    # The continued fraction converges quickly on this side only.
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(scale) / a / _beta_fraction(a, b, x)


def _beta_fraction(a: float, b: float, x: float) -> float:
    # The modified Lentz algorithm: DLMF 3.10(iii), with the terms of 8.17.22.
    value, numerator, denominator = 1.0, 1.0, 0.0
    for term in range(1, _MAX_TERMS):
        m, is_odd = divmod(term, 2)
        over = -(a + m) * (a + b + m) if is_odd else m * (b - m)
        coefficient = over * x / ((a + 2 * m) * (a + 2 * m + (1 if is_odd else -1)))
        denominator = 1 / (1 + coefficient * denominator)
        numerator = 1 + coefficient / numerator
        value *= numerator * denominator
        if abs(numerator * denominator - 1) < _PRECISION:
            break
    return value
