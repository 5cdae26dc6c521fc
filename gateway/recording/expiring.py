"""Expiring: nothing is kept for longer than is wanted."""

from __future__ import annotations

import structlog

from gateway.domain.aggregate import DAY_US
from gateway.domain.clock import now_us
from gateway.errors import StoreUnavailable
from gateway.recurring import Recurring
from gateway.store.administration import Retention

log = structlog.get_logger("gateway.recording")

INTERVAL_SECONDS = 600.0
"""How often it is looked for what has become too old."""


class Expiring:
    """Deletes whole days, in UTC, once they ended so many days ago, and makes room for those to come, for as long
    as it runs.

    Args:
        days: for how long things are kept; None: for ever. May be changed by `keep_for`.
    """

    def __init__(self, store: Retention, days: int | None) -> None:
        self.rows_expired = 0
        """How many requests were deleted."""
        self._store = store
        self._days = days
        self._looking = Recurring(
            "expiring",
            self._look,
            pause_seconds=INTERVAL_SECONDS,
            failed="not all that is too old could be deleted; it will be tried again",
        )

    def start(self) -> None:
        """Begin, with what has become too old while nobody looked."""
        self._looking.start()

    def keep_for(self, days: int | None) -> None:
        """Keep things for so many days from now on."""
        self._days = days
        self._looking.hurry()

    async def make_room(self) -> None:
        """Prepare for the days to come. To be done once before anything is stored, so that today has its place."""
        try:
            await self._store.make_room(now_us())
        except StoreUnavailable as error:
            log.warning("no room was made for days to come; it will be tried again", reason=str(error))
        except Exception:
            log.exception("no room was made for days to come; it will be tried again")

    async def close(self) -> None:
        """Stop, wherever it is: what is left is found the next time."""
        await self._looking.close()

    async def _look(self) -> None:
        await self.make_room()
        if self._days is None:
            return
        expired = await self._store.expire(kept_from_us(now_us(), self._days))
        self.rows_expired += expired.requests
        if expired:
            log.info("deleted what was too old", requests=expired.requests, feedback=expired.feedback)


def kept_from_us(at_us: int, days: int) -> int:
    """Return from when on things are kept at a time: the beginning of the day, in UTC, so many days before."""
    return (at_us // DAY_US - days) * DAY_US
