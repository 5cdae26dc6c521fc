"""Times as people ask for them."""

from __future__ import annotations

import pytest

from gateway.models import clock
from gateway.models.clock import parse_iso_us, parse_time_us
from gateway.models.metrics import DAY_US, HOUR_US

NOW_US = 1_790_000_000_000_000
TODAY_US = NOW_US // DAY_US * DAY_US


@pytest.fixture(autouse=True)
def at_a_known_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now_us", lambda: NOW_US)


@pytest.mark.parametrize(
    ("text", "begins_us", "ends_us"),
    [
        ("1970-01-02", DAY_US, 2 * DAY_US),
        ("9999-12-31", 2_932_896 * DAY_US, 2_932_897 * DAY_US),
        ("today", TODAY_US, TODAY_US + DAY_US),
        ("yesterday", TODAY_US - DAY_US, TODAY_US),
    ],
)
def test_a_day_is_meant_from_its_beginning_to_its_end(text: str, begins_us: int, ends_us: int) -> None:
    assert parse_time_us(text) == begins_us
    assert parse_time_us(text, is_end=True) == ends_us


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("now", NOW_US),
        ("30s", NOW_US - 30_000_000),
        ("15m", NOW_US - HOUR_US // 4),
        ("24h", NOW_US - DAY_US),
        ("7d", NOW_US - 7 * DAY_US),
        ("2w", NOW_US - 14 * DAY_US),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01 00:00:00.000001z", 1),
        ("1709213400500000", 1_709_213_400_500_000),
        ("0", 0),
    ],
)
def test_a_moment_is_the_same_from_both_sides(text: str, time_us: int) -> None:
    assert parse_time_us(text) == parse_time_us(text, is_end=True) == time_us


@pytest.mark.parametrize(
    "text",
    [
        "", " 7d", "7D", "7 days", "-7d", "1.5h", "tomorrow", "Today", "\u0667d", "1234567d",
        "2024", "20240229", "1709213400", "1709213400500", "9" * 19,
        "2023-02-29", "0000-01-01", "2024-02-29T12:00:00", "2024-02-29T12:00Z", "9999-12-31T23:59:59-23:00:00",
    ],
)  # fmt: skip
def test_what_may_mean_two_things_or_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^must be a time: RFC 3339.*7d.*microseconds"):
        parse_time_us(text)


def test_callers_of_iso_8601_need_no_offset_and_have_no_microseconds() -> None:
    assert parse_time_us("1970-01-02T00:00", is_iso=True) == parse_iso_us("1970-01-02T00:00") == DAY_US
    assert parse_time_us("7d", is_iso=True) == NOW_US - 7 * DAY_US
    with pytest.raises(ValueError, match="must be a time"):
        parse_time_us("1709213400500000", is_iso=True)
    assert parse_iso_us("7d") is None
