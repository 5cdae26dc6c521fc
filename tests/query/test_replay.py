"""Figures of a replay: paired differences with intervals that know which requests belong together."""

from __future__ import annotations

import pytest

from gateway.query.replay import nearness, paired_difference


def test_an_interval_of_single_requests_is_that_of_a_paired_t_test() -> None:
    # Student's data on sleep, "The Probable Error of a Mean", 1908.
    first = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    second = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    values = [(f"s{at}", *pair) for at, pair in enumerate(zip(first, second, strict=True))]
    found = paired_difference("sleep", "hours", values)
    assert found is not None
    assert found.difference.low is not None
    assert found.difference.high is not None
    assert (found.original, found.answer) == pytest.approx((0.75, 2.33))
    bounds = (found.difference.value, found.difference.low, found.difference.high)
    assert bounds == pytest.approx((1.58, 0.7001, 2.4599), abs=1e-4)


def test_requests_of_one_session_count_as_little_as_they_say() -> None:
    apart = [(f"s{at}", 0.0, float(at % 2)) for at in range(20)]
    # Ten sessions whose requests are all alike.
    together = [(f"s{at % 10}", 0.0, float(at % 2)) for at in range(20)]
    narrow, wide = (paired_difference("x", "", values) for values in (apart, together))
    assert narrow is not None
    assert wide is not None
    assert narrow.difference.value == wide.difference.value == 0.5
    assert narrow.difference.high is not None
    assert wide.difference.high is not None
    assert wide.difference.high - 0.5 > 1.4 * (narrow.difference.high - 0.5)


def test_one_session_has_no_interval() -> None:
    found = paired_difference("x", "", [("s", 1.0, 2.0), ("s", 1.0, 4.0)])
    assert found is not None
    assert (found.difference.value, found.difference.low) == (2.0, None)
    assert paired_difference("x", "", []) is None


def test_nearness_is_of_words_in_order() -> None:
    assert nearness("the cat sat", "the cat sat") == 1.0
    assert nearness("the cat sat", "a dog ran") == 0.0
    assert nearness("the cat sat down", "the cat lay down") == 0.75
