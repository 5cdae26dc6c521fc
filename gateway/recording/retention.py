"""Retention: deletes whole days of requests once they are too old."""

from __future__ import annotations

import structlog

from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.metrics import DAY_US
from gateway.periodic import PeriodicTask
from gateway.store.base import Admin

log = structlog.get_logger("gateway.recording")

INTERVAL_SECONDS = 600.0
"""How often it is looked for what has become too old."""


class RetentionJob:
    """Deletes whole days, in UTC, once they ended so many days ago, and makes room for those to come, for as long
    as it runs.

    Args:
        days: for how long things are kept; None: for ever. May be changed by `keep_for`.
    """

    def __init__(self, store: Admin, days: int | None) -> None:
        self.rows_expired = 0
        """How many requests were deleted."""
        self._store = store
        self._days = days
        self._task = PeriodicTask(
            "expiring",
            self._run_once,
            pause_seconds=INTERVAL_SECONDS,
            failed="not all that is too old could be deleted; it will be tried again",
        )

    def start(self) -> None:
        """Begin, with what has become too old while nobody looked."""
        self._task.start()

    def set_days(self, days: int | None) -> None:
        """Keep things for so many days from now on."""
        self._days = days
        self._task.run_now()

    async def create_partitions(self) -> None:
        """Prepare for the days to come. To be done once before anything is stored, so that today has its place."""
        try:
            await self._store.create_partitions(now_us())
        except StoreUnavailable as error:
            log.warning("no room was made for days to come; it will be tried again", reason=str(error))
        except Exception:
            log.exception("no room was made for days to come; it will be tried again")

    async def close(self) -> None:
        """Stop, wherever it is: what is left is found the next time."""
        await self._task.close()

    async def _run_once(self) -> None:
        await self.create_partitions()
        if self._days is None:
            return
        expired = await self._store.expire(retention_start_us(now_us(), self._days))
        self.rows_expired += expired.requests
        if expired:
            log.info("deleted what was too old", requests=expired.requests, feedback=expired.feedback)


def retention_start_us(at_us: int, days: int) -> int:
    """Return from when on things are kept at a time: the beginning of the day, in UTC, so many days before."""
    return (at_us // DAY_US - days) * DAY_US
