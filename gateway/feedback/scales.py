"""Scales: how a dialect's value becomes a score in -1…1.

A score is for comparing entries of different dialects; the value itself is kept beside it as it was given.
Whether an entry counts as positive is no matter of scale: it does if its value is greater than 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

Scale = Callable[[float], float]
"""Turns a value into its score."""


def signed(value: float) -> float:
    """Read a value of -10…10 as a grade: -10 is -1, 0 is neutral, 10 is 1."""
    return value / 10


def thumbs(value: float) -> float:
    """Read a value as a thumb: 1 is up, and so is all above 0; 0 is down, and so is all below."""
    return 1.0 if value > 0 else -1.0


def stars(value: float) -> float:
    """Read a value of 1…5 as stars: 1 is -1, 3 is neutral, 5 is 1."""
    return (value - 3) / 2


def unit(value: float) -> float:
    """Read a value of -1…1 as the score that it is."""
    return value


def score_of(value: float | None, scale: Scale | None) -> float | None:
    """Return the score that a value has; None without a value, or where its scale is not known."""
    return None if value is None or scale is None else scale(value)


def grade_of(score: float | None) -> float | None:
    """Return a score on the scale −10…10."""
    return None if score is None else 10 * score


SCALES: Mapping[str, Scale] = MappingProxyType({"signed": signed, "thumbs": thumbs})
"""Scales among which the configuration may choose, by name."""
