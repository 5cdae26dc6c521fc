from __future__ import annotations

import asyncio
from math import inf

from gateway.upstream.request import Alarm, Deadlines, Timeouts


def test_connecting_has_no_more_time_than_the_whole_call() -> None:
    deadlines = Deadlines.from_now(100.0, Timeouts(connect=10, total=4))
    assert (deadlines.connect_at, deadlines.total_at, deadlines.connect_seconds) == (104.0, 104.0, 4)
    deadlines = Deadlines.from_now(100.0, Timeouts(connect=10, total=None))
    assert (deadlines.connect_at, deadlines.total_at, deadlines.connect_seconds) == (110.0, inf, 10)


def test_a_retry_has_new_time_to_connect_but_not_for_the_whole_call() -> None:
    deadlines = Deadlines.from_now(100.0, Timeouts(connect=10, total=15))
    assert deadlines.from_retry(103.0).connect_at == 113.0
    assert deadlines.from_retry(108.0).connect_at == 115.0
    assert deadlines.from_retry(108.0).total_at == 115.0


class Watched:
    """An alarm and when it rang."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.rang: asyncio.Future[float] = self.loop.create_future()
        self.alarm = Alarm(self.loop, lambda: self.rang.set_result(self.loop.time()))

    def set(self, seconds: float) -> float:
        due = self.loop.time() + seconds
        self.alarm.set(due)
        return due


async def test_an_alarm_moved_later_rings_later_and_once() -> None:
    watched = Watched()
    watched.set(0.01)
    due = watched.set(0.05)
    assert await asyncio.wait_for(watched.rang, 10) >= due
    await asyncio.sleep(0.05)  # a second call would fail to set the result again


async def test_an_alarm_moved_earlier_rings_without_waiting_for_the_later_time() -> None:
    watched = Watched()
    watched.set(1000)
    watched.set(0.01)
    await asyncio.wait_for(watched.rang, 10)


async def test_an_alarm_set_to_never_does_not_ring_until_it_is_set_again() -> None:
    watched = Watched()
    watched.set(0.01)
    watched.alarm.set(inf)
    await asyncio.sleep(0.05)
    assert not watched.rang.done()
    watched.set(0.01)
    await asyncio.wait_for(watched.rang, 10)


async def test_a_stopped_alarm_does_not_ring() -> None:
    watched = Watched()
    watched.set(0.01)
    watched.alarm.stop()
    await asyncio.sleep(0.05)
    assert not watched.rang.done()
