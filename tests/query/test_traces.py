from __future__ import annotations

import pytest

from gateway.errors import NotFound
from gateway.models.feedback import Target
from gateway.query.groups import TraceReader
from gateway.store.base import Store

from .conftest import MakeExchange, MakeFeedback


async def test_requests_come_in_the_order_they_started_not_the_one_they_ended(
    store: Store, make_exchange: MakeExchange
) -> None:
    await store.append([make_exchange(f"at {start}", "t", started_at_us=start) for start in (30, 10, 20)])
    trace = await TraceReader(store).show("t", None)
    assert [record.request_id for record in trace.requests] == ["at 10", "at 20", "at 30"]


async def test_the_score_weighs_feedback_on_the_trace_and_on_its_requests(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange("r", "t"), make_exchange("other", "other trace")])
    await store.put_feedback(
        [
            make_feedback("t", trace_id="t", score=1.0, weight=0.5),
            make_feedback("r", target=Target.REQUEST, trace_id="t", request_id="r", score=-0.5, weight=1.0),
            make_feedback("t", trace_id="t", score=None, weight=1.0),
            make_feedback("t", trace_id="t", score=-1.0, weight=0.0),
            make_feedback("other trace", trace_id="other trace", score=-1.0),
        ]
    )
    score = (await TraceReader(store).show("t", None)).score
    assert (score.count, score.weighted_sum, score.total_weight) == (4, 0.0, 1.5)
    assert score.weighted_mean == 0.0


async def test_deleted_feedback_no_longer_counts(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    kept = make_feedback("t", trace_id="t", score=1.0)
    await store.append([make_exchange("r", "t")])
    await store.put_feedback([kept, make_feedback("t", trace_id="t", score=-1.0, deleted_at_us=5)])
    trace = await TraceReader(store).show("t", None)
    assert [entry.feedback_id for entry in trace.feedback] == [kept.feedback_id]
    assert trace.score.weighted_mean == 1.0


async def test_a_trace_with_feedback_alone_is_shown_and_one_with_nothing_is_not(
    store: Store, make_feedback: MakeFeedback
) -> None:
    await store.put_feedback([make_feedback("early", trace_id="early", score=1.0)])
    trace = await TraceReader(store).show("early", None)
    assert (trace.requests, len(trace.feedback)) == ((), 1)
    with pytest.raises(NotFound):
        await TraceReader(store).show("never", None)


async def test_a_tenant_sees_its_own_part_of_a_trace_alone(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange("a1", "t", tenant="a"), make_exchange("b1", "t", tenant="b")])
    await store.put_feedback(
        [
            make_feedback("t", trace_id="t", tenant="a", score=1.0),
            make_feedback("t", trace_id="t", tenant="b", score=-1.0),
        ]
    )
    trace = await TraceReader(store).show("t", "a")
    assert [record.request_id for record in trace.requests] == ["a1"]
    assert (trace.score.count, trace.score.weighted_mean) == (1, 1.0)
    with pytest.raises(NotFound):
        await TraceReader(store).show("t", "c")
