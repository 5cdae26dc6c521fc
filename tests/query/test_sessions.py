from __future__ import annotations

import pytest

from gateway.errors import NotFound
from gateway.models.feedback import Target
from gateway.query.groups import SessionReader
from gateway.store.base import Store

from .conftest import MakeExchange, MakeFeedback

CHAT = {"_session": "chat"}


async def test_a_session_is_its_requests_in_order_over_all_its_traces(
    store: Store, make_exchange: MakeExchange
) -> None:
    await store.append(
        [
            make_exchange("third", "turn-2", metadata=CHAT, started_at_us=3),
            make_exchange("first", "turn-1", metadata=CHAT, started_at_us=1),
            make_exchange("elsewhere", "turn-1", metadata={"_session": "other"}, started_at_us=1),
            make_exchange("second", "turn-1", metadata=CHAT, started_at_us=2),
        ]
    )
    session = await SessionReader(store).show("chat", None)
    assert [record.request_id for record in session.requests] == ["first", "second", "third"]
    assert session.trace_ids == ("turn-1", "turn-2")


async def test_what_was_said_of_its_traces_and_requests_is_its_score(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append([make_exchange("r1", "turn-1", metadata=CHAT), make_exchange("r2", "other")])
    await store.put_feedback(
        [
            make_feedback("turn-1", trace_id="turn-1", joined_at_us=1, score=1.0, created_at_us=1),
            make_feedback("r1", target=Target.REQUEST, score=0.0, weight=0.5, created_at_us=2),
            make_feedback("r2", target=Target.REQUEST, score=-1.0),
            make_feedback("turn-1", trace_id="turn-1", joined_at_us=1, score=-1.0, deleted_at_us=5),
        ]
    )
    session = await SessionReader(store).show("chat", None)
    assert [entry.subject_id for entry in session.feedback] == ["turn-1", "r1"]
    assert session.score.weighted_mean == pytest.approx(2 / 3)


async def test_a_tenant_sees_its_own_part_of_a_session_alone(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    await store.append(
        [
            make_exchange("mine", "t1", metadata=CHAT, tenant="a"),
            make_exchange("theirs", "t2", metadata=CHAT, tenant="b"),
        ]
    )
    await store.put_feedback([make_feedback("t2", tenant="b", score=1.0)])
    session = await SessionReader(store).show("chat", "a")
    assert ([record.request_id for record in session.requests], session.feedback) == (["mine"], ())
    with pytest.raises(NotFound, match="no session 'chat'"):
        await SessionReader(store).show("chat", "c")
