"""Orders: one column or several, page by page, or none at all."""

from __future__ import annotations

from typing import Any

import pytest

from .reference import SORTED_BY, in_order
from .samples import ROWS, Rows
from .served import Served

ORDERS: list[dict[str, Any]] = [
    *({column: direction} for column in SORTED_BY for direction in ("asc", "desc")),
    {"properties": {"plan": "desc"}},
    {"created_at": "desc", "latency": "asc"},
    {"latency": "asc", "created_at": "desc"},
    {"is_cached": "desc", "properties": {"plan": "asc", "a.b": "desc"}, "cost_usd": "asc", "user_id": "desc"},
]


async def test_rows_come_in_the_order_asked_for_and_page_by_page(served: Served, rows: Rows) -> None:
    for order in ORDERS:
        pages = [await served.ids(sort=order, offset=offset, limit=20) for offset in (0, 20, 40, 60)]
        found = [request_id for page in pages for request_id in page]
        assert found == [row["request_id"] for row in in_order(rows, order)], order


async def test_of_several_columns_the_first_one_given_comes_first(served: Served) -> None:
    for name, start_s, latency_ms in (("a", 1, 20), ("b", 2, 20), ("c", 2, 10), ("d", 1, 10)):
        start_us = start_s * 1_000_000
        await served.log(name, started_at_us=start_us, ended_at_us=start_us + latency_ms * 1000)

    assert await served.ids(sort={"created_at": "desc", "latency": "asc"}) == ["c", "b", "d", "a"]
    assert await served.ids(sort={"latency": "asc", "created_at": "desc"}) == ["c", "d", "b", "a"]


@pytest.mark.usefixtures("rows")
async def test_rows_that_have_no_value_come_first(served: Served) -> None:
    found = await served.query(sort={"properties": {"plan": "asc"}}, limit=1000)
    plans = [row["properties"].get("plan", row["properties"].get("Plan")) for row in found]
    given = sorted(plan for plan in plans if plan is not None)

    assert 0 < len(given) < ROWS
    assert plans == [None] * (ROWS - len(given)) + given


async def test_rows_come_in_another_order_each_time(served: Served, rows: Rows) -> None:
    orders = [await served.ids(sort={"random": True}, limit=1000) for _ in range(3)]

    assert [sorted(ids) for ids in orders] == [sorted(row["request_id"] for row in rows)] * 3
    assert len({tuple(ids) for ids in orders}) > 1
