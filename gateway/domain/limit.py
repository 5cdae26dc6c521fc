"""How much a key may use of something in a stretch of time, and how much it has used."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from gateway.domain.clock import datetime_of, us_of
from gateway.domain.request import NANO

_WRITTEN = re.compile(r"(?P<amount>[0-9]{1,15}(?:\.[0-9]{1,9})?) *(?P<unit>[a-z]+) */ *(?P<window>[a-z]+)")
_MONTH_AT_MOST = timedelta(days=32)


class Unit(StrEnum):
    """What is counted. Dollars are counted in nano-dollars, so that sums are exact."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    USD = "usd"


class Window(StrEnum):
    """In what stretch of time: the minute, hour, day or month of the calendar, in UTC."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"

    def start_us(self, at_us: int) -> int:
        """Return when the one that a time is in began."""
        at = datetime_of(at_us).replace(second=0, microsecond=0)
        if self is not Window.MINUTE:
            at = at.replace(minute=0)
        if self in (Window.DAY, Window.MONTH):
            at = at.replace(hour=0)
        if self is Window.MONTH:
            at = at.replace(day=1)
        return us_of(at)

    def end_us(self, at_us: int) -> int:
        """Return when the one that a time is in ends, which is when the next one begins."""
        start = datetime_of(self.start_us(at_us))
        if self is Window.MONTH:
            return us_of((start + _MONTH_AT_MOST).replace(day=1))
        lengths = {Window.MINUTE: timedelta(minutes=1), Window.HOUR: timedelta(hours=1)}
        return us_of(start + lengths.get(self, timedelta(days=1)))


@dataclass(frozen=True, slots=True)
class Limit:
    """So much of a unit in each window. Written `600 requests/minute`, `2.50 usd/day`."""

    amount: int
    unit: Unit
    window: Window

    @classmethod
    def parse(cls, text: str) -> Limit:
        """Read a limit as `str` writes it. Raises ValueError, with what it must look like."""
        match = _WRITTEN.fullmatch(text.strip().lower())
        if match is None or match["unit"] not in set(Unit) or match["window"] not in set(Window):
            raise ValueError(
                "must be a number of requests, tokens or usd per minute, hour, day or month, such as "
                "600 requests/minute or 25 usd/month"
            )
        unit = Unit(match["unit"])
        whole, _, fraction = match["amount"].partition(".")
        if fraction and unit is not Unit.USD:
            raise ValueError(f"must be a whole number of {unit}")
        amount = int(whole) if unit is not Unit.USD else int(whole) * NANO + int(fraction.ljust(9, "0"))
        return cls(amount, unit, Window(match["window"]))

    def __str__(self) -> str:
        return f"{self._written} {self.unit}/{self.window}"

    @property
    def _written(self) -> str:
        if self.unit is not Unit.USD:
            return str(self.amount)
        cents = f"{self.amount // NANO}.{self.amount % NANO:09}".rstrip("0")
        return cents.removesuffix(".")


@dataclass(frozen=True, slots=True)
class Spending:
    """What a key has used of a unit in one window.

    Args:
        starts_at_us: when the window began, in microseconds since the epoch.
        amount: in nano-dollars where the unit is dollars.
    """

    key_name: str
    unit: Unit
    window: Window
    starts_at_us: int
    amount: int
