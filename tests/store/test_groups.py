"""Traces and sessions: what a walk meets and the figures of it are what going through all rows would give."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import astuple

import pytest

from gateway.errors import BadInput
from gateway.models.filters import NO_FILTER, AllOf, Comparison, Filter, Not, Op
from gateway.models.metrics import END_OF_TIME_US, FeedbackSums, GroupKey, MetricsQuery, UsageSums
from gateway.models.request import RequestRecord
from gateway.models.trace import GroupCursor, GroupField, RequestGroup
from gateway.store.base import Store
from tests.store.expected_filters import matches, value_of
from tests.store.expected_metrics import World
from tests.store.random_data import fill, some_exchange, world_of
from tests.store.samples import exchange, feedback

CONDITIONS: list[Filter] = [
    NO_FILTER,
    Comparison("status", Op.GE, 400),
    Comparison("user", Op.EQ, "ann"),
    AllOf((Comparison("provider", Op.EQ, "openai"), Not(Comparison("session", Op.EQ, "chat")))),
    Comparison("metadata.team", Op.EQ, "red"),
    Comparison("trace_id", Op.EQ, "trace-3"),
]


def newest(world: World, by: GroupField, where: Filter, tenant: str | None) -> list[tuple[str, int]]:
    """Each group with a matching request, and the seq of the newest one."""
    latest: dict[str, int] = {}
    for record in sorted(own(world, tenant), key=lambda record: record.seq, reverse=True):
        if (name := getattr(record, by)) is not None and matches(record, where):
            latest.setdefault(name, record.seq)
    return list(latest.items())


def own(world: World, tenant: str | None) -> Iterator[RequestRecord]:
    return (record for record in world.requests if tenant in (None, record.tenant))


async def walk(
    store: Store, by: GroupField, where: Filter, tenant: str | None, limit: int
) -> list[RequestGroup]:
    groups: list[RequestGroup] = []
    while found := await store.newest_groups(by, where, groups[-1].place if groups else None, limit, tenant):
        assert len(found) <= limit
        groups += found
    return groups


def assert_figures(group: RequestGroup, world: World, by: GroupField, tenant: str | None) -> None:
    rows = [record for record in own(world, tenant) if getattr(record, by) == group.name]
    question = MetricsQuery(0, END_OF_TIME_US, where=Comparison(by, Op.EQ, group.name), tenant=tenant)
    said = world.feedback_sums(question).get(GroupKey(), FeedbackSums())
    assert group.usage == world.usage(question).get(GroupKey(), UsageSums())
    assert astuple(group.feedback_sums) == pytest.approx(astuple(said), abs=1e-9)
    assert group.started_at_us == min(record.started_at_us for record in rows)
    assert group.ended_at_us == max(record.ended_at_us for record in rows)
    assert group.traces == len({record.trace_id for record in rows})
    assert group.users == values_of(rows, "user")
    assert group.models == values_of(rows, "any_model")


def values_of(rows: Sequence[RequestRecord], field: str) -> tuple[str, ...]:
    values = {value_of(record, field) for record in rows} - {None}
    return tuple(sorted(map(str, values)))


@pytest.mark.parametrize("by", GroupField)
@pytest.mark.parametrize("seed", range(3))
async def test_a_walk_meets_each_group_once_with_the_figures_of_all_its_requests(
    store: Store, by: GroupField, seed: int
) -> None:
    dice = random.Random(seed)
    await fill(store, dice)
    world = await world_of(store)
    for where in CONDITIONS:
        tenant = dice.choice([None, "north", "nobody"])
        groups = await walk(store, by, where, tenant, dice.choice([1, 3, 1000]))
        assert [(group.name, group.place.seq) for group in groups] == newest(world, by, where, tenant)
        for group in groups:
            assert_figures(group, world, by, tenant)


@pytest.mark.parametrize("by", GroupField)
async def test_a_walk_is_not_disturbed_by_what_is_stored_meanwhile(store: Store, by: GroupField) -> None:
    dice = random.Random(7)
    await fill(store, dice)
    expected = newest(await world_of(store), by, NO_FILTER, None)
    met: list[tuple[str, int]] = []
    after: GroupCursor | None = None
    while found := await store.newest_groups(by, NO_FILTER, after, 2, None):
        met += [(group.name, group.place.seq) for group in found]
        after = found[-1].place
        await store.append([some_exchange(dice, number) for number in range(5)])
    assert met == expected


async def test_a_trace_with_a_new_request_is_the_first_of_the_next_walk(store: Store) -> None:
    await store.append([exchange("1", "old"), exchange("2", "new"), exchange("3", "old")])
    names = await names_of(store, GroupField.TRACE)
    assert names == ["old", "new"]
    await store.append([exchange("4", "new")])
    assert await names_of(store, GroupField.TRACE) == ["new", "old"]


async def test_requests_without_a_session_are_in_none(store: Store) -> None:
    await store.append([exchange("1", "t"), exchange("2", "t", metadata={"_session": "chat"})])
    [group] = await store.newest_groups(GroupField.SESSION, NO_FILTER, None, 10, None)
    assert (group.name, group.usage.requests) == ("chat", 1)


async def test_withdrawn_feedback_and_that_of_others_does_not_count(store: Store) -> None:
    await store.append([exchange("1", "t", tenant="north"), exchange("2", "t", tenant="south")])
    await store.put_feedback(
        [
            feedback("a", "t", tenant="north", trace_id="t", joined_at_us=1),
            feedback("b", "t", tenant="north", trace_id="t", joined_at_us=1, deleted_at_us=5),
            feedback("c", "t", tenant="south", trace_id="t", joined_at_us=1),
        ]
    )
    [group] = await store.newest_groups(GroupField.TRACE, NO_FILTER, None, 10, "north")
    assert (group.usage.requests, group.feedback_sums.entries) == (1, 1)


async def test_an_empty_store_has_no_groups(store: Store) -> None:
    assert await store.newest_groups(GroupField.TRACE, NO_FILTER, None, 10, None) == []


async def test_what_requests_have_not_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match="no field 'colour'"):
        await store.newest_groups(GroupField.TRACE, Comparison("colour", Op.EQ, "red"), None, 10, None)


async def names_of(store: Store, by: GroupField) -> Sequence[str]:
    return [group.name for group in await store.newest_groups(by, NO_FILTER, None, 100, None)]
