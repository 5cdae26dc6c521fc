from __future__ import annotations

from gateway.models.filters import NO_FILTER, Comparison, Op
from gateway.query.feedback import FeedbackReader
from gateway.query.filters import FEEDBACK_FILTERS
from gateway.store.base import Store

from .conftest import MakeFeedback


async def test_pages_hold_each_entry_once_newest_first_while_entries_are_added(
    store: Store, make_feedback: MakeFeedback
) -> None:
    given = [
        make_feedback("trace", feedback_id=f"f{number}", created_at_us=number // 2) for number in range(7)
    ]
    await store.put_feedback(given)
    reader = FeedbackReader(store)
    seen: list[str] = []
    cursor = None
    while True:
        found = await reader.find(NO_FILTER, 2, cursor, None)
        seen += [entry.feedback_id for entry in found.entries]
        await store.put_feedback([make_feedback("trace", feedback_id=f"late{len(seen)}", created_at_us=100)])
        cursor = found.next_cursor
        if cursor is None:
            break
    # Of the same time, by id.
    assert seen == ["f6", "f4", "f5", "f2", "f3", "f0", "f1"]


async def test_a_key_of_metadata_that_no_entry_has_is_named(
    store: Store, make_feedback: MakeFeedback
) -> None:
    await store.put_feedback([make_feedback("trace", feedback_id="f", metadata={"plan": "free"})])
    reader = FeedbackReader(store)

    unknown = await reader.find(
        FEEDBACK_FILTERS.to_filter([("feedback.metadata.pan", "free")]), 2, None, None
    )
    known = await reader.find(FEEDBACK_FILTERS.to_filter([("feedback.metadata.plan", "paid")]), 2, None, None)

    assert (unknown.entries, unknown.unknown_keys) == ([], ("feedback.metadata.pan",))
    assert (known.entries, known.unknown_keys) == ([], ())


async def test_a_tenant_finds_its_own_entries_only(store: Store, make_feedback: MakeFeedback) -> None:
    await store.put_feedback(
        [
            make_feedback("trace", feedback_id="a", tenant="a"),
            make_feedback("trace", feedback_id="b", tenant="b"),
        ]
    )
    everything = Comparison("feedback_id", Op.NE, None)

    found = await FeedbackReader(store).find(everything, 10, None, "a")

    assert [entry.feedback_id for entry in found.entries] == ["a"]
