"""Rollups by fields that were asked for: they are what counting gives, few, and gone when nobody asks."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from gateway.models.feedback import Source
from gateway.models.filters import NO_FILTER, AllOf, AnyOf, Comparison, Filter, Not, Op
from gateway.models.metrics import DAY_US, HOUR_US, GroupKey, Measure, MetricsQuery
from gateway.store import aggregates, compare, metrics, splits
from gateway.store.base import Store
from tests.store.random_data import (
    DAYS,
    LATER_US,
    START_US,
    fill,
    some_exchange,
    some_facts,
    some_feedback,
    world_of,
)
from tests.store.samples import exchange
from tests.store.test_compare import assert_people
from tests.store.test_metrics import assert_equal

TEAM = "metadata.team"
WHOLE = MetricsQuery(START_US, START_US + DAYS * DAY_US)
GROUPS = [
    (TEAM, None),
    (TEAM, "any_model"),
    ("any_model", TEAM),
    ("any_model", None),
    ("is_stream", TEAM),
    ("provider", "status"),
    (None, None),
]
CONDITIONS: list[Filter] = [
    NO_FILTER,
    Comparison(TEAM, Op.EQ, "red"),
    Comparison(TEAM, Op.NE, "red"),
    Comparison(TEAM, Op.NE, None),
    Comparison(TEAM, Op.IN, ("red", "blue", None)),
    AnyOf((Comparison(TEAM, Op.EQ, "true"), Comparison(TEAM, Op.EQ, True))),
    Not(AnyOf((Comparison(TEAM, Op.EQ, "blue"), Comparison(TEAM, Op.EQ, "pink")))),
    # No rollup can tell a number from its text.
    Comparison(TEAM, Op.EQ, 3),
    AnyOf((Comparison(TEAM, Op.EQ, "3"), Comparison(TEAM, Op.EQ, 3))),
    Comparison("property.team", Op.IN, ("red", "3", "true")),
]


def some_question(dice: random.Random) -> MetricsQuery:
    group_by, then_by = dice.choice(GROUPS)
    edge = START_US + dice.randrange(DAYS * DAY_US)
    return replace(
        WHOLE,
        from_us=dice.choice([0, START_US, edge]),
        where=dice.choice(CONDITIONS),
        group_by=group_by,
        then_by=then_by,
        bucket_us=dice.choice([None, None, HOUR_US, DAY_US, HOUR_US // 2]),
        tenant=dice.choice([None, None, "north"]),
    )


async def assert_answers(store: Store, dice: random.Random, questions: int) -> None:
    world = await world_of(store)
    for question in (some_question(dice) for _ in range(questions)):
        assert_equal(await store.usage(question), world.usage(question))
        assert_equal(await store.feedback_sums(question), world.feedback_sums(question))
        for measure in Measure:
            assert await store.latencies(question, measure) == world.latencies(question, measure)
        without_parts = replace(question, bucket_us=None, then_by=None)
        assert_people(
            await store.people(without_parts, Source.HUMAN), world.people(without_parts, Source.HUMAN)
        )
        in_parts, coverage = await store.usage_within(question, 60)
        assert coverage.is_whole
        assert_equal(in_parts, world.usage(question))


@pytest.mark.parametrize("seed", range(2))
async def test_rollups_that_were_asked_for_equal_a_recount_after_anything_has_changed(
    store: Store, seed: int
) -> None:
    dice = random.Random(seed)
    await fill(store, dice)
    await assert_answers(store, dice, 20)
    assert await store.roll_up(LATER_US) > 0
    await assert_answers(store, dice, 20)
    for step in range(8):
        await change_something(store, dice, step)
        await assert_answers(store, dice, 4)
        if step % 2:
            await store.roll_up(LATER_US)
            await assert_answers(store, dice, 4)


async def change_something(store: Store, dice: random.Random, step: int) -> None:
    match step:
        case 0:
            [seq] = await store.append([some_exchange(dice, 1000)])
            await store.annotate([(seq, some_facts(dice))], LATER_US)
        case 1:
            assert await store.append_missing([(some_exchange(dice, 2000), some_facts(dice))], LATER_US)
        case 2:
            await store.put_feedback([some_feedback(dice, 1000 + number, 60) for number in range(5)])
        case 3:
            [entry] = await store.feedback_by_ids(["feedback-1"])
            await store.put_feedback([replace(entry, version=entry.version + 1, score=-1.0, grade=-10.0)])
            # What was not joined to anything finds its request at last.
            await store.append([exchange("unknown", "unknown", started_at_us=START_US + 5, tenant="north")])
        case 4:
            assert await store.set_property("request-7", "team", "pink", None)
        case 5:
            assert await store.remove_feedback("feedback-2")
        case 6:
            await store.erase(await store.find_user_scope("ann", None), LATER_US)
        case _:
            assert await store.expire(START_US + DAY_US)


@pytest.fixture
def nothing_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("rows are counted")

    monkeypatch.setattr(aggregates, "_from_requests", refuse)
    monkeypatch.setattr(aggregates, "COUNTED_FEEDBACK", "(no table)")
    monkeypatch.setattr(compare, "people_query", refuse)


@pytest.mark.parametrize(
    "asked",
    [
        replace(WHOLE, group_by=TEAM),
        replace(WHOLE, group_by=TEAM, then_by="any_model", bucket_us=DAY_US),
        replace(WHOLE, group_by="any_model", where=Comparison(TEAM, Op.EQ, "red")),
    ],
)
async def test_what_was_asked_for_is_not_counted_again(
    store: Store, asked: MetricsQuery, request: pytest.FixtureRequest
) -> None:
    await fill(store, random.Random(1))
    counted: list[Mapping[GroupKey, Any]] = [
        await ask(asked) for ask in (store.usage, store.latencies, store.feedback_sums)
    ]
    people = await store.people(replace(asked, bucket_us=None), Source.HUMAN)
    await store.roll_up(LATER_US)
    request.getfixturevalue("nothing_is_counted")
    narrowed = replace(asked, where=AllOf((asked.where, Comparison("property.team", Op.IN, ("red", "blue")))))
    asks: list[Callable[[MetricsQuery], Awaitable[Mapping[GroupKey, Any]]]]
    asks = [store.usage, store.latencies, store.feedback_sums]
    for ask, before in zip(asks, counted, strict=True):
        assert (await ask(asked)).keys() == before.keys()
        assert (await ask(narrowed)).keys() <= before.keys()
    assert await store.latencies(asked, Measure.FIRST_BYTE)
    assert (await store.people(replace(asked, bucket_us=None), Source.HUMAN)).keys() == people.keys()


async def test_a_new_split_is_reported_once_and_not_for_a_short_time(store: Store) -> None:
    reported: list[None] = []
    store.on_new_split(lambda: reported.append(None))
    await store.usage(replace(WHOLE, group_by="provider"))
    await store.usage(replace(WHOLE, group_by=TEAM, to_us=START_US + HOUR_US))
    assert len(reported) == 0
    for _ in range(2):
        await store.usage(replace(WHOLE, group_by=TEAM))
        await store.roll_up(LATER_US)
    assert len(reported) == 1
    # What persons say is summed up only once that is asked for.
    for _ in range(2):
        await store.people(replace(WHOLE, group_by=TEAM), Source.HUMAN)
        await store.roll_up(LATER_US)
    assert len(reported) == 2


async def test_within_no_time_only_the_latest_requests_count(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "_PART_SECONDS", 0.0)
    await fill(store, random.Random(2))
    asked = replace(WHOLE, group_by=TEAM)
    found, coverage = await store.usage_within(asked, 0)
    assert coverage.covers_from_us == asked.to_us - HOUR_US
    assert not coverage.is_whole
    assert coverage.is_rolled_up
    assert coverage.share == pytest.approx(1 / 24 / DAYS)
    world = await world_of(store)
    assert_equal(found, world.usage(replace(asked, from_us=coverage.covers_from_us)))
    await store.roll_up(LATER_US)
    found, coverage = await store.usage_within(asked, 0)
    assert coverage.is_whole
    assert_equal(found, world.usage(asked))


async def test_only_so_many_splits_are_kept_and_those_that_nobody_asks_for_go(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(splits, "MAX_SPLITS", 2)
    await fill(store, random.Random(3), requests=6)
    keys = [replace(WHOLE, group_by=f"metadata.key-{n}") for n in range(splits.MAX_SPLITS)]
    for asked in keys:
        await store.usage(asked)
    await store.roll_up(LATER_US)
    await store.usage(replace(WHOLE, group_by=TEAM))
    await store.roll_up(LATER_US)
    assert not await is_kept(store, TEAM)
    await store.usage(keys[0])
    await store.roll_up(LATER_US + DAY_US)
    await store.usage(replace(WHOLE, group_by=TEAM))
    await store.roll_up(LATER_US + DAY_US)
    assert await is_kept(store, TEAM)
    assert await is_kept(store, "metadata.key-0")
    assert sum([await is_kept(store, f"metadata.key-{n}") for n in range(len(keys))]) == len(keys) - 1
    await store.roll_up(LATER_US + DAY_US)
    await store.roll_up(LATER_US + 2 * DAY_US + splits.KEPT_US)
    assert not await is_kept(store, TEAM)
    await store.usage(replace(WHOLE, group_by=TEAM))
    await store.roll_up(LATER_US + 2 * DAY_US + splits.KEPT_US)
    assert await is_kept(store, TEAM)
    assert_equal(await store.usage(keys[0]), (await world_of(store)).usage(keys[0]))


async def is_kept(store: Store, field: str) -> bool:
    """Whether nothing needs to be counted by a field; asks for it."""
    _, coverage = await store.usage_within(replace(WHOLE, group_by=field), 0)
    return coverage.is_whole


async def test_a_field_of_many_values_is_not_split_by(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_PART_SECONDS", 0.0)
    monkeypatch.setattr(splits, "FEW_ROWS", 2)
    await fill(store, random.Random(4))
    asked = replace(WHOLE, group_by="metadata.team", then_by="session")
    await store.usage(asked)
    await store.roll_up(LATER_US)
    assert await store.roll_up(LATER_US) == 0
    _, coverage = await store.usage_within(asked, 0)
    assert not coverage.is_whole
    assert not coverage.is_rolled_up
    assert_equal(await store.usage(asked), (await world_of(store)).usage(asked))
