"""Sequential test: evidence that a mean has crossed a threshold, which holds however often one looks."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.models.alerts import HOUR_US, Direction

# Each observation lies between 0 and 1. If their true mean is at most `mean`, whatever came before, then for each
# odds ratio above 1 the likelihood ratio of a coin is a supermartingale, for any observations and not for coins
# alone, since it is convex in the observation. So is their mixture, an e-process: the capital of somebody who bets
# against the threshold and is expected to lose. It follows from sums, so that each look reads sums of the window
# and nothing is kept between looks. Source: S. R. Howard, A. Ramdas, J. McAuliffe, J. Sekhon, Time-uniform,
# nonparametric, nonasymptotic confidence sequences, Annals of Statistics 49, 2021; the sub-Bernoulli case.
#
# Traffic goes on for ever, so betting begins again at each half of a window and goes on for a whole one. The
# capitals of all bets that are on are added up, a Shiryaev-Roberts e-detector: it reaches `c` on average not before
# `c` bets have begun, if nothing is wrong. Source: J. Shin, A. Ramdas, A. Rinaldo, E-detectors: a nonparametric
# framework for sequential change detection, New England Journal of Statistics in Data Science 2, 2024.

# Odds ratios to the threshold that are bet on, each with the same part of the capital.
_ODDS_RATIOS = (1.1, 1.2, 1.35, 1.6, 2.0, 3.0, 5.0, 10.0, 30.0)

# A rule with all its groups fires falsely about once in so long, if everything is just at the threshold.
YEARS_BETWEEN_FALSE_ALARMS = 1
_YEAR_US = 8766 * HOUR_US

METHOD = (
    "Sequential test for bounded observations: bets against the threshold begin at each half of a window, last for"
    " a whole one, and their e-values are added up (Howard, Ramdas, McAuliffe and Sekhon 2021; Shin, Ramdas and"
    " Rinaldo 2024). It fires where the sum is so high that a rule whose measure stays on the good side of its"
    f" threshold fires at most once in {YEARS_BETWEEN_FALSE_ALARMS} year on average, all its groups together,"
    " though it looks each minute."
)


@dataclass(frozen=True, slots=True)
class Observations:
    """Sums of observations between 0 and 1, and the mean that they are tested against."""

    count: int
    total: float
    mean: float

    def turned(self) -> "Observations":
        """Return what lacks to 1 of each observation, so that too little is too much."""
        return Observations(self.count, self.count - self.total, 1 - self.mean)


def half_windows_us(window_us: int, at_us: int) -> tuple[int, int]:
    """Return when the two bets that are on at a time began, the earlier first."""
    half = window_us // 2
    recent = at_us // half * half
    return recent - half, recent


def log_evidence(seen: Observations) -> float:
    """Return the logarithm of the e-value against a true mean of at most `seen.mean`."""
    if seen.mean <= 0:
        return math.inf if seen.total > 0 else 0.0
    if seen.mean >= 1:
        return -math.inf
    logs = []
    for ratio in _ODDS_RATIOS:
        # Of the coin with these odds, against that of the threshold.
        rest = 1 / (1 - seen.mean + ratio * seen.mean)
        logs.append(seen.total * math.log(ratio) + seen.count * math.log(rest))
    return log_sum(logs) - math.log(len(_ODDS_RATIOS))


def log_sum(logs: Iterable[float]) -> float:
    """Return the logarithm of the sum of what has these logarithms."""
    known = list(logs)
    highest = max(known)
    if math.isinf(highest):
        return highest
    return highest + math.log(sum(math.exp(each - highest) for each in known))


def log_needed(window_us: int, groups: int) -> float:
    """Return the logarithm of the evidence at which a rule fires."""
    bets_a_year = 2 * _YEAR_US * YEARS_BETWEEN_FALSE_ALARMS / window_us
    return math.log(max(groups, 1) * bets_a_year)


def share_of_needed(bets: Iterable[Observations], direction: Direction, window_us: int, groups: int) -> float:
    """Return the evidence of all bets that are on, as a part of what is needed; 1 fires."""
    tested = (seen if direction is Direction.ABOVE else seen.turned() for seen in bets)
    reached = log_sum(map(log_evidence, tested)) / log_needed(window_us, groups)
    return min(max(reached, 0.0), 1_000.0)
