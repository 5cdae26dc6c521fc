"""The time, as everything that is kept has it: in whole microseconds since the epoch."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1000


def us_of(at: datetime) -> int:
    """Return a time as microseconds since the epoch; one without an offset is in UTC."""
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)


def datetime_of(time_us: int) -> datetime:
    """Return microseconds since the epoch as a time in UTC. Raises OverflowError beyond the year 9999."""
    return _EPOCH + timedelta(microseconds=time_us)


def rfc_3339(time_us: int, timespec: str = "microseconds") -> str:
    """Write microseconds since the epoch as RFC 3339 in UTC: `2026-01-31T09:30:00.000000Z`.

    Args:
        timespec: to what the seconds are told, as `datetime.isoformat` has it.
    """
    return datetime_of(time_us).replace(tzinfo=None).isoformat(timespec=timespec) + "Z"
