"""Groups in order, a page at a time: each with the figures that it has in an answer as a whole."""

from __future__ import annotations

import itertools
import random
from dataclasses import astuple

import pytest

from gateway.domain.aggregate import DAY_US, END_OF_TIME_US, HOUR_US, Cell, Question, UsageSums
from gateway.domain.filter import EVERYTHING, Filter, Is, Op, Page
from gateway.query import MEASURES, Analytics, Figures, Order, Ranking
from gateway.query.statistics import mean_score
from gateway.store.base import Store
from tests.store.filling import LATER_US, fill

FIELDS = ["provider", "any_model", "user", "status", "is_stream", "metadata.team", "session"]
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
        whole = await Analytics(store).figures(question)
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
