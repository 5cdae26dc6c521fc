"""Retention: deletes whole days of old requests."""

import structlog

from gateway.errors import StoreUnavailable
from gateway.models.clock import now_us
from gateway.models.metrics import DAY_US
from gateway.periodic import PeriodicTask
from gateway.store.base import Admin

log = structlog.get_logger("gateway.recording")

INTERVAL_SECONDS = 600.0


class RetentionJob:
    """Deletes UTC days that ended more than `days` ago (None: never)."""

    def __init__(self, store: Admin, days: int | None) -> None:
        self.rows_expired = 0
        self._store = store
        self.days = days
        self._task = PeriodicTask(
            "retention",
            self._run_once,
            pause_seconds=INTERVAL_SECONDS,
            failed="old rows could not be deleted; will be tried again",
        )

    def start(self) -> None:
        self._task.start()

    def run_now(self) -> None:
        self._task.run_now()

    async def create_partitions(self) -> None:
        # Called before anything is stored too, for today's.
        try:
            await self._store.create_partitions(now_us())
        except StoreUnavailable as error:
            log.warning("partitions could not be created; will be tried again", reason=str(error))
        except Exception:
            log.exception("partitions could not be created; will be tried again")

    async def close(self) -> None:
        await self._task.close()

    async def _run_once(self) -> None:
        await self.create_partitions()
        if self.days is None:
            return
        expired = await self._store.expire(retention_start_us(now_us(), self.days))
        self.rows_expired += expired.requests
        if expired:
            log.info("old rows deleted", requests=expired.requests, feedback=expired.feedback)


def retention_start_us(at_us: int, days: int) -> int:
    """Return the start of the UTC day `days` before a time."""
    return (at_us // DAY_US - days) * DAY_US
