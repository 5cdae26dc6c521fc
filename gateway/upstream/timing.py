"""When a call has taken too long: its limits as points in time, and one timer to watch them cheaply."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import NamedTuple

from gateway.upstream.message import Timeouts


class Limits(NamedTuple):
    """The timeouts of one call, and those that run from its start as times on the loop's clock."""

    timeouts: Timeouts
    connect_at: float
    total_at: float

    @classmethod
    def from_now(cls, now: float, timeouts: Timeouts) -> Limits:
        """Return the limits of a call that starts at `now`."""
        total_at = inf if timeouts.total is None else now + timeouts.total
        return cls(timeouts, min(now + timeouts.connect, total_at), total_at)

    def from_retry(self, now: float) -> Limits:
        """Return the limits of the same call when it starts again to look for a connection."""
        return self._replace(connect_at=min(now + self.timeouts.connect, self.total_at))

    @property
    def connect_seconds(self) -> float:
        """How long reaching the upstream may take."""
        return min(self.timeouts.connect, self.timeouts.total or inf)


class Alarm:
    """Calls `ring` once its time has come. Setting it later than before costs no timer operation.

    The loop's timer stays where it was and looks, when it fires, whether the time has been moved meanwhile.
    On a busy connection that is once in a while instead of several times an exchange.
    """

    __slots__ = ("_due", "_loop", "_ring", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._due = inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf

    def set(self, due: float) -> None:
        """Ring at `due` on the loop's clock instead of any earlier setting; never, if it is infinite."""
        self._due = due
        if due < self._timer_at:
            self._start_timer()

    def stop(self) -> None:
        """Never ring again, and let go of the timer."""
        self._due = self._timer_at = inf
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._due
        self._timer = self._loop.call_at(self._due, self._look)

    def _look(self) -> None:
        self._timer = None
        self._timer_at = inf
        if self._due <= self._loop.time():
            self._due = inf
            self._ring()
        elif self._due != inf:
            self._start_timer()
