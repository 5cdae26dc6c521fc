"""Users ranked by the database are in the order of their sums, from rollups as from rows."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from gateway.models.filters import NO_FILTER, AllOf, Comparison, Filter, Op, Page
from gateway.models.metrics import DAY_US, WEEK_US, MetricsQuery
from gateway.query.metrics import USAGE_ORDERS, MetricsOrder, rank_groups
from gateway.store import aggregates
from gateway.store.base import Store
from tests.store.expected_metrics import World
from tests.store.random_data import DAYS, LATER_US, START_US, fill, some_exchange, some_facts, world_of
from tests.store.samples import exchange

WHOLE = MetricsQuery(START_US, START_US + DAYS * DAY_US, group_by="user")
CONDITIONS: list[Filter] = [
    NO_FILTER,
    Comparison("user", Op.GE, "b"),
    Comparison("provider", Op.EQ, "openai"),
]


async def assert_ranked(store: Store, world: World, dice: random.Random) -> None:
    for by in USAGE_ORDERS:
        asked = replace(
            WHOLE,
            from_us=START_US + dice.choice([0, DAY_US, DAY_US // 3]),
            where=dice.choice(CONDITIONS),
            tenant=dice.choice([None, "north"]),
        )
        order, page = (
            MetricsOrder(by, dice.choice([True, False])),
            Page(dice.choice([1, 2, 9]), dice.choice([0, 1])),
        )
        ranked = [key.value for key in rank_groups(world.usage(asked), {}, order) if key.value is not None]
        found = await store.rank_users(asked, by, page, descending=order.descending)
        assert found == ranked[page.offset : page.offset + page.limit], (by, asked)
        named = replace(asked, where=AllOf((asked.where, Comparison("user", Op.IN, ("zoe", *found)))))
        assert await store.usage(named) == world.usage(named)


async def test_a_ranking_is_that_of_the_sums_whatever_changes(store: Store) -> None:
    dice = random.Random(5)
    await fill(store, dice, requests=100)
    await assert_ranked(store, await world_of(store), dice)
    await store.roll_up(LATER_US)
    for _ in range(3):
        await assert_ranked(store, await world_of(store), dice)
    [seq] = await store.append([some_exchange(dice, 1000)])
    await store.annotate([(seq, some_facts(dice))], LATER_US)
    await assert_ranked(store, await world_of(store), dice)
    await store.erase(await store.find_user_scope("ann", None), LATER_US)
    await assert_ranked(store, await world_of(store), dice)


@pytest.mark.parametrize("daily", [1, 5])
async def test_whole_weeks_are_not_counted_however_little_a_user_asks_on_a_day(
    store: Store, daily: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    week_us = START_US // WEEK_US * WEEK_US
    names = {"ann": 1, "bob": 2}
    made = [
        exchange(f"r{name}{day}{n}", started_at_us=week_us + day * DAY_US + n, metadata={"_user": name})
        for name, times in names.items()
        for day in range(7)
        for n in range(times * daily)
    ]
    # Nobody of the days before, and first by name.
    made.append(exchange("rabe", started_at_us=week_us + 6 * DAY_US, metadata={"_user": "abe"}))
    seqs = await store.append(made)
    await store.annotate([(seq, some_facts(random.Random(1))) for seq in seqs], LATER_US)
    await store.roll_up(LATER_US)
    monkeypatch.setattr(aggregates, "_from_requests", None)
    asked = MetricsQuery(week_us, week_us + WEEK_US, Comparison("user", Op.NE, None), group_by="user")
    assert await store.rank_users(asked, "requests", Page(9), descending=True) == ["bob", "ann", "abe"]
    expected = {"abe": 1, **{name: 7 * daily * times for name, times in names.items()}}
    for users in (tuple(expected), None):
        where = Comparison("user", Op.NE, None) if users is None else Comparison("user", Op.IN, users)
        usage = await store.usage(replace(asked, where=where))
        assert {key.value: sums.requests for key, sums in usage.items()} == expected
