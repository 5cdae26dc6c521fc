"""Work in the background is done again and again, whatever becomes of it."""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from gateway.errors import StoreUnavailable
from gateway.periodic import PeriodicTask


class Work:
    """Is counted, and fails as often as it is told to."""

    def __init__(self, *failures: Exception) -> None:
        self.done = asyncio.Semaphore(0)
        self.times = 0
        self._failures = list(failures)

    async def __call__(self) -> None:
        self.times += 1
        self.done.release()
        if self._failures:
            raise self._failures.pop(0)

    async def until_done(self, times: int = 1) -> None:
        for _ in range(times):
            await asyncio.wait_for(self.done.acquire(), 5)


def periodic(work: Work, pause_seconds: float) -> PeriodicTask:
    return PeriodicTask("a task", work, pause_seconds=pause_seconds, failed="it could not be done")


async def test_it_is_done_at_once_and_after_each_pause_until_it_is_closed() -> None:
    work = Work()
    task = periodic(work, 0.001)
    task.start()
    await work.until_done(3)
    await task.close()
    times = work.times
    await asyncio.sleep(0.02)
    assert work.times == times


async def test_it_may_begin_later() -> None:
    work = Work()
    task = periodic(work, 0.001)
    task.start(3600)
    await asyncio.sleep(0.02)
    await task.close()
    assert work.times == 0


@pytest.mark.parametrize(
    ("failure", "level"), [(StoreUnavailable("not now."), "warning"), (RuntimeError("what?"), "error")]
)
async def test_what_fails_is_told_and_tried_again(failure: Exception, level: str) -> None:
    work = Work(failure)
    task = periodic(work, 0.001)
    with capture_logs() as told:
        task.start()
        await work.until_done(2)
    await task.close()
    assert [(entry["event"], entry["log_level"]) for entry in told] == [("it could not be done", level)]


async def test_who_is_in_a_hurry_does_not_wait_for_the_pause_to_end() -> None:
    work = Work()
    task = periodic(work, 3600)
    task.start()
    await work.until_done()
    task.run_now()
    await work.until_done()
    await task.close()


async def test_hurry_that_comes_during_the_work_is_heeded_after_it() -> None:
    times = asyncio.Semaphore(0)

    async def work() -> None:
        task.run_now()
        times.release()
        await asyncio.sleep(0)

    task = PeriodicTask("a task", work, pause_seconds=3600, failed="it could not be done")
    task.start()
    for _ in range(3):
        await asyncio.wait_for(times.acquire(), 5)
    await task.close()


async def test_closing_one_that_was_never_started_does_nothing() -> None:
    await periodic(Work(), 1).close()
