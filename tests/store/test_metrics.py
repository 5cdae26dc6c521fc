"""Figures of many requests: what SQL and rollups answer is what counting row by row would."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import astuple, replace

import pytest

from gateway.errors import BadInput
from gateway.models.filters import NO_FILTER, AllOf, AnyOf, Comparison, Filter, Not, Op
from gateway.models.metrics import DAY_US, GRADE_FIELD, HOUR_US, GroupKey, MetricsQuery, Sums
from gateway.models.request import Cost, Facts, Usage
from gateway.store.base import Store
from tests.store.random_data import (
    DAYS,
    LATER_US,
    START_US,
    fill,
    seeds,
    some_exchange,
    some_facts,
    some_feedback,
    world_of,
)
from tests.store.samples import exchange, feedback

FIELDS = [
    None,
    "any_model",
    "provider",
    "status",
    "outcome",
    "user",
    "session",
    "is_stream",
    "attempt",
    "client_retry",
    "metadata.team",
    GRADE_FIELD,
]
CONDITIONS: list[Filter] = [
    NO_FILTER,
    Comparison("any_model", Op.EQ, "small"),
    Comparison("user", Op.IN, ("ann", None)),
    Comparison("user", Op.NE, None),
    Not(AnyOf((Comparison("session", Op.EQ, "chat"), Comparison("session", Op.LT, "3")))),
    AllOf((Comparison("user", Op.GE, "a"), Comparison("user", Op.LT, "b"))),
    AllOf((Comparison("status", Op.GE, 400), Comparison("status", Op.LT, 500))),
    AnyOf(),
    Comparison("status", Op.IN, (200, 500)),
    Comparison("user", Op.NE, None),
    Comparison("provider", Op.EQ, None),
    Comparison("client_retry", Op.EQ, 0),
    AllOf((Comparison("provider", Op.EQ, "openai"), Comparison("status", Op.GE, 400))),
    Not(Comparison("metadata.team", Op.EQ, "red")),
    Comparison("cost_nanousd", Op.GT, 500),
]
OFFSETS = [0, 0, -3 * DAY_US, HOUR_US // 2]
BUCKETS = [None, HOUR_US // 4, HOUR_US, 3 * HOUR_US, DAY_US, 7 * DAY_US]


def some_question(dice: random.Random) -> MetricsQuery:
    edges = sorted(START_US + dice.randrange(-HOUR_US, DAYS * DAY_US + HOUR_US) for _ in range(2))
    whole = (START_US, START_US + DAYS * DAY_US)
    return MetricsQuery(
        *dice.choice([(edges[0], edges[1]), whole, (0, LATER_US)]),
        where=dice.choice(CONDITIONS),
        group_by=dice.choice(FIELDS),
        bucket_us=dice.choice(BUCKETS),
        bucket_offset_us=dice.choice(OFFSETS),
        tenant=dice.choice([None, None, "north", "nobody"]),
    )


def assert_equal(found: Mapping[GroupKey, Sums], expected: Mapping[GroupKey, Sums]) -> None:
    assert found.keys() == expected.keys()
    for cell, sums in expected.items():
        assert astuple(found[cell]) == pytest.approx(astuple(sums), abs=1e-9)


async def assert_answers(store: Store, dice: random.Random, questions: int) -> None:
    world = await world_of(store)
    for question in (some_question(dice) for _ in range(questions)):
        assert_equal(await store.feedback_sums(question), world.feedback_sums(question))
        if question.group_by != GRADE_FIELD:
            assert_equal(await store.usage(question), world.usage(question))
            assert await store.latencies(question) == world.latencies(question)
            assert await store.count_groups(question) == world.count_groups(question)


@pytest.mark.parametrize("seed", seeds(3))
async def test_figures_are_what_counting_gives(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    await fill(store, dice)
    await assert_answers(store, dice, 60)


@pytest.mark.parametrize("seed", seeds(3))
async def test_rollups_equal_a_full_recount(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    await fill(store, dice)
    assert await store.roll_up(LATER_US) > 0
    await assert_answers(store, dice, 60)


async def test_rollups_with_many_gaps_between_them_are_as_exact(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.aggregates._MOST_TERMS", 1)
    dice = random.Random(5)
    await fill(store, dice)
    await store.roll_up(LATER_US)
    await assert_answers(store, dice, 60)


@pytest.mark.parametrize("seed", seeds(3))
async def test_rollups_equal_a_full_recount_after_anything_has_changed(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    await fill(store, dice)
    await store.roll_up(LATER_US)
    for step in range(6):
        await change_something(store, dice, step)
        await assert_answers(store, dice, 10)
        if step % 2:
            await store.roll_up(LATER_US)
            await assert_answers(store, dice, 10)


async def change_something(store: Store, dice: random.Random, step: int) -> None:
    match step:
        case 0:
            [seq] = await store.append([some_exchange(dice, 1000)])
            await store.annotate([(seq, some_facts(dice))], LATER_US)
        case 1:
            await store.put_feedback([some_feedback(dice, 1000 + number, 60) for number in range(3)])
        case 2:
            [entry] = await store.feedback_by_ids(["feedback-1"])
            await store.put_feedback([replace(entry, version=entry.version + 1, score=-1.0, grade=-10.0)])
        case 3:
            assert await store.set_property("request-7", "_user", "cat", None)
        case 4:
            [entry] = await store.feedback_by_ids(["feedback-2"])
            await store.put_feedback([replace(entry, version=entry.version + 1, deleted_at_us=LATER_US)])
        case _:
            # What was not joined to anything finds its request at last.
            await store.append([exchange("unknown", "unknown", started_at_us=START_US + 5, tenant="north")])


async def test_a_trace_s_feedback_counts_for_the_request_that_its_author_saw(store: Store) -> None:
    first, second, third = (START_US + n * HOUR_US for n in range(3))
    await store.append([exchange(f"r{at}", "t", started_at_us=at) for at in (first, second)])
    await store.put_feedback([feedback("a", "t", joined_at_us=1, trace_id="t", created_at_us=second + 1)])
    await store.append([exchange("r3", "t", started_at_us=third)])
    counted = await store.feedback_sums(MetricsQuery(0, LATER_US, bucket_us=HOUR_US))
    assert [cell.starts_at_us for cell in counted] == [second]


async def test_feedback_before_its_request_counts_for_the_first_that_comes(store: Store) -> None:
    await store.put_feedback([feedback("a", "t", trace_id="t", created_at_us=START_US)])
    assert await store.feedback_sums(MetricsQuery(0, LATER_US)) == {}
    await store.append([exchange("r1", "t", started_at_us=START_US + HOUR_US)])
    await store.append([exchange("r2", "t", started_at_us=START_US + 2 * HOUR_US)])
    counted = await store.feedback_sums(MetricsQuery(0, LATER_US, bucket_us=HOUR_US))
    assert [cell.starts_at_us for cell in counted] == [START_US + HOUR_US]


async def test_what_is_not_over_or_not_understood_is_not_summed_up(store: Store) -> None:
    [seq] = await store.append([exchange("r", started_at_us=START_US)])
    assert await store.roll_up(START_US + HOUR_US) == 0
    assert await store.roll_up(LATER_US) == 0
    await store.annotate([(seq, Facts(model="m"))], LATER_US)
    assert await store.roll_up(LATER_US + HOUR_US) > 0
    assert await store.roll_up(LATER_US + HOUR_US) == 0
    assert list(await store.usage(MetricsQuery(0, LATER_US, group_by="any_model"))) == [GroupKey(None, "m")]


async def test_numbers_that_no_request_has_in_earnest_do_not_spoil_the_sums(store: Store) -> None:
    seqs = await store.append([exchange(str(n), started_at_us=START_US) for n in range(3)])
    absurd = Facts(usage=Usage(2**62, 2**62), cost=Cost(2**62, "v"))
    await store.annotate([(seq, absurd) for seq in seqs], LATER_US)
    [sums] = (await store.usage(MetricsQuery(0, LATER_US))).values()
    assert sums.prompt_tokens == sums.cost_nanousd == 3 * 10**12


@pytest.mark.parametrize(
    ("question", "field"),
    [
        (MetricsQuery(0, 1, group_by="colour"), "colour"),
        (MetricsQuery(0, 1, where=Comparison("colour", Op.EQ, "red")), "colour"),
        (MetricsQuery(0, 1, where=Comparison("status", Op.EQ, "red")), "status"),
    ],
)
async def test_what_requests_cannot_be_asked_for_is_refused(
    store: Store, question: MetricsQuery, field: str
) -> None:
    await store.append([exchange()])
    for ask in (store.usage, store.latencies, store.feedback_sums, store.count_groups):
        with pytest.raises(BadInput) as refused:
            await ask(question)
        assert refused.value.field == field


async def test_only_feedback_can_be_grouped_by_grade(store: Store) -> None:
    for ask in (store.usage, store.latencies, store.count_groups):
        with pytest.raises(BadInput, match="no field"):
            await ask(MetricsQuery(0, 1, group_by=GRADE_FIELD))


async def test_an_empty_store_has_nothing_to_say(store: Store) -> None:
    assert await store.roll_up(LATER_US) == 0
    assert await store.usage(MetricsQuery(0, LATER_US)) == {}
    assert await store.feedback_sums(MetricsQuery(0, LATER_US)) == {}
