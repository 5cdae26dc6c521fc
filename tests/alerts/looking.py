"""Looks at alerts as one process of several does; run as a program, at times that begin with the test's.

`python -m tests.alerts.looking URL START_US LOOKS` prints a line when it begins and one for each event it stored.
"""

from __future__ import annotations

import asyncio
import sys

from gateway.alerts.definition import AlertService
from gateway.alerts.scheduler import AlertScheduler
from gateway.store import open_store

MINUTE_US = 60_000_000


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def look(url: str, start_us: int, looks: int) -> None:
    store = await open_store(url)
    scheduler = AlertScheduler(store, AlertService(store))
    scheduler.on_event.append(lambda event: say(f"told {event.event_id}"))
    say("begins")
    for minute in range(looks):
        await scheduler.run_due(start_us + minute * MINUTE_US)
    await store.close()


if __name__ == "__main__":
    asyncio.run(look(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
