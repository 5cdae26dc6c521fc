"""Bringing requests in flight to an end."""

from __future__ import annotations

import asyncio

from gateway.proxy.in_flight import InFlight


async def forward(in_flight: InFlight, end: asyncio.Event) -> None:
    task = in_flight.begin()
    try:
        await end.wait()
    finally:
        in_flight.end(task)


async def begun(in_flight: InFlight, end: asyncio.Event) -> asyncio.Task[None]:
    task = asyncio.create_task(forward(in_flight, end))
    await asyncio.sleep(0)
    return task


async def test_requests_are_counted_for_as_long_as_they_last() -> None:
    in_flight, end = InFlight(), asyncio.Event()
    tasks = [await begun(in_flight, end) for _ in range(3)]
    assert len(in_flight) == 3
    end.set()
    await asyncio.gather(*tasks)
    assert len(in_flight) == 0


async def test_a_drain_waits_for_those_that_end_also_for_ones_that_begin_meanwhile() -> None:
    in_flight, first_end, second_end = InFlight(), asyncio.Event(), asyncio.Event()
    first = await begun(in_flight, first_end)
    drained = asyncio.create_task(in_flight.drain(60))
    await asyncio.sleep(0)
    assert in_flight.is_draining
    second = await begun(in_flight, second_end)
    first_end.set()
    await first
    await asyncio.sleep(0)
    assert not drained.done()
    second_end.set()
    await drained
    assert second.done()
    assert not second.cancelled()


async def test_a_drain_cancels_what_takes_too_long_and_waits_for_its_end() -> None:
    in_flight = InFlight()
    task = await begun(in_flight, asyncio.Event())
    await in_flight.drain(0)
    assert task.cancelled()
    assert len(in_flight) == 0


async def test_a_drain_of_nothing_returns_at_once() -> None:
    await InFlight().drain(60)
