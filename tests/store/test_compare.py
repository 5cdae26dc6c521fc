"""What each person says: the same from rollups as when it is counted entry by entry."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest

from gateway.models.feedback import Kind, Source
from gateway.models.filters import NO_FILTER, Comparison, Filter, Op, Scalar
from gateway.models.metrics import DAY_US, END_OF_TIME_US, MetricsQuery, PersonSums
from gateway.store.base import Store
from tests.store.random_data import DAYS, LATER_US, START_US, fill, some_feedback, world_of
from tests.store.samples import exchange, feedback

FIELDS = ["any_model", "provider", "key_name", "status", "metadata.team"]
CONDITIONS: list[Filter] = [NO_FILTER, Comparison("provider", Op.EQ, "openai")]

People = Mapping[Scalar, Mapping[str, PersonSums]]


def assert_people(found: People, expected: People) -> None:
    assert {value: set(group) for value, group in found.items()} == {
        value: set(group) for value, group in expected.items()
    }
    for value, group in expected.items():
        for person, sums in group.items():
            assert found[value][person] == pytest.approx(sums)


async def test_rollups_say_of_each_person_what_a_recount_says(store: Store) -> None:
    dice = random.Random(1)
    await fill(store, dice, requests=80, entries=150)
    for round_ in range(3):
        world = await world_of(store)
        for _ in range(12):
            from_us = START_US + dice.choice([0, DAY_US, DAY_US // 3])
            to_us = START_US + dice.choice([DAYS * DAY_US, 2 * DAY_US, DAYS * DAY_US - DAY_US // 5])
            tenant, field = dice.choice([None, "north"]), dice.choice(FIELDS)
            spec = MetricsQuery(from_us, to_us, dice.choice(CONDITIONS), group_by=field, tenant=tenant)
            found = await store.people(spec, Source.HUMAN)
            assert_people(found, world.people(spec, Source.HUMAN))
        # The next round reads rollups, of which some are taken back at once.
        await store.roll_up(LATER_US)
        if round_ == 1:
            await store.put_feedback([some_feedback(dice, 1000 + number, 80) for number in range(10)])


async def test_the_latest_rating_of_a_person_on_a_request_counts_once(store: Store) -> None:
    await store.append([exchange("r1", "t1", metadata={"_user": "ann"}), exchange("r2", "t2")])
    given = [
        ("first", "t1", "ann", 1.0, 1),
        ("second", "t1", "ann", -1.0, 2),
        ("of the user", "t1", None, -0.5, 3),
        ("of another", "t1", "bob", 1.0, 2),
        ("of nobody", "t2", None, 0.5, 2),
    ]
    at = 1_700_000_100_000_000
    entries = [
        feedback(
            name, subject, author=author, score=score, value=score, created_at_us=at, updated_at_us=at + when
        )
        for name, subject, author, score, when in given
    ]
    of_model = replace(entries[0], feedback_id="of a model", source=Source.MODEL, author="judge")
    metric = replace(
        entries[1], feedback_id="of a metric", kind=Kind.SCORE, metric="tone", updated_at_us=at + 9
    )
    await store.put_feedback([*entries, of_model, metric])
    spec = MetricsQuery(0, END_OF_TIME_US, group_by="provider")
    [people] = (await store.people(spec, Source.HUMAN)).values()
    assert people == {
        "ann": PersonSums(1, 0, 1, 1.0, -0.5),
        "bob": PersonSums(1, 1, 0, 1.0, 1.0),
        "r2": PersonSums(1, 1, 1, 1.0, 0.5),
    }
    # A model is one author of everything: its entries are told apart by who asked.
    [judged] = (await store.people(spec, Source.MODEL)).values()
    assert set(judged) == {"ann"}
