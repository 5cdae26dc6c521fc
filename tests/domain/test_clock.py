"""Times as whole microseconds since the epoch, and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.clock import datetime_of, rfc_3339, us_of

OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_comes_back_from_its_microseconds(at: datetime) -> None:
    assert datetime_of(us_of(at)) == at


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=OFFSETS))
def test_an_offset_counts_and_none_is_utc(at: datetime) -> None:
    assert us_of(at) == us_of(at.astimezone(UTC)) == us_of(at.astimezone(UTC).replace(tzinfo=None))


def test_times_are_written_in_utc_to_the_microsecond_or_as_told() -> None:
    at_us = us_of(datetime(2026, 1, 31, 9, 30, 0, 120_999, UTC))
    assert rfc_3339(at_us) == "2026-01-31T09:30:00.120999Z"
    assert rfc_3339(at_us, "milliseconds") == "2026-01-31T09:30:00.120Z"
