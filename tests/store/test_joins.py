"""For which request feedback counts does not depend on what came first: figures are those of a full recount."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from gateway.models.feedback import Target
from gateway.models.filters import NO_FILTER, Comparison, Op, Page, Sort
from gateway.models.metrics import HOUR_US, MetricsQuery
from gateway.store.base import Store
from tests.store.random_data import (
    LATER_US,
    START_US,
    seeds,
    some_exchange,
    some_facts,
    some_feedback,
    world_of,
)
from tests.store.samples import exchange, feedback
from tests.store.test_metrics import assert_answers

GIVEN_US = START_US + 10 * HOUR_US


async def counted_at(store: Store) -> list[int]:
    """In which hours entries count, one for each."""
    found = await store.feedback_sums(MetricsQuery(0, LATER_US, bucket_us=HOUR_US))
    return sorted(
        (cell.starts_at_us - START_US) // HOUR_US
        for cell, sums in found.items()
        for _ in range(sums.entries)
        if cell.starts_at_us is not None
    )


async def append(store: Store, request_id: str, hour: int, **given: Any) -> None:
    at_us = START_US + hour * HOUR_US
    await store.append([exchange(request_id, "t", started_at_us=at_us, **given)])


@pytest.mark.parametrize("name", ["t", "s"])
async def test_an_answer_that_was_under_way_when_it_was_judged_counts_once_it_is_logged(
    store: Store, name: str
) -> None:
    await append(store, "first", 0, metadata={"_session": "s"})
    await store.put_feedback([feedback("a", name, trace_id=None, created_at_us=GIVEN_US)])
    await store.roll_up(LATER_US)
    assert await counted_at(store) == [0]

    await append(store, "under way", 5, metadata={"_session": "s"})
    await append(store, "later", 11, metadata={"_session": "s"})
    assert await counted_at(store) == [5]


async def test_feedback_before_all_of_its_requests_counts_for_the_first_whichever_is_logged_first(
    store: Store,
) -> None:
    await store.put_feedback([feedback("a", "t", trace_id="t", created_at_us=GIVEN_US)])
    for hour, expected in ((14, 14), (12, 12), (13, 12)):
        await append(store, f"request-{hour}", hour)
        assert await counted_at(store) == [expected]


async def test_feedback_on_a_request_counts_for_its_latest_try(store: Store) -> None:
    await append(store, "r", 0, status=500)
    vote = feedback("a", "r", trace_id=None, target=Target.REQUEST, created_at_us=GIVEN_US)
    await store.put_feedback([vote])
    await append(store, "r", 1)
    assert await counted_at(store) == [1]


async def test_feedback_on_a_session_follows_the_requests_that_are_put_into_it_and_taken_out(
    store: Store,
) -> None:
    for hour in (1, 2):
        await append(store, f"r{hour}", hour, metadata={"_session": "s"})
    await store.put_feedback([feedback("a", "s", trace_id=None, created_at_us=GIVEN_US)])
    assert await counted_at(store) == [2]

    for request_id, session, expected in (
        ("r2", "other", [1]),
        ("r1", "other", []),
        ("r1", "s", [1]),
        ("r2", "s", [2]),
    ):
        assert await store.set_property(request_id, "_Session", session, None)
        assert await counted_at(store) == expected


@pytest.mark.parametrize("seed", seeds(4))
async def test_whatever_comes_in_whatever_order_figures_are_a_full_recount(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    for number in range(45):
        entries = [e.feedback_id for e in await store.find_feedback(NO_FILTER, Sort(), Page(1000), None)]
        match dice.choice(
            ["append", "append", "give", "give", "tag", "revise", "withdraw", "remove", "sum up"]
        ):
            case "append":
                [seq] = await store.append([some_exchange(dice, dice.randrange(20))])
                await store.annotate([(seq, some_facts(dice))], LATER_US)
            case "give":
                await store.put_feedback([some_feedback(dice, number, 20)])
            case "tag":
                request_id = f"request-{dice.randrange(20)}"
                named = await store.find_requests(
                    Comparison("request_id", Op.EQ, request_id), Sort(), Page(9), None
                )
                if len({row.tenant for row in named}) == 1:
                    key = dice.choice(["_session", "_SESSION", "_user", "team"])
                    await store.set_property(request_id, key, dice.choice(["chat", "1", ""]), None)
            case "revise" | "withdraw" as act if entries:
                [entry] = await store.feedback_by_ids([dice.choice(entries)])
                withdrawn_at_us = LATER_US if act == "withdraw" else None
                changed = replace(entry, score=-1.0, grade=-10.0, weight=0.5, deleted_at_us=withdrawn_at_us)
                await store.put_feedback([replace(changed, version=entry.version + 1)])
            case "remove" if entries:
                assert await store.remove_feedback(dice.choice(entries))
            case "sum up":
                await store.roll_up(LATER_US)
        if number % 5 == 4:
            await assert_answers(store, dice, 4)
    assert (await world_of(store)).requests
