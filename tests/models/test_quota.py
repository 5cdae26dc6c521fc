"""How limits are written, and when their windows begin and end."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.models.clock import to_us
from gateway.models.quota import (
    Quota,
    QuotaStatus,
    QuotaUsage,
    Unit,
    Window,
    quota_statuses,
    refuse_duplicate_quotas,
)


@pytest.mark.parametrize(
    ("text", "limit", "written"),
    [
        ("600 requests/minute", Quota(600, Unit.REQUESTS, Window.MINUTE), "600 requests/minute"),
        (" 600 Requests / Minute ", Quota(600, Unit.REQUESTS, Window.MINUTE), "600 requests/minute"),
        ("2000000 tokens/day", Quota(2_000_000, Unit.TOKENS, Window.DAY), "2000000 tokens/day"),
        ("25 usd/month", Quota(25_000_000_000, Unit.USD, Window.MONTH), "25 usd/month"),
        ("0.005usd/hour", Quota(5_000_000, Unit.USD, Window.HOUR), "0.005 usd/hour"),
        ("0 requests/day", Quota(0, Unit.REQUESTS, Window.DAY), "0 requests/day"),
    ],
)
def test_a_limit_is_read_as_it_is_written(text: str, limit: Quota, written: str) -> None:
    assert Quota.parse(text) == limit
    assert str(limit) == written
    assert Quota.parse(written) == limit


@pytest.mark.parametrize(
    "text",
    [
        "", "600", "600/minute", "-1 requests/minute", "600 calls/minute", "600 requests/year", "1e3 requests/day",
        "600 requests per minute", "1.5 requests/minute", "0.5 tokens/day", "0.0000000001 usd/day",
        "600 requests/minute, 1 usd/day",
    ],
)  # fmt: skip
def test_what_is_no_limit_is_refused_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match=r"requests, tokens or usd per minute|a whole number of"):
        Quota.parse(text)


@pytest.mark.parametrize(
    ("window", "start", "end"),
    [
        (Window.MINUTE, datetime(2024, 2, 29, 23, 59, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
        (Window.HOUR, datetime(2024, 2, 29, 23, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
        (Window.DAY, datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
        (Window.WEEK, datetime(2024, 2, 26, tzinfo=UTC), datetime(2024, 3, 4, tzinfo=UTC)),
        (Window.MONTH, datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
    ],
)
def test_windows_are_those_of_the_calendar_in_utc(window: Window, start: datetime, end: datetime) -> None:
    at_us = to_us(datetime(2024, 2, 29, 23, 59, 30, 500_000, tzinfo=UTC))
    assert (window.start_us(at_us), window.end_us(at_us)) == (to_us(start), to_us(end))
    assert window.start_us(to_us(end)) == to_us(end)


def test_a_month_ends_with_the_year() -> None:
    december = to_us(datetime(2023, 12, 31, 12, tzinfo=UTC))
    assert Window.MONTH.end_us(december) == to_us(datetime(2024, 1, 1, tzinfo=UTC))


def test_two_limits_that_would_count_together_are_refused() -> None:
    refuse_duplicate_quotas(map(Quota.parse, ("1 requests/day", "1 requests/hour", "1 tokens/day")))
    with pytest.raises(ValueError, match="one limit of requests/day; got 1 requests/day and 2 requests/day"):
        refuse_duplicate_quotas(map(Quota.parse, ("1 requests/day", "1 tokens/day", "2 requests/day")))


@pytest.mark.parametrize(
    ("limit", "used", "words", "shown", "remaining"),
    [
        ("600 requests/minute", 41, "600 requests per minute", "41 of 600 requests/minute", "559"),
        ("2.50 usd/month", 690_000_000, "2.5 USD per month", "0.69 of 2.5 usd/month", "1.81"),
        ("10 tokens/day", 12, "10 tokens per day", "12 of 10 tokens/day", "0"),
        ("0 requests/day", 0, "0 requests per day", "0 of 0 requests/day", "0"),
    ],
)
def test_a_limit_is_told_with_what_is_used_of_it(
    limit: str, used: int, words: str, shown: str, remaining: str
) -> None:
    usage = QuotaStatus(Quota.parse(limit), used, 2_500_000)
    assert (usage.limit.in_words, str(usage)) == (words, shown)
    assert usage.limit.write(usage.remaining) == remaining
    assert [usage.seconds_left(at_us) for at_us in (0, 500_000, 2_500_000, 3_000_000)] == [3, 2, 0, 0]


def test_what_was_used_in_a_window_that_is_over_is_not_used_in_this_one() -> None:
    now = to_us(datetime(2024, 2, 29, 12, tzinfo=UTC))
    limits = [Quota.parse("5 requests/day"), Quota.parse("9 tokens/month")]
    spendings = [
        QuotaUsage("app", Unit.REQUESTS, Window.DAY, Window.DAY.start_us(now) - 86_400_000_000, 4),
        QuotaUsage("app", Unit.TOKENS, Window.MONTH, Window.MONTH.start_us(now), 3),
        QuotaUsage("other", Unit.TOKENS, Window.MONTH, Window.MONTH.start_us(now), 8),
    ]
    shown = list(map(str, quota_statuses(limits, "app", spendings, now)))
    assert shown == ["0 of 5 requests/day", "3 of 9 tokens/month"]
