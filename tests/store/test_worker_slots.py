"""Numbers of workers: nobody has one twice, and what is left behind under one is found."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.models.request import Facts
from gateway.store import acquire_worker_slots, open_store
from gateway.store.base import Store
from gateway.store.locks import FileWorkerSlots, acquire_file_slots
from tests.store.samples import exchange

ClaimNumber = Callable[[int, int], FileWorkerSlots]


@pytest.fixture
def claim(tmp_path: Path) -> Iterator[ClaimNumber]:
    """Claim a number of the store in the test's folder: the one that is wanted, and how many workers there are."""
    claims: list[FileWorkerSlots] = []

    def claim(wanted: int, workers: int) -> FileWorkerSlots:
        claims.append(acquire_file_slots(tmp_path / "gateway.db", wanted, workers))
        return claims[-1]

    yield claim
    for each in claims:
        each.release()


@asynccontextmanager
async def opened(folder: Path, number: int, workers: int) -> AsyncIterator[Store]:
    """The store as one worker sees it."""
    url = f"sqlite:///{folder}/gateway.db"
    held = acquire_worker_slots(url, number, workers)
    store = await open_store(url, worker_slots=held.numbers)
    try:
        yield store
    finally:
        await store.close()
        held.release()


def test_workers_have_the_numbers_that_they_want(claim: ClaimNumber) -> None:
    assert [claim(number, 3).numbers for number in (2, 0, 1)] == [(2,), (0,), (1,)]


def test_a_number_that_another_gateway_has_is_left_to_it(claim: ClaimNumber) -> None:
    assert claim(0, 1).numbers == (0,)
    assert claim(0, 1).numbers == (1,)
    assert claim(0, 2).numbers == (2,)


def test_who_comes_next_has_the_number_of_the_one_before(claim: ClaimNumber) -> None:
    first = claim(0, 2)
    claim(1, 2)
    first.release()
    assert claim(0, 2).numbers == (0,)


def test_numbers_that_nobody_will_come_for_are_claimed_too_by_one_worker(claim: ClaimNumber) -> None:
    for worker in [claim(number, 4) for number in range(4)]:
        worker.release()
    assert claim(0, 2).numbers == (0, 2, 3)
    assert claim(1, 2).numbers == (1,)


def test_a_file_that_is_no_lock_of_ours_is_no_number(claim: ClaimNumber, tmp_path: Path) -> None:
    for name in ("gateway.db.lock", "gateway.db.lock.old", "gateway.db.lock.-1", "other.db.lock.7"):
        (tmp_path / name).touch()
    assert claim(0, 1).numbers == (0,)


async def test_rows_that_a_worker_has_in_hand_are_nobody_elses(tmp_path: Path) -> None:
    async with opened(tmp_path, 0, 2) as first, opened(tmp_path, 1, 2) as second:
        [seq] = await first.append([exchange("first")])
        await second.append([exchange("second")])
        assert await ids(first) == ["first"]
        assert await ids(second) == ["second"]
        await second.annotate([(seq, Facts())], at_us=1)
        assert await ids(first) == []


async def test_rows_that_a_worker_left_behind_are_those_of_who_comes_next(tmp_path: Path) -> None:
    async with opened(tmp_path, 0, 2) as staying:
        async with opened(tmp_path, 1, 2) as leaving:
            await leaving.append([exchange("left")])
        assert await ids(staying) == []
        async with opened(tmp_path, 1, 2) as next_one:
            assert await ids(next_one) == ["left"]


async def test_rows_of_workers_that_are_no_more_find_another(tmp_path: Path) -> None:
    async with opened(tmp_path, 3, 4) as gone:
        await gone.append([exchange("left")])
    async with opened(tmp_path, 0, 1) as only:
        await only.append([exchange("new")])
        assert await ids(only) == ["left", "new"]


def test_numbers_are_deserted_once_nobody_has_them_and_no_worker_of_the_gateway_will(
    claim: ClaimNumber,
) -> None:
    ours, sibling, other, late = claim(0, 2), claim(1, 2), claim(0, 1), claim(0, 1)
    assert [each.numbers for each in (ours, sibling, other, late)] == [(0,), (1,), (2,), (3,)]
    for each in (ours, sibling, other):
        each.release()
    again = claim(1, 2)
    assert again.numbers == (1, 2)
    assert (again.abandoned_numbers(), late.abandoned_numbers()) == ([], [0])


async def test_rows_of_a_gateway_that_died_are_taken_over_by_one_that_lives(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    dead, living, third = (acquire_worker_slots(url, 0, 1) for _ in range(3))
    store = await open_store(url, worker_slots=living.numbers)
    writer = await open_store(url, worker_slots=dead.numbers)
    [seq, _] = await writer.append([exchange("understood"), exchange("left")])
    await writer.annotate([(seq, Facts())], at_us=1)
    await store.append([exchange("mine")])
    assert [living.renew(), third.renew()] == [0, 0]
    dead.release()
    assert [living.renew(), third.renew(), living.renew()] == [1, 0, 0]
    assert await ids(store) == ["left", "mine"]
    again = acquire_worker_slots(url, 0, 1)
    assert again.numbers == (0,)
    for each in (living, third, again):
        each.release()
    await writer.close()
    await store.close()


async def ids(store: Store) -> list[str]:
    """What is left to this worker to interpret."""
    return [found.identity.request_id for _, found in await store.uninterpreted(10)]
