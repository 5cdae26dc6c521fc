"""Groups in order, a page at a time: each with the figures that it has in an answer as a whole."""

from __future__ import annotations

import itertools
import random
from dataclasses import astuple

import pytest

from gateway.models.filters import NO_FILTER, Comparison, Filter, Op, Page
from gateway.models.metrics import (
    DAY_US,
    END_OF_TIME_US,
    HOUR_US,
    FeedbackSums,
    GroupKey,
    MetricsQuery,
    UsageSums,
)
from gateway.query.metrics import ORDER_METRICS, GroupMetrics, MetricsOrder, MetricsReader
from gateway.query.statistics import mean_score
from gateway.store.base import Store
from tests.factories import MakeExchange, MakeFeedback
from tests.store.random_data import LATER_US, fill

FIELDS = ["provider", "any_model", "user", "status", "is_stream", "metadata.team", "session"]
START_US = 1_700_000_000_000_000 // HOUR_US * HOUR_US
CONDITIONS: list[Filter] = [
    NO_FILTER,
    Comparison("user", Op.EQ, "ann"),
    Comparison("provider", Op.EQ, "openai"),
]


async def pages(
    store: Store, metrics_query: MetricsQuery, order: MetricsOrder, limit: int
) -> list[GroupMetrics]:
    found: list[GroupMetrics] = []
    offset: int | None = 0
    while offset is not None:
        page = await MetricsReader(store).find(metrics_query, order, Page(limit, offset))
        assert len(page.figures) <= limit
        found += page.figures
        offset = page.next_offset
    return found


async def answer_to(store: Store, metrics_query: MetricsQuery) -> list[GroupMetrics]:
    """All parts of an answer, in the order of time, put together from what the store says of each alone."""
    usage = await store.usage(metrics_query)
    feedback_sums, latencies = await store.feedback_sums(metrics_query), await store.latencies(metrics_query)
    parts = [
        GroupMetrics(cell, sums, feedback_sums.get(cell, FeedbackSums()), latencies.get(cell, {}))
        for cell, sums in usage.items()
    ]
    return sorted(parts, key=lambda part: part.cell.starts_at_us or 0)


def measured(part: GroupMetrics, by: str) -> float | None:
    usage, feedback_sums = part.usage, part.feedback_sums
    score = mean_score(feedback_sums)
    figures: dict[str, float | None] = {
        "requests": usage.requests,
        "errors": usage.errors,
        "error_rate": usage.errors / usage.requests,
        "cost": usage.cost_nanousd,
        "tokens": usage.prompt_tokens + usage.completion_tokens,
        "latency": usage.duration_us / usage.requests,
        "last_seen": usage.last_started_at_us,
        "feedback": feedback_sums.entries,
        "score": None if score is None else score.value,
    }
    return figures[by]


@pytest.mark.parametrize("is_rolled_up", [False, True])
@pytest.mark.parametrize("by", ORDER_METRICS)
async def test_pages_hold_each_group_once_in_order_with_its_own_figures(
    store: Store, by: str, is_rolled_up: bool
) -> None:
    dice = random.Random(by)
    await fill(store, dice)
    if is_rolled_up:
        await store.roll_up(LATER_US)
    for _ in range(12):
        metrics_query = MetricsQuery(
            0,
            END_OF_TIME_US,
            where=dice.choice(CONDITIONS),
            group_by=dice.choice(FIELDS),
            bucket_us=dice.choice([None, None, DAY_US, HOUR_US]),
            tenant=dice.choice([None, "north"]),
        )
        is_descending = dice.choice([True, False])
        found = await pages(store, metrics_query, MetricsOrder(by, is_descending), dice.choice([1, 3, 7]))
        whole = await answer_to(store, metrics_query)
        assert_equal(found, whole)
        assert [part.cell.starts_at_us for part in found] == [part.cell.starts_at_us for part in whole]
        assert_in_order(found, by, is_descending)


def assert_equal(found: list[GroupMetrics], whole: list[GroupMetrics]) -> None:
    assert len(found) == len(whole)
    parts = {part.cell: part for part in found}
    for expected in whole:
        part = parts[expected.cell]
        assert (part.usage, part.latencies) == (expected.usage, expected.latencies)
        assert astuple(part.feedback_sums) == pytest.approx(astuple(expected.feedback_sums), abs=1e-9)


def assert_in_order(parts: list[GroupMetrics], by: str, is_descending: bool) -> None:
    for one, other in itertools.pairwise(parts):
        if one.cell.starts_at_us != other.cell.starts_at_us:
            continue
        first, second = measured(one, by), measured(other, by)
        if first is None or second is None:
            assert second is None, "what has no such figure comes last"
        else:
            assert first >= second if is_descending else first <= second


async def test_without_groups_and_pieces_there_is_one_part_even_of_nothing(store: Store) -> None:
    for by in ORDER_METRICS:
        [part] = (await MetricsReader(store).find(MetricsQuery(0, 1), MetricsOrder(by), Page(10))).figures
        assert part == GroupMetrics(GroupKey(), UsageSums())


async def test_groups_and_pieces_of_nothing_are_none(store: Store) -> None:
    for metrics_query in (MetricsQuery(0, 1, group_by="user"), MetricsQuery(0, 1, bucket_us=HOUR_US)):
        assert (await MetricsReader(store).find(metrics_query, MetricsOrder("cost"), Page(10))).figures == ()


async def test_a_page_after_the_last_is_empty(store: Store) -> None:
    await fill(store, random.Random(1))
    page = await MetricsReader(store).find(
        MetricsQuery(0, END_OF_TIME_US), MetricsOrder("cost"), Page(10, 10)
    )
    assert (page.figures, page.next_offset) == ((), None)


async def test_each_part_has_its_usage_feedback_and_latencies(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    at = {"started_at_us": START_US, "ended_at_us": START_US + 42_000}
    await store.append(
        [
            make_exchange("r1", provider="a", **at),
            make_exchange("r2", provider="b", **at),
            make_exchange("r3", provider="b", **at),
        ]
    )
    await store.put_feedback([make_feedback("r2", value=1.0, score=1.0, grade=10.0)])

    metrics_query = MetricsQuery(0, 2 * START_US, group_by="provider")
    [b, a] = (await MetricsReader(store).find(metrics_query, MetricsOrder("requests"), Page(10))).figures

    assert (b.cell, b.usage.requests, b.latencies) == (GroupKey(None, "b"), 2, {42: 2})
    assert (b.feedback_sums.entries, b.feedback_sums.judged_requests) == (1, 1)
    assert (a.cell, a.usage.requests, a.feedback_sums.entries) == (GroupKey(None, "a"), 1, 0)


async def test_parts_come_in_the_order_of_time(store: Store, make_exchange: MakeExchange) -> None:
    for hour in (2, 0, 1):
        start = START_US + hour * HOUR_US
        await store.append([make_exchange(started_at_us=start, ended_at_us=start)])
    metrics_query = MetricsQuery(0, 2 * START_US, bucket_us=HOUR_US)
    parts = (await MetricsReader(store).find(metrics_query, MetricsOrder("requests"), Page(10))).figures
    assert [part.cell.starts_at_us for part in parts] == [START_US + hour * HOUR_US for hour in range(3)]
