"""Groups in order, a page at a time: each with the figures that it has in an answer as a whole."""

from __future__ import annotations

import itertools
import random
from dataclasses import astuple

import pytest

from gateway.domain.aggregate import DAY_US, END_OF_TIME_US, HOUR_US, Cell, Question, UsageSums, VerdictSums
from gateway.domain.filter import EVERYTHING, Filter, Is, Op, Page
from gateway.query import MEASURES, Figures, Order, Ranking
from gateway.query.statistics import mean_score
from gateway.store.base import Store
from tests.making import MakeExchange, MakeFeedback
from tests.store.filling import LATER_US, fill

FIELDS = ["provider", "any_model", "user", "status", "is_stream", "metadata.team", "session"]
START_US = 1_700_000_000_000_000 // HOUR_US * HOUR_US
CONDITIONS: list[Filter] = [EVERYTHING, Is("user", Op.EQ, "ann"), Is("provider", Op.EQ, "openai")]


async def pages(store: Store, question: Question, order: Order, limit: int) -> list[Figures]:
    found: list[Figures] = []
    offset: int | None = 0
    while offset is not None:
        page = await Ranking(store).find(question, order, Page(limit, offset))
        assert len(page.figures) <= limit
        found += page.figures
        offset = page.next_offset
    return found


async def answer_to(store: Store, question: Question) -> list[Figures]:
    """All parts of an answer, in the order of time, put together from what the store says of each alone."""
    usage = await store.usage(question)
    verdicts, latencies = await store.verdicts(question), await store.latencies(question)
    parts = [
        Figures(cell, sums, verdicts.get(cell, VerdictSums()), latencies.get(cell, {}))
        for cell, sums in usage.items()
    ]
    return sorted(parts, key=lambda part: part.cell.starts_at_us or 0)


def measured(part: Figures, by: str) -> float | None:
    usage, verdicts = part.usage, part.verdicts
    score = mean_score(verdicts)
    figures: dict[str, float | None] = {
        "requests": usage.requests,
        "errors": usage.errors,
        "error_rate": usage.errors / usage.requests,
        "cost": usage.cost_nanousd,
        "tokens": usage.prompt_tokens + usage.completion_tokens,
        "latency": usage.duration_us / usage.requests,
        "last_seen": usage.last_started_at_us,
        "feedback": verdicts.entries,
        "score": None if score is None else score.value,
    }
    return figures[by]


@pytest.mark.parametrize("is_rolled_up", [False, True])
@pytest.mark.parametrize("by", MEASURES)
async def test_pages_hold_each_group_once_in_order_with_its_own_figures(
    store: Store, by: str, is_rolled_up: bool
) -> None:
    dice = random.Random(by)
    await fill(store, dice)
    if is_rolled_up:
        await store.roll_up(LATER_US)
    for _ in range(12):
        question = Question(
            0,
            END_OF_TIME_US,
            where=dice.choice(CONDITIONS),
            group_by=dice.choice(FIELDS),
            bucket_us=dice.choice([None, None, DAY_US, HOUR_US]),
            tenant=dice.choice([None, "north"]),
        )
        is_descending = dice.choice([True, False])
        found = await pages(store, question, Order(by, is_descending), dice.choice([1, 3, 7]))
        whole = await answer_to(store, question)
        assert_equal(found, whole)
        assert [part.cell.starts_at_us for part in found] == [part.cell.starts_at_us for part in whole]
        assert_in_order(found, by, is_descending)


def assert_equal(found: list[Figures], whole: list[Figures]) -> None:
    assert len(found) == len(whole)
    parts = {part.cell: part for part in found}
    for expected in whole:
        part = parts[expected.cell]
        assert (part.usage, part.latencies) == (expected.usage, expected.latencies)
        assert astuple(part.verdicts) == pytest.approx(astuple(expected.verdicts), abs=1e-9)


def assert_in_order(parts: list[Figures], by: str, is_descending: bool) -> None:
    for one, other in itertools.pairwise(parts):
        if one.cell.starts_at_us != other.cell.starts_at_us:
            continue
        first, second = measured(one, by), measured(other, by)
        if first is None or second is None:
            assert second is None, "what has no such figure comes last"
        else:
            assert first >= second if is_descending else first <= second


async def test_without_groups_and_pieces_there_is_one_part_even_of_nothing(store: Store) -> None:
    for by in MEASURES:
        [part] = (await Ranking(store).find(Question(0, 1), Order(by), Page(10))).figures
        assert part == Figures(Cell(), UsageSums())


async def test_groups_and_pieces_of_nothing_are_none(store: Store) -> None:
    for question in (Question(0, 1, group_by="user"), Question(0, 1, bucket_us=HOUR_US)):
        assert (await Ranking(store).find(question, Order("cost"), Page(10))).figures == ()


async def test_a_page_after_the_last_is_empty(store: Store) -> None:
    await fill(store, random.Random(1))
    page = await Ranking(store).find(Question(0, END_OF_TIME_US), Order("cost"), Page(10, 10))
    assert (page.figures, page.next_offset) == ((), None)


async def test_each_part_has_its_usage_verdicts_and_latencies(
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

    question = Question(0, 2 * START_US, group_by="provider")
    [b, a] = (await Ranking(store).find(question, Order("requests"), Page(10))).figures

    assert (b.cell, b.usage.requests, b.latencies) == (Cell(None, "b"), 2, {42: 2})
    assert (b.verdicts.entries, b.verdicts.judged_requests) == (1, 1)
    assert (a.cell, a.usage.requests, a.verdicts.entries) == (Cell(None, "a"), 1, 0)


async def test_parts_come_in_the_order_of_time(store: Store, make_exchange: MakeExchange) -> None:
    for hour in (2, 0, 1):
        start = START_US + hour * HOUR_US
        await store.append([make_exchange(started_at_us=start, ended_at_us=start)])
    question = Question(0, 2 * START_US, bucket_us=HOUR_US)
    parts = (await Ranking(store).find(question, Order("requests"), Page(10))).figures
    assert [part.cell.starts_at_us for part in parts] == [START_US + hour * HOUR_US for hour in range(3)]
