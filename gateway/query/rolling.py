"""Keeping the figures of past hours and days at hand, in the background."""

from __future__ import annotations

from gateway.domain.clock import now_us
from gateway.recurring import Recurring
from gateway.store.figures import Rollups

INTERVAL_SECONDS = 60.0
"""How often it is looked what there is to sum up."""


def rolling_up(store: Rollups) -> Recurring:
    """Return what sums up hours and days that are over. What it has not got to is counted when it is asked for;
    what is half done when it is closed is done again by whoever comes next."""

    async def roll_up() -> None:
        await store.roll_up(now_us())

    return Recurring(
        "rolling up",
        roll_up,
        pause_seconds=INTERVAL_SECONDS,
        failed="figures of the past could not be summed up; they are counted",
    )
