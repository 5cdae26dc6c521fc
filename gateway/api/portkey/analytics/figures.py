"""Figures as Portkey shows them: cents, means and shares, rounded and exact."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from gateway.api.portkey.values import NANOUSD_A_CENT
from gateway.domain.aggregate import UsageSums, VerdictSums


def cents(usage: UsageSums) -> float:
    """Return what requests cost."""
    return usage.cost_nanousd / NANOUSD_A_CENT


def exact_cents(usage: UsageSums) -> str:
    """Return what requests cost, as a decimal number such as `0.0125`."""
    return f"{(Decimal(usage.cost_nanousd) / NANOUSD_A_CENT).normalize():f}"


def tokens(usage: UsageSums) -> int:
    """Return the tokens of prompts and completions."""
    return usage.prompt_tokens + usage.completion_tokens


def latency_ms(usage: UsageSums) -> float:
    """Return the mean time that requests took."""
    return mean(usage.duration_us / 1000, usage.requests)


def weighted_feedback(verdicts: VerdictSums) -> float:
    """Return the mean of value × weight of the entries that have a value."""
    return mean(verdicts.weighted_grade, verdicts.scored)


def mean(total: float, number: int) -> float:
    """Return `total` over `number`; 0 of nothing."""
    return total / number if number else 0.0


def per_cent(part: float, whole: float) -> float:
    """Return what share of the whole a part is; 0 of nothing."""
    return 100 * part / whole if whole else 0.0


def rounded(figure: float) -> int:
    """Return the nearest integer; of two equally near the one farther from nought."""
    return int(Decimal(figure).to_integral_value(ROUND_HALF_UP))


def with_exact(**figures: float) -> dict[str, Any]:
    """Return each figure rounded under its name, and as it is under its name with `_exact`."""
    exact = {f"{name}_exact": figure for name, figure in figures.items()}
    return {name: rounded(figure) for name, figure in figures.items()} | exact
