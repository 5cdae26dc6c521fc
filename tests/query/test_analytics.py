"""Analytics put what requests took beside what was said of them."""

from __future__ import annotations

from gateway.domain.aggregate import HOUR_US, Cell, Question
from gateway.query import Analytics
from gateway.store.base import Store
from tests.making import MakeExchange, MakeFeedback

START_US = 1_700_000_000_000_000 // HOUR_US * HOUR_US


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

    [b, a] = await Analytics(store).figures(Question(0, 2 * START_US, group_by="provider"))

    assert (b.cell, b.usage.requests, b.latencies) == (Cell(None, "b"), 2, {42: 2})
    assert (b.verdicts.entries, b.verdicts.judged_requests) == (1, 1)
    assert (a.cell, a.usage.requests, a.verdicts.entries) == (Cell(None, "a"), 1, 0)


async def test_parts_come_in_the_order_of_time(store: Store, make_exchange: MakeExchange) -> None:
    for hour in (2, 0, 1):
        start = START_US + hour * HOUR_US
        await store.append([make_exchange(started_at_us=start, ended_at_us=start)])
    parts = await Analytics(store).figures(Question(0, 2 * START_US, bucket_us=HOUR_US))
    assert [part.cell.starts_at_us for part in parts] == [START_US + hour * HOUR_US for hour in range(3)]
