"""Weighted feedback of a request: the mean of grade × weight of what was said of it, its trace and its session."""

from __future__ import annotations

import pytest

from gateway.models.feedback import Target
from gateway.models.filters import Comparison, Op
from gateway.store.base import Store
from tests.store.samples import exchange, feedback, requests_of


async def weighing(store: Store, op: Op, value: float | None, tenant: str | None = None) -> list[str]:
    rows = await requests_of(store, Comparison("weighted_feedback", op, value), tenant=tenant)
    return [row.request_id for row in rows]


@pytest.fixture(autouse=True)
async def rows(store: Store) -> None:
    await store.append([exchange("liked"), exchange("mixed"), exchange("silent")])
    entries = {"a": ("liked", 8.0, 0.5), "b": ("mixed", 10.0, 1.0), "c": ("mixed", -4.0, 0.5)}
    await store.put_feedback(
        [
            feedback(name, subject, grade=grade, weight=weight, target=Target.REQUEST)
            for name, (subject, grade, weight) in entries.items()
        ]
    )


async def test_requests_are_found_by_the_mean_of_what_was_said_of_them(store: Store) -> None:
    # 8 × 0.5 is 4, and so is the mean of 10 and -2.
    assert await weighing(store, Op.EQ, 4) == ["liked", "mixed"]
    assert await weighing(store, Op.GT, 4) == []
    assert await weighing(store, Op.EQ, None) == ["silent"]


async def test_what_is_said_of_a_trace_or_a_session_weighs_on_each_request_and_counts_for_its_last(
    store: Store,
) -> None:
    in_chat = {"_session": "chat"}
    await store.append([exchange("first", "trace-2"), exchange("last", "trace-2", metadata=in_chat)])
    await store.append([exchange("next", "trace-3", metadata=in_chat)])
    await store.put_feedback([feedback("f", "trace-2", grade=7.0), feedback("g", "chat", grade=3.0)])
    assert await weighing(store, Op.EQ, 7) == ["first"]
    assert await weighing(store, Op.EQ, 5) == ["last"]
    assert await weighing(store, Op.EQ, 3) == ["next"]
    counted = {mean: await requests_of(store, Comparison("weighted_verdict", Op.EQ, mean)) for mean in (7, 3)}
    assert {mean: [row.request_id for row in rows] for mean, rows in counted.items()} == {
        7: ["last"],
        3: ["next"],
    }


async def test_what_was_deleted_or_has_no_grade_does_not_count(store: Store) -> None:
    await store.put_feedback(
        [
            feedback("d", "mixed", grade=None, target=Target.REQUEST),
            feedback("e", "mixed", grade=-10.0, target=Target.REQUEST, deleted_at_us=5),
        ]
    )
    assert await weighing(store, Op.EQ, 4) == ["liked", "mixed"]
