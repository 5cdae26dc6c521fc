"""Thumbs that were read as grades are noticed, and what is stored of them gets its right score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.feedback.payloads import signed_scale, star_scale, thumb_scale
from gateway.feedback.rescale import rescale_grades
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback
from gateway.models.filters import NO_FILTER, Comparison, Op
from gateway.models.metrics import END_OF_TIME_US, GroupKey, MetricsQuery
from gateway.models.principal import OPEN_ACCESS, FeedbackScope, Principal
from gateway.store.base import FeedbackStore, Store

from .samples import APP, NORTH, change, exchange, vote


async def give(core: FeedbackService, *values: float, by: Principal = APP) -> list[Feedback]:
    return await core.give([vote(value=value) for value in values], by, dialect="test")


async def is_noticed(core: FeedbackService, *values: float, by: Principal = APP) -> bool:
    """Give grades, and tell whether they were taken for thumbs."""
    await give(core, *values, by=by)
    return await core.sends_thumbs_as_grades(by, [vote(value=value) for value in values])


async def test_grades_of_0_and_1_alone_are_noticed_from_the_fifth_on(core: FeedbackService) -> None:
    assert [await is_noticed(core, value) for value in (1, 0, 1, 1, 1, 0)] == [False] * 4 + [True] * 2


async def test_a_bulk_of_them_is_noticed_at_once_and_each_key_for_itself(core: FeedbackService) -> None:
    assert await is_noticed(core, 1, 1, 0, 1, 1, by=OPEN_ACCESS)
    assert not await is_noticed(core, 1)
    assert not await is_noticed(core, 1, 1, 0, 1, 1, by=replace(NORTH, scope=FeedbackScope("trace-1", "r")))


async def test_whoever_gives_another_grade_is_never_suspected_again(core: FeedbackService) -> None:
    assert not await is_noticed(core, 1, 1, 0, 1, 1, 2)
    assert not await is_noticed(core, 1, 1, 0, 1, 1)


async def test_grades_that_were_given_before_the_process_began_count(
    store: Store, core: FeedbackService
) -> None:
    await give(core, -5, by=OPEN_ACCESS)
    fresh = FeedbackService(store)
    assert not await is_noticed(fresh, 1, 1, 0, 1, 1, by=OPEN_ACCESS)
    assert await is_noticed(fresh, 1, 1, 0, 1, 1)


async def mean(store: Store) -> float | None:
    found = await store.feedback_sums(MetricsQuery(where=NO_FILTER, from_us=0, to_us=END_OF_TIME_US))
    sums = found[GroupKey()]
    return sums.weighted_score / sums.weight


async def test_rescaled_grades_count_as_thumbs_and_keep_everything_else(
    store: Store, core: FeedbackService
) -> None:
    await store.append([exchange()])
    good, bad, _ = await give(core, 1, 0, 1)
    await core.revise(bad.feedback_id, change(weight=0.5), APP, "test")
    assert await mean(store) == pytest.approx(0.08)
    before = await store.feedback_by_ids([good.feedback_id, bad.feedback_id])

    assert await rescale_grades(store, NO_FILTER, thumb_scale, is_dry=True) == (3, 3)
    assert await store.feedback_by_ids([good.feedback_id, bad.feedback_id]) == before
    assert await rescale_grades(store, NO_FILTER, thumb_scale) == (3, 3)

    after = await store.feedback_by_ids([good.feedback_id, bad.feedback_id])
    assert after == [
        replace(entry, score=score, version=entry.version + 1)
        for entry, score in zip(before, (1.0, -1.0), strict=True)
    ]
    assert [each.score for each in await store.history(bad.feedback_id)] == [0, 0, -1]
    assert await mean(store) == pytest.approx(0.6)
    assert await rescale_grades(store, NO_FILTER, thumb_scale) == (3, 0)
    assert await rescale_grades(store, NO_FILTER, signed_scale) == (3, 3)
    assert await mean(store) == pytest.approx(0.08)


async def test_only_grades_are_rescaled_of_whom_was_meant_and_none_that_was_withdrawn(
    store: Store, core: FeedbackService
) -> None:
    await give(core, 1, by=OPEN_ACCESS)
    [withdrawn] = await give(core, 1)
    await core.withdraw(withdrawn.feedback_id, APP, "test")
    for scale, values in ((thumb_scale, (1.0, 0.0)), (star_scale, (1.0, 5.0, 3.75)), (signed_scale, (1.0,))):
        await core.give([vote(value=value, scale=scale) for value in values], APP, dialect="test")

    assert await rescale_grades(store, Comparison("key_name", Op.EQ, "app"), thumb_scale) == (1, 1)
    assert await rescale_grades(store, NO_FILTER, thumb_scale) == (2, 1)


async def test_every_grade_is_found_however_many_were_given_at_one_moment(
    store: Store, core: FeedbackService
) -> None:
    for _ in range(2):
        await give(core, *([1] * 700))

    assert await rescale_grades(store, NO_FILTER, thumb_scale) == (1400, 1400)


class _Rival:
    """A store in which another changes an entry just before the first write."""

    def __init__(self, store: Store, core: FeedbackService, feedback_id: str) -> None:
        self._store, self._core, self._feedback_id = store, core, feedback_id
        self.find_feedback, self.feedback_by_ids = store.find_feedback, store.feedback_by_ids
        self._is_first = True

    async def put_feedback(self, entries: Sequence[Feedback]) -> None:
        if self._is_first:
            self._is_first = False
            await self._core.revise(self._feedback_id, change(0.0), APP, "test")
        await self._store.put_feedback(entries)


async def test_a_change_that_comes_in_between_is_kept(store: Store, core: FeedbackService) -> None:
    [entry] = await give(core, 1)
    rival: FeedbackStore = _Rival(store, core, entry.feedback_id)  # type: ignore[assignment]

    await rescale_grades(rival, NO_FILTER, thumb_scale)

    history = await store.history(entry.feedback_id)
    assert [(each.value, each.score) for each in history] == [(1, 0.1), (0, 0), (0, -1)]
