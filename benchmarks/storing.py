"""What the store takes by itself, without any HTTP: requests and votes, alone and in company."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.filling import Month, add_requests, exchanges, vote
from benchmarks.stopwatch import Stopwatch
from gateway.models.clock import now_us
from gateway.models.exchange import Exchange
from gateway.models.feedback import Feedback
from gateway.store import open_store
from gateway.store.base import Store

REQUESTS_AT_ONCE = (1, 16, 64, 1000)
VOTERS_AT_ONCE = (1, 64)
REQUESTS, VOTES = "requests", "votes"

_Write = Callable[[Store, int, float, Stopwatch], Coroutine[None, None, int]]

_MANY = 1_000_000
_KNOWN = 1000
"""Requests that votes are about."""


@dataclass(frozen=True, slots=True)
class Stored:
    """How quickly something was written, where so many of it came at once and shared a commit. Votes are synced to
    the disk, requests are not."""

    what: str
    at_once: int
    per_second: float
    cpu_us: float


def measure_storing(folder: Path, seconds: float, say: Callable[[str], None]) -> list[Stored]:
    """Write for some seconds each way, each into a new store."""
    folder.mkdir(parents=True)
    rows = []
    for what, write, sizes in (
        (REQUESTS, _write_requests, REQUESTS_AT_ONCE),
        (VOTES, _write_votes, VOTERS_AT_ONCE),
    ):
        for at_once in sizes:
            url = f"sqlite:///{folder / f'{what}-{at_once}.db'}"
            row = asyncio.run(_stored(url, what, write, at_once, seconds))
            say(f"{at_once} {what} at once: {row.per_second:,.0f} a second")
            rows.append(row)
    return rows


async def _stored(url: str, what: str, write: _Write, at_once: int, seconds: float) -> Stored:
    store, watch = await open_store(url), Stopwatch()
    try:
        written = await write(store, at_once, seconds, watch)
    finally:
        await store.close()
    return Stored(what, at_once, written / watch.seconds, watch.cpu_seconds / written * 1e6)


async def _write_requests(store: Store, at_once: int, seconds: float, watch: Stopwatch) -> int:
    dice, month = random.Random(1), Month(_MANY, now_us())

    def batches() -> Iterator[list[Exchange]]:
        for first in itertools.count(0, at_once):
            if watch.seconds >= seconds:
                return
            yield exchanges(month, dice, range(first, first + at_once))

    return await add_requests(store, batches(), dice, watch)


async def _write_votes(store: Store, at_once: int, seconds: float, watch: Stopwatch) -> int:
    dice, month = random.Random(1), Month(_KNOWN, now_us())
    await add_requests(store, [exchanges(month, dice, range(_KNOWN))], dice, Stopwatch())
    votes: Iterator[Feedback] = (vote(month, dice, number) for number in itertools.count())
    written = 0
    while watch.seconds < seconds:
        batch = list(itertools.islice(votes, at_once))
        with watch:
            await asyncio.gather(*(store.put_feedback([one]) for one in batch))
        written += at_once
    return written
