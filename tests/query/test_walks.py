"""Lists within a time limit show each match once, in order, over however many pages."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.models.filters import AllOf, Comparison, Filter, Op
from gateway.models.metrics import DAY_US
from gateway.query import requests
from gateway.query.feedback import FeedbackCursor, FeedbackReader
from gateway.query.requests import RequestReader
from gateway.store.base import Store

from .conftest import MakeExchange, MakeFeedback

ROWS = 40
LIMIT = 4


async def test_requests_are_walked_back_step_by_step(
    store: Store, make_exchange: MakeExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "_FIRST_STEP", 7)
    await store.append([make_exchange(f"t{number}", status=200 + number % 3) for number in range(ROWS)])
    reader = RequestReader(store)
    where = Comparison("status", Op.EQ, 200)
    whole = await reader.find(where, ROWS, None, None)

    seen: list[int] = []
    pages, cursor = 0, None
    while True:
        # No time at all: each page is the first step of its walk.
        page = await reader.find(where, LIMIT, cursor, None, 0.0)
        seen += [record.seq for record in page.records]
        pages, cursor = pages + 1, page.next_cursor
        assert len(page.records) == LIMIT or page.searched_from_us is not None or cursor is None
        if cursor is None:
            break

    assert seen == [record.seq for record in whole.records]
    assert pages > ROWS // 3 // LIMIT
    assert (await reader.find(where, LIMIT, None, None, 60.0)).records == whole.records[:LIMIT]


@pytest.mark.parametrize("where", [AllOf(), Comparison("created_at_us", Op.GE, 3 * DAY_US)])
async def test_feedback_is_walked_back_step_by_step(
    store: Store, make_feedback: MakeFeedback, where: Filter
) -> None:
    # Several entries of one time stand where one step ends and the next begins.
    times = [number // 3 * DAY_US // 8 for number in range(ROWS * 3)]
    entries = [
        replace(make_feedback("trace", feedback_id=f"f{number:03}"), created_at_us=at_us, updated_at_us=at_us)
        for number, at_us in enumerate(times)
    ]
    await store.put_feedback(entries)
    reader = FeedbackReader(store)
    whole = await reader.find(where, len(entries), None, None)

    seen: list[str] = []
    cursor: FeedbackCursor | None = None
    while True:
        page = await reader.find(where, LIMIT, cursor, None, 0.0)
        seen += [entry.feedback_id for entry in page.entries]
        cursor = page.next_cursor
        if cursor is None:
            break

    assert seen == [entry.feedback_id for entry in whole.entries]
