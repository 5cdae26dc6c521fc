from __future__ import annotations

import pytest

from gateway.feedback.payloads import SCALES, star_scale, unit_scale


@pytest.mark.parametrize(
    ("scale", "value", "score"),
    [
        ("signed", -10, -1.0),
        ("signed", -3, -0.3),
        ("signed", 0, 0.0),
        ("signed", 1, 0.1),
        ("signed", 10, 1.0),
        ("thumbs", -10, -1.0),
        ("thumbs", -1, -1.0),
        ("thumbs", 0, -1.0),
        ("thumbs", 1, 1.0),
        ("thumbs", 7, 1.0),
    ],
)
def test_a_scale_gives_each_value_its_score(scale: str, value: float, score: float) -> None:
    assert SCALES[scale](value) == score


@pytest.mark.parametrize(("value", "score"), [(1, -1.0), (2, -0.5), (3, 0.0), (4.5, 0.75), (5, 1.0)])
def test_three_stars_are_neutral(value: float, score: float) -> None:
    assert star_scale(value) == score


@pytest.mark.parametrize("value", [-1.0, -0.25, 0.0, 1.0])
def test_a_value_from_minus_one_to_one_is_its_own_score(value: float) -> None:
    assert unit_scale(value) == value


@pytest.mark.parametrize("value", range(-10, 11))
def test_what_is_positive_does_not_depend_on_the_scale(value: int) -> None:
    assert {scale(value) > 0 for scale in SCALES.values()} == {value > 0}
