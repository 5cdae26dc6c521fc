"""Anytime-valid statistics: evidence and intervals that hold however often one looks, under any assignment."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from gateway.query.statistics import POWER, Estimate

# Observations lie in 0…1. For each p the product of (p/m)^x · ((1−p)/(1−m))^(1−x) is a supermartingale if the
# mean of each observation is m whatever came before: it is convex in x, so its mean is at most that of a
# coin. So is the mean over all p, the capital of one who bets with a uniform prior, which follows from count
# and sum alone. Source: S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, Time-uniform, nonparametric,
# nonasymptotic confidence sequences, Annals of Statistics 49, 2021 (the sub-Bernoulli case); as betting: I.
# Waudby-Smith, A. Ramdas, Estimating means of bounded random variables by betting, JRSS B 86, 2024.
#
# Of two variants the capitals are multiplied: an e-process for their pair of means, however the next variant
# is chosen. A difference is excluded once even the pair with this difference that explains most is. Source:
# R. J. Turner, A. Ly, P. D. Grünwald, Generic E-variables for exact sequential k-sample tests that allow for
# optional stopping, JSPI 230, 2024.

METHOD = (
    "Anytime-valid: a person's value is the mean of their latest scores, and each person counts once. Evidence is"
    " the capital of bets with a uniform prior against the means, multiplied over two variants (Howard, Ramdas,"
    " McAuliffe and Sekhon 2021; Waudby-Smith and Ramdas 2024; Turner, Ly and Grünwald 2024). Intervals hold at"
    " every look, at once. They suppose that persons are alike in what is expected of them, whenever they come."
)

_STEPS = 60
_MOST_TIMES = 10_000.0
_ROUNDING, _TINY = 1e-9, 1e-300


@dataclass(frozen=True, slots=True)
class Sample:
    """Count and sum of observations in 0…1."""

    count: float = 0.0
    total: float = 0.0

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.5

    def times(self, factor: float) -> "Sample":
        return Sample(self.count * factor, self.total * factor)


def log_evidence(seen: Sample, mean: float) -> float:
    """Return the logarithm of the e-value against a true mean."""
    rest = seen.count - seen.total
    bets = math.lgamma(seen.total + 1) + math.lgamma(rest + 1) - math.lgamma(seen.count + 2)
    return bets - _log_power(mean, seen.total) - _log_power(1 - mean, rest)


def _log_power(base: float, exponent: float) -> float:
    # What rounding leaves of a sum counts for nothing.
    if exponent < _ROUNDING:
        return 0.0
    return exponent * math.log(base) if base > 0 else -math.inf


def log_evidence_of_gain(one: Sample, other: Sample, gain: float = 0.0) -> float:
    """Return the logarithm of the evidence that the mean of `one` exceeds that of `other` by more than `gain`."""
    if one.mean - other.mean <= gain:
        return 0.0
    return _log_evidence_against(one, other, gain)


def _log_evidence_against(one: Sample, other: Sample, gain: float) -> float:
    # The least over all pairs of means with this difference; its slope grows with the mean.
    if gain:
        low, high = max(0.0, -gain), min(1.0, 1.0 - gain)
        mean = _bisect(lambda at: _slope(one, at + gain) + _slope(other, at) < 0, low, high)
    else:
        mean = (one.total + other.total) / max(one.count + other.count, 1e-12)
    return log_evidence(one, min(mean + gain, 1.0)) + log_evidence(other, mean)


def _slope(seen: Sample, mean: float) -> float:
    rest = seen.count - seen.total
    below = seen.total / max(mean, _TINY) if seen.total >= _ROUNDING else 0.0
    above = rest / max(1 - mean, _TINY) if rest >= _ROUNDING else 0.0
    return above - below


def _bisect(is_below: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if is_below(middle) else (low, middle)
    return (low + high) / 2


def mean_interval(seen: Sample, alpha: float) -> Estimate:
    """Return a mean with its confidence sequence."""
    if not seen.count:
        return Estimate(0.5, 0.0, 1.0)
    limit, mean = math.log(1 / alpha), seen.mean
    low = _bisect(lambda at: log_evidence(seen, at) >= limit, 0.0, mean)
    high = _bisect(lambda at: log_evidence(seen, at) < limit, mean, 1.0)
    return Estimate(mean, low, high)


def difference_interval(one: Sample, other: Sample, alpha: float) -> Estimate:
    """Return mean of `one` minus mean of `other` with its confidence sequence."""
    if not (one.count and other.count):
        return Estimate(one.mean - other.mean, -1.0, 1.0)
    limit, difference = math.log(1 / alpha), one.mean - other.mean

    def excludes(gain: float) -> bool:
        return _log_evidence_against(one, other, gain) >= limit

    low = _bisect(excludes, -1.0, difference)
    high = _bisect(lambda gain: not excludes(gain), difference, 1.0)
    return Estimate(difference, low, high)


def pair_alpha(alpha: float, variants: int) -> float:
    """Return the error of one pair of variants."""
    # A false winner was called better than the truly best, or than one as good: one of these pairs.
    return alpha / max(variants - 1, 1)


def log_sample_ratio_evidence(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return the logarithm of the e-value against units being shared out so."""
    # M. Lindon, A. Malek, Anytime-Valid Inference for Multinomial Count Data, NeurIPS 2022.
    total, parts = sum(counts), len(counts)
    bets = math.lgamma(parts) - math.lgamma(total + parts) + sum(math.lgamma(count + 1) for count in counts)
    return bets - sum(_log_power(share, count) for count, share in zip(counts, shares, strict=True))


def people_needed(one: float, other: float, alpha: float, power: float = POWER) -> int | None:
    """Return people for each of two variants with these means, at most spread out; None: more than a million."""
    difference, variance = abs(one - other), one * (1 - one) + other * (1 - other)
    z, middle, limit = NormalDist().inv_cdf(power), (one + other) / 2, math.log(1 / alpha)

    def is_shown(people: float) -> bool:
        unlucky = (difference - z * math.sqrt(variance / people)) / 2
        pair = (
            Sample(people, people * min(middle + unlucky, 1)),
            Sample(people, people * (middle - unlucky)),
        )
        return unlucky > 0 and log_evidence_of_gain(*pair) >= limit

    if not is_shown(1e6):
        return None
    return math.ceil(_bisect(lambda people: not is_shown(people), 1.0, 1e6))


def people_needed_at_fixed_end(one: float, other: float, alpha: float, power: float = POWER) -> int:
    """Return the same for a t test that looks once, at its end."""
    normal, variance = NormalDist(), one * (1 - one) + other * (1 - other)
    z = normal.inv_cdf(1 - alpha / 2) + normal.inv_cdf(power)
    return math.ceil(variance * (z / (one - other)) ** 2)


def times_needed(one: Sample, other: Sample, alpha: float) -> float | None:
    """Return how many times as many people show the difference; None: more than 10,000."""
    limit = math.log(1 / alpha)

    def is_shown(factor: float) -> bool:
        return log_evidence_of_gain(one.times(factor), other.times(factor)) >= limit

    if not is_shown(_MOST_TIMES):
        return None
    return _bisect(lambda factor: not is_shown(factor), 0.0, _MOST_TIMES)
