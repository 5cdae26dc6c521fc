"""Times as whole microseconds since the epoch, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from gateway.models.clock import format_rfc3339, to_datetime, to_us

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_comes_back_from_its_microseconds(at: datetime) -> None:
    assert to_datetime(to_us(at)) == at


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=OFFSETS))
def test_an_offset_counts_and_none_is_utc(at: datetime) -> None:
    assert to_us(at) == to_us(at.astimezone(UTC)) == to_us(at.astimezone(UTC).replace(tzinfo=None))


def test_times_are_written_in_utc_to_the_microsecond_or_as_told() -> None:
    at_us = to_us(datetime(2026, 1, 31, 9, 30, 0, 120_999, UTC))
    assert format_rfc3339(at_us) == "2026-01-31T09:30:00.120999Z"
    assert format_rfc3339(at_us, "milliseconds") == "2026-01-31T09:30:00.120Z"
