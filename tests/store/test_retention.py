"""What is too old goes as a whole, and nothing else does."""

from __future__ import annotations

import asyncio
import random

import pytest

from gateway.models.export import Export
from gateway.models.feedback import Receipt
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.metrics import DAY_US, END_OF_TIME_US, MetricsQuery
from gateway.models.request import ExpiredCounts
from gateway.store.base import Store
from tests.store.random_data import DAYS, LATER_US, START_US, fill, seeds, world_of
from tests.store.samples import exchange, feedback, requests_of

CUT_US = START_US + DAY_US


@pytest.mark.parametrize("seed", seeds(3))
async def test_all_from_before_a_time_goes_and_nothing_from_after_it(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    await fill(store, dice, requests=600, entries=300)
    before = await world_of(store)

    expired = await store.expire(CUT_US)

    kept_requests = [record for record in before.requests if record.started_at_us >= CUT_US]
    kept_feedback = set()
    for entry in before.feedback:
        about = before.counts_for(entry) if entry.joined_at_us is not None else None
        if (entry.created_at_us if about is None else about.started_at_us) >= CUT_US:
            kept_feedback.add(entry.feedback_id)
    after = await world_of(store)
    assert after.requests == kept_requests
    assert {entry.feedback_id for entry in after.feedback} == kept_feedback
    gone = len(before.requests) - len(kept_requests), len(before.feedback) - len(kept_feedback)
    assert expired == ExpiredCounts(*gone)
    assert min(gone) > 0
    assert await store.expire(CUT_US) == ExpiredCounts()


@pytest.mark.parametrize("is_rolled_up_between", [False, True])
async def test_figures_are_those_of_what_is_left(store: Store, is_rolled_up_between: bool) -> None:
    await fill(store, random.Random(7), requests=300, entries=200)
    await store.roll_up(LATER_US)
    await store.expire(CUT_US)
    if is_rolled_up_between:
        await store.roll_up(LATER_US)
    world = await world_of(store)
    for group_by in (None, "user", "provider"):
        question = MetricsQuery(0, END_OF_TIME_US, group_by=group_by)
        assert await store.usage(question) == world.usage(question)
        assert await store.latencies(question) == world.latencies(question)
        counted = {cell: sums.entries for cell, sums in (await store.feedback_sums(question)).items()}
        assert counted == {cell: sums.entries for cell, sums in world.feedback_sums(question).items()}


async def test_bodies_and_earlier_versions_go_with_their_rows(store: Store) -> None:
    [seq] = await store.append([exchange("r", "t", started_at_us=START_US, request_body=b"secret")])
    first = feedback("f", "t")
    await store.put_feedback([first])
    await store.put_feedback([feedback("f", "t", version=2)])
    assert await store.expire(CUT_US) == ExpiredCounts(1, 1)
    assert await store.payload(seq) is None
    assert await store.history("f") == []
    assert await store.resolve(["r", "t"], None) == {}


async def test_receipts_go_with_the_last_of_what_they_are_for(store: Store) -> None:
    await store.append([exchange("old", started_at_us=START_US), exchange("new", started_at_us=CUT_US)])
    await store.put_feedback([feedback("f", "old")], Receipt("s", "of what goes", "d", ("f",)))
    kept = Receipt("s", "of what stays", "d", ("g",))
    await store.put_feedback([feedback("g", "new")], kept)
    nothing = Receipt("s", "of nothing", "d", ())
    await store.put_feedback([], nothing)
    await store.expire(CUT_US)
    assert await store.receipt("s", "of what goes") is None
    assert await store.receipt("s", "of what stays") == kept
    assert await store.receipt("s", "of nothing") == nothing


async def test_jobs_of_exports_go_too(store: Store) -> None:
    for number in (0, 1):
        job = Export(
            export_id=str(number), version=1, exporter="jsonl", filters={}, columns=(), 
            created_at_us=CUT_US - 1 + number, updated_at_us=CUT_US,
        )  # fmt: skip
        await store.put_export(job)
    await store.expire(CUT_US)
    assert [job.export_id for job in await store.find_exports(NO_FILTER, Sort(), Page(9), None)] == ["1"]


async def test_a_number_in_the_log_is_never_given_twice(store: Store) -> None:
    [first] = await store.append([exchange("a", started_at_us=START_US)])
    await store.expire(START_US + DAYS * DAY_US)
    [second] = await store.append([exchange("b", started_at_us=START_US)])
    assert second > first


async def test_others_write_while_much_is_deleted(store: Store) -> None:
    await store.append([exchange(f"old-{number}", started_at_us=START_US) for number in range(5000)])
    deleting = asyncio.create_task(store.expire(CUT_US))
    written = 0
    while not deleting.done():
        await store.append([exchange(f"new-{written}", started_at_us=CUT_US)])
        written += 1
    assert await deleting == ExpiredCounts(5000, 0)
    assert written > 5
    assert len(await requests_of(store)) == written


async def test_two_that_delete_at_once_share_the_work(store: Store) -> None:
    await store.append([exchange(f"old-{number}", started_at_us=START_US) for number in range(1000)])
    first, second = await asyncio.gather(store.expire(CUT_US), store.expire(CUT_US))
    assert first + second == ExpiredCounts(1000, 0)
