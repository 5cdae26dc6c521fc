"""What sums say: means and shares, and how sure they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gateway.domain.aggregate import VerdictSums

Z_95 = 1.959963984540054
"""Standard deviations from the mean within which 95 % of a normal distribution lie."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its 95 % confidence interval. The bounds are None where one verdict alone tells nothing."""

    value: float
    low: float | None
    high: float | None


def mean_score(verdicts: VerdictSums) -> Estimate | None:
    """Return Σ weight × score / Σ weight, in −1…1; None where no entry weighs anything.

    The interval is that of a ratio estimator, its variance Σ w²(s − mean)² / (Σ w)² times n / (n − 1).

    Source: W. G. Cochran, Sampling Techniques, 3rd edition, section 6.
    """
    total, n = verdicts.weight, verdicts.scored
    if not total:
        return None
    mean = verdicts.weighted_score / total
    if n < 2:
        return Estimate(mean, None, None)
    spread = (
        verdicts.squared_weighted_square
        - 2 * mean * verdicts.squared_weighted_score
        + mean * mean * verdicts.weight_squared
    )
    # Rounding may leave a little less than nothing of a spread that is none.
    margin = Z_95 * math.sqrt(max(spread, 0.0) * n / (n - 1)) / total
    return Estimate(mean, max(mean - margin, -1.0), min(mean + margin, 1.0))


def share_positive(verdicts: VerdictSums) -> Estimate | None:
    """Return the share of entries with a score that are positive, in 0…1, each counted once whatever its weight;
    None where there are none. The interval is Wilson's.

    Source: E. B. Wilson, Probable Inference, the Law of Succession, and Statistical Inference, 1927.
    """
    n = verdicts.scored
    if not n:
        return None
    share = verdicts.positive / n
    centre = share + Z_95**2 / (2 * n)
    margin = Z_95 * math.sqrt(share * (1 - share) / n + Z_95**2 / (4 * n * n))
    scale = 1 + Z_95**2 / n
    return Estimate(share, max((centre - margin) / scale, 0.0), min((centre + margin) / scale, 1.0))
