"""Classes of durations and the percentiles that are read off them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.models.metrics import (
    EXACT_LATENCY_MS,
    FeedbackSums,
    UsageSums,
    latency_class,
    latency_class_width,
    percentile_ms,
)

DURATIONS = st.integers(0, 2**32 - 1)


@given(DURATIONS)
def test_a_duration_lies_in_its_class(duration_ms: int) -> None:
    class_ms = latency_class(duration_ms)
    assert class_ms <= duration_ms < class_ms + latency_class_width(class_ms)
    assert latency_class(class_ms) == class_ms


@given(DURATIONS)
def test_a_class_is_less_than_a_sixtieth_wide(duration_ms: int) -> None:
    width = latency_class_width(latency_class(duration_ms))
    assert width == 1 if duration_ms < EXACT_LATENCY_MS else width * 60 < duration_ms


@given(st.lists(st.integers(0, 100_000), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_within_a_hundredth_of_the_exact_one(durations: list[int], share: float) -> None:
    classes: dict[int, int] = {}
    for duration in durations:
        classes[latency_class(duration)] = classes.get(latency_class(duration), 0) + 1
    exact = sorted(durations)[math.ceil(share * len(durations)) - 1]
    found = percentile_ms(classes, share)
    assert found is not None
    assert found == pytest.approx(exact, rel=0.01)


def test_nothing_has_no_percentile() -> None:
    assert percentile_ms({}, 0.5) is None


def test_sums_of_two_sets_add_up_to_those_of_both() -> None:
    both = UsageSums(requests=1, last_started_at_us=7) + UsageSums(requests=2, last_started_at_us=5)
    assert both == UsageSums(requests=3, last_started_at_us=7)
    assert FeedbackSums(entries=1, weight=0.5) + FeedbackSums(entries=2) == FeedbackSums(
        entries=3, weight=0.5
    )
