"""Numbers, money, durations, scores and times as people read them."""

from __future__ import annotations

import pytest

from gateway.models.clock import now_us
from gateway.ui import formats


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (1234, "1,234"),
        (9999, "9,999"),
        (12_345, "12.3 k"),
        (999_960, "1 M"),
        (1_000_000, "1 M"),
        (2_500_000_000, "2.5 G"),
        (7_200_000_000_000_000, "7,200 T"),
    ],
)
def test_counts(value: float | None, text: str) -> None:
    assert formats.count(value) == text


@pytest.mark.parametrize(
    ("nanousd", "text"),
    [
        (None, "–"),
        (0, "$0"),
        (300_000, "$0.0003"),
        (11_850, "$0.00001185"),
        (1, "$0.000000001"),
        (123_456_789, "$0.1235"),
        (1_250_000_000, "$1.25"),
        (1_234_500_000_000, "$1,234.50"),
        (12_345_000_000_000, "$12.3 k"),
        (-300_000, "$-0.0003"),
    ],
)
def test_money_has_four_significant_digits_at_most(nanousd: int | None, text: str) -> None:
    assert formats.money(nanousd) == text


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (None, "–"),
        (380_400, "380 ms"),
        (999_499, "999 ms"),
        (1_240_000, "1.24 s"),
        (59_900_000, "59.9 s"),
        (125_000_000, "2 min 5 s"),
    ],
)
def test_durations(microseconds: float | None, text: str) -> None:
    assert formats.duration(microseconds) == text


@pytest.mark.parametrize(
    ("value", "weight", "text"), [(-10, 0.5, "−10 : 0.5"), (1, 1, "1 : 1"), (0.25, 0, "0.25 : 0")]
)
def test_feedback_is_its_value_and_weight(value: float, weight: float, text: str) -> None:
    assert formats.pair(value, weight) == text


def test_scores_and_shares() -> None:
    assert formats.signed(-0.41) == "−0.41"
    assert formats.signed(-0.001) == "0"
    assert formats.interval(-0.5, 0.3) == "[−0.5, 0.3]"
    assert formats.interval(None, None) == ""
    assert [formats.percent(share) for share in (None, 0.004, 0.41, 1)] == ["–", "0.4 %", "41 %", "100 %"]
    assert [formats.size(length) for length in (380, 1_234, 999_960)] == ["380 B", "1.2 kB", "1 MB"]


def test_times_are_relative_within_a_day_and_tell_utc_on_hover() -> None:
    now = now_us()
    assert ">just now<" in formats.when(now)
    assert ">5 min ago<" in formats.when(now - 5 * 60_000_000)
    assert ">3 h ago<" in formats.when(now - 3 * 3_600_000_000)
    old = formats.when(1_700_000_000_000_000)
    assert ">14 Nov 2023 22:13<" in old
    assert 'datetime="2023-11-14T22:13:20.000Z"' in old
    assert 'title="2023-11-14 22:13:20.000 UTC"' in old
    assert formats.when(None) == "–"


def test_the_words_that_an_edit_changed_are_marked() -> None:
    before, after = "You can cancel <b>now</b> in Settings.", "You can cancel any time in Settings."
    assert formats.word_changes(before, after) == (
        "You can cancel<del> &lt;b&gt;now&lt;/b&gt;</del><ins> any time</ins> in Settings."
    )
    assert formats.word_changes("one two three", "four five six") is None
    assert formats.word_changes("", "new") is None
