"""The queue: newest first, nothing twice, and everything comes back that nobody finishes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import Conflict, NotFound
from gateway.models.filters import NO_FILTER, Comparison, Filter, Op
from gateway.models.principal import OPEN_ACCESS, Principal, Role
from gateway.models.request import RequestRecord
from gateway.models.reviews import RESERVATION_US, ReviewState
from gateway.reviews.queue import CANDIDATES, UNNAMED_REVIEWER, ReviewQueue
from gateway.store import open_store
from gateway.store.base import Store
from tests.store.samples import exchange

RESERVED, REVIEWED = ReviewState.RESERVED, ReviewState.REVIEWED


def reviewer(name: str, tenant: str | None = None) -> Principal:
    return Principal(name, frozenset({Role.REVIEW}), tenant)


ANN, BEN = reviewer("ann"), reviewer("ben")
OPS = Principal("ops", frozenset({Role.ADMIN}))


class Clock:
    """A clock that the test sets, in microseconds."""

    def __init__(self) -> None:
        self.at_us = 1_700_000_000_000_000

    def __call__(self) -> int:
        return self.at_us


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    opened = await open_store(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(store: Store, clock: Clock) -> ReviewQueue:
    return ReviewQueue(store, clock)


async def fill(store: Store, requests: int) -> None:
    await store.append([exchange(f"r{number}", f"t{number}") for number in range(requests)])


async def next_id(queue: ReviewQueue, who: Principal, where: Filter = NO_FILTER) -> str | None:
    found = await queue.reserve_next(where, who)
    return None if found.record is None else found.record.request_id


async def test_the_newest_open_request_comes_next(store: Store, queue: ReviewQueue, clock: Clock) -> None:
    await fill(store, 4)
    assert [await next_id(queue, who) for who in (ANN, BEN, ANN)] == ["r3", "r2", "r1"]
    await queue.change("r2", REVIEWED, BEN)
    await queue.change("r1", None, ANN)
    assert await next_id(queue, BEN) == "r1"
    # What nobody finished comes back after ten minutes.
    clock.at_us += RESERVATION_US
    assert [await next_id(queue, BEN) for _ in range(4)] == ["r3", "r1", "r0", None]
    with pytest.raises(Conflict, match="reserved by 'ben'"):
        await queue.change("r3", REVIEWED, ANN)


async def test_only_what_matches_and_may_be_seen_comes_next(store: Store, queue: ReviewQueue) -> None:
    await store.append([exchange("a", "ta", tenant="north"), exchange("b", "tb", tenant="south")])
    assert await next_id(queue, reviewer("ann", "north")) == "a"
    assert await next_id(queue, reviewer("ann", "north")) is None
    with pytest.raises(NotFound):
        await queue.change("b", RESERVED, reviewer("ann", "north"))
    misspelt = Comparison("metadata.taem", Op.EQ, "support")
    assert (await queue.reserve_next(misspelt, ANN)).unknown_keys == ("metadata.taem",)


async def test_the_queue_goes_on_where_others_took_all_that_was_found(
    store: Store, queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(store, CANDIDATES + 1)
    find = store.find_requests

    async def find_late(*args: Any) -> list[RequestRecord]:
        records = await find(*args)
        monkeypatch.undo()
        for record in records:
            await queue.change(record.request_id, RESERVED, BEN)
        return records

    monkeypatch.setattr(store, "find_requests", find_late)
    assert await next_id(queue, ANN) == "r0"


async def test_an_admin_opens_what_others_have(store: Store, queue: ReviewQueue) -> None:
    await fill(store, 1)
    await queue.change("r0", REVIEWED, ANN)
    with pytest.raises(Conflict, match="reviewed by 'ann'"):
        await queue.change("r0", RESERVED, OPS)
    assert (await queue.change("r0", None, OPS)).review is None
    opened = await queue.change("r0", RESERVED, OPEN_ACCESS)
    assert opened.review is not None
    assert opened.review.reviewer == UNNAMED_REVIEWER


async def test_lists_go_on_and_leave_out_what_has_expired(
    store: Store, queue: ReviewQueue, clock: Clock
) -> None:
    await fill(store, 5)
    for number in range(5):
        await queue.change(f"r{number}", RESERVED if number == 2 else REVIEWED, ANN)
    first = await queue.find(NO_FILTER, 3, None, None)
    rest = await queue.find(NO_FILTER, 3, first.next_cursor, None)
    assert [each.request_id for each in first.reviews] == ["r4", "r3", "r2"]
    assert ([each.request_id for each in rest.reviews], rest.next_cursor) == (["r1", "r0"], None)
    clock.at_us += RESERVATION_US
    live = await queue.find(Comparison("reviewer", Op.EQ, "ann"), 9, None, None)
    assert [each.request_id for each in live.reviews] == ["r4", "r3", "r1", "r0"]


async def test_eight_reviewers_review_fifty_requests_once_each(store: Store, tmp_path: Path) -> None:
    await fill(store, 50)
    # As two workers have it, each with a connection of its own.
    other = await open_store(f"sqlite:///{tmp_path / 'gateway.db'}")

    async def work(number: int) -> list[str]:
        queue, who, mine = ReviewQueue((store, other)[number % 2]), reviewer(f"reviewer-{number}"), []
        while (request_id := await next_id(queue, who)) is not None:
            await queue.change(request_id, REVIEWED, who)
            mine.append(request_id)
        return mine

    shares = await asyncio.gather(*map(work, range(8)))
    await other.close()
    assert sorted(each for share in shares for each in share) == sorted(f"r{number}" for number in range(50))
    assert sum(1 for share in shares if share) > 1
