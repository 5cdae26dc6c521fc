from __future__ import annotations

import pytest

from gateway.feedback import SCALES


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


@pytest.mark.parametrize("value", range(-10, 11))
def test_what_is_positive_does_not_depend_on_the_scale(value: int) -> None:
    assert {scale(value) > 0 for scale in SCALES.values()} == {value > 0}
