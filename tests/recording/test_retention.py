"""From when on things are kept."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.models.clock import to_us
from gateway.recording.retention import retention_start_us


@pytest.mark.parametrize(
    ("now", "days", "kept_from"),
    [
        (datetime(2026, 3, 10, 15, 30, tzinfo=UTC), 1, datetime(2026, 3, 9, tzinfo=UTC)),
        (datetime(2026, 3, 10, tzinfo=UTC), 1, datetime(2026, 3, 9, tzinfo=UTC)),
        (datetime(2026, 3, 10, 23, 59, 59, tzinfo=UTC), 30, datetime(2026, 2, 8, tzinfo=UTC)),
    ],
)
def test_whole_days_are_kept_and_the_one_that_has_begun(
    now: datetime, days: int, kept_from: datetime
) -> None:
    assert retention_start_us(to_us(now), days) == to_us(kept_from)
