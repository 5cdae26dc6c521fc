"""Quotas of a key in calendar windows, and their usage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from gateway.models.clock import to_datetime, to_us
from gateway.models.request import NANOUSD_PER_USD

SECOND_US = 1_000_000

_QUOTA_TEXT = re.compile(r"(?P<amount>[0-9]{1,15}(?:\.[0-9]{1,9})?) *(?P<unit>[a-z]+) */ *(?P<window>[a-z]+)")
_LONGEST_MONTH = timedelta(days=32)


# Names in sentences that differ from those in the configuration.
_UNIT_NAMES = {"usd": "USD"}


class Unit(StrEnum):
    # Dollars are counted in nano-dollars, so that sums are exact.

    REQUESTS = "requests"
    TOKENS = "tokens"
    USD = "usd"


class Window(StrEnum):
    """Calendar window in UTC, the longest last."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    # From Monday on.
    WEEK = "week"
    MONTH = "month"

    def start_us(self, at_us: int) -> int:
        at = to_datetime(at_us).replace(second=0, microsecond=0)
        if self is not Window.MINUTE:
            at = at.replace(minute=0)
        if self in (Window.DAY, Window.WEEK, Window.MONTH):
            at = at.replace(hour=0)
        if self is Window.WEEK:
            at -= timedelta(days=at.weekday())
        if self is Window.MONTH:
            at = at.replace(day=1)
        return to_us(at)

    @property
    def is_short(self) -> bool:
        # A caller may reasonably wait for its end.
        return self in (Window.MINUTE, Window.HOUR)

    def end_us(self, at_us: int) -> int:
        start = to_datetime(self.start_us(at_us))
        if self is Window.MONTH:
            return to_us((start + _LONGEST_MONTH).replace(day=1))
        return to_us(start + _LENGTHS[self])


_LENGTHS = {
    Window.MINUTE: timedelta(minutes=1),
    Window.HOUR: timedelta(hours=1),
    Window.DAY: timedelta(days=1),
    Window.WEEK: timedelta(weeks=1),
}


@dataclass(frozen=True, slots=True)
class Quota:
    """An amount per window: `600 requests/minute`, `2.50 usd/day`."""

    amount: int
    unit: Unit
    window: Window

    @classmethod
    def parse(cls, text: str) -> Quota:
        """Read what `str` writes. Raises ValueError, which names the format."""
        match = _QUOTA_TEXT.fullmatch(text.strip().lower())
        if match is None or match["unit"] not in set(Unit) or match["window"] not in set(Window):
            raise ValueError(
                "must be a number of requests, tokens or usd per minute, hour, day, week or month, such as "
                "600 requests/minute or 25 usd/month"
            )
        unit = Unit(match["unit"])
        whole, _, fraction = match["amount"].partition(".")
        if fraction and unit is not Unit.USD:
            raise ValueError(f"must be a whole number of {unit}")
        amount = (
            int(whole) if unit is not Unit.USD else int(whole) * NANOUSD_PER_USD + int(fraction.ljust(9, "0"))
        )
        return cls(amount, unit, Window(match["window"]))

    def __str__(self) -> str:
        return f"{self.write(self.amount)} {self.unit}/{self.window}"

    @property
    def in_words(self) -> str:
        """`600 requests per minute`."""
        return f"{self.write(self.amount)} {_UNIT_NAMES.get(self.unit, self.unit)} per {self.window}"

    def to_units(self, amount: int) -> float:
        return amount / NANOUSD_PER_USD if self.unit is Unit.USD else amount

    def write(self, amount: int) -> str:
        """Return nano-dollars as dollars, others as they are."""
        if self.unit is not Unit.USD:
            return str(amount)
        cents = f"{amount // NANOUSD_PER_USD}.{amount % NANOUSD_PER_USD:09}".rstrip("0")
        return cents.removesuffix(".")


def refuse_duplicate_quotas(limits: Iterable[Quota]) -> None:
    """Raise ValueError where two quotas would count together."""
    seen: dict[tuple[Unit, Window], Quota] = {}
    for limit in limits:
        other = seen.setdefault((limit.unit, limit.window), limit)
        if other is not limit:
            raise ValueError(f"must have one limit of {limit.unit}/{limit.window}; got {other} and {limit}")


@dataclass(frozen=True, slots=True)
class QuotaStatus:
    """Usage of a quota in the current window."""

    limit: Quota
    # In nano-dollars where the unit is dollars; may exceed the quota.
    used: int
    # End of the window, in microseconds since the epoch.
    resets_at_us: int

    @property
    def remaining(self) -> int:
        return max(0, self.limit.amount - self.used)

    def __str__(self) -> str:
        return f"{self.limit.write(self.used)} of {self.limit}"

    def seconds_left(self, at_us: int) -> int:
        return max(0, -(-(self.resets_at_us - at_us) // SECOND_US))


@dataclass(frozen=True, slots=True)
class QuotaUsage:
    """Usage by a key in the window from `starts_at_us` on."""

    key_name: str
    unit: Unit
    window: Window
    starts_at_us: int
    amount: int


def quota_statuses(
    limits: Sequence[Quota], key_name: str, spendings: Iterable[QuotaUsage], at_us: int
) -> list[QuotaStatus]:
    """Return the status of each quota of a key, given all usage."""
    found = {(one.key_name, one.unit, one.window, one.starts_at_us): one.amount for one in spendings}
    return [
        QuotaStatus(
            limit,
            found.get((key_name, limit.unit, limit.window, limit.window.start_us(at_us)), 0),
            limit.window.end_us(at_us),
        )
        for limit in limits
    ]
