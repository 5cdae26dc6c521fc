"""Giving and revising: what is kept, in which order, by whom it may be changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from gateway.errors import Conflict, NotFound, StoreUnavailable
from gateway.feedback.payloads import NewFeedback, thumb_scale
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback, Receipt, Source
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.ids import new_id
from gateway.models.principal import OPEN_ACCESS, Principal
from gateway.store.base import Store

from .samples import APP, NORTH, SOUTH, change, exchange, vote


async def give(core: FeedbackService, given: NewFeedback, principal: Principal = APP) -> str:
    [entry] = await core.give([given], principal, dialect="test")
    return entry.feedback_id


async def latest(store: Store, feedback_id: str) -> Feedback:
    [entry] = await store.feedback_by_ids([feedback_id])
    return entry


async def everything(store: Store) -> list[Feedback]:
    return await store.find_feedback(NO_FILTER, Sort(), Page(limit=10_000), None)


async def test_what_is_given_is_what_is_kept(core: FeedbackService, store: Store) -> None:
    given = NewFeedback(
        subject_id="trace-1",
        metric="tone",
        value=-7.0,
        weight=0.1,
        grade=-7.0,
        label="rude",
        comment="no thanks",
        original_text="a",
        edited_text="b",
        author="ann",
        app_id="shop",
        app_version="1.2",
        source=Source.MODEL,
        metadata={"plan": "gold", "deep": {"list": [1, 2.5, None, True, "é"]}},
        raw='{"any":"thing"}',
    )

    entry = await latest(store, await give(core, given))

    names = NewFeedback.__dataclass_fields__.keys() - {"scale", "subject", "subject_field"}
    kept = {name: getattr(entry, name) for name in names}
    sent = {name: getattr(given, name) for name in kept}
    assert kept == sent | {"feedback_id": entry.feedback_id}
    assert (entry.version, entry.score, entry.dialect, entry.key_name) == (1, -0.7, "test", "app")
    assert entry.created_at_us == entry.updated_at_us
    assert entry.deleted_at_us is None


async def test_an_id_is_made_for_each_entry_and_returned_in_its_order(
    core: FeedbackService, store: Store
) -> None:
    votes = [vote(f"trace-{n % 7}", float(n % 10)) for n in range(200)]

    ids = [entry.feedback_id for entry in await core.give(votes, APP, dialect="test")]

    assert {UUID(feedback_id).version for feedback_id in ids} == {7}
    assert len(set(ids)) == 200
    entries = await store.feedback_by_ids(ids)
    assert [(entry.subject_id, entry.value) for entry in entries] == [
        (given.subject_id, given.value) for given in votes
    ]


async def test_the_scale_makes_the_score_and_leaves_the_value_alone(
    core: FeedbackService, store: Store
) -> None:
    entry = await latest(store, await give(core, vote(value=0.0, scale=thumb_scale)))
    valueless = await latest(store, await give(core, vote(value=None, scale=thumb_scale)))

    assert (entry.value, entry.score) == (0.0, -1.0)
    assert (valueless.value, valueless.score) == (None, None)


async def test_feedback_on_one_trace_is_all_kept(core: FeedbackService, store: Store) -> None:
    for _ in range(3):
        await give(core, vote())

    assert len(await everything(store)) == 3


async def test_a_revision_changes_what_it_names_and_nothing_else(core: FeedbackService, store: Store) -> None:
    feedback_id = await give(core, vote(value=5.0, weight=0.5, metadata={"a": 1}))
    first = await latest(store, feedback_id)

    revised = await core.revise(feedback_id, change(weight=0.25), APP, "other")

    assert revised == await latest(store, feedback_id)
    assert revised == replace(
        first,
        version=2,
        weight=0.25,
        raw=revised.raw,
        dialect="other",
        updated_at_us=revised.updated_at_us,
    )
    assert revised.updated_at_us >= first.updated_at_us


async def test_a_revised_value_gets_a_new_score_and_metadata_is_replaced_whole(core: FeedbackService) -> None:
    feedback_id = await give(core, vote(value=5.0, metadata={"a": 1, "b": 2}))

    revised = await core.revise(feedback_id, change(0.0, metadata={"c": 3}, scale=thumb_scale), APP, "test")

    assert (revised.value, revised.score, revised.metadata) == (0.0, -1.0, {"c": 3})


async def test_every_version_stays_in_the_history(core: FeedbackService, store: Store) -> None:
    feedback_id = await give(core, vote(value=1.0))
    await core.revise(feedback_id, change(2.0), APP, "test")
    await core.revise(feedback_id, change(weight=0.5), APP, "test")

    history = await store.history(feedback_id)

    assert [(entry.version, entry.value, entry.weight) for entry in history] == [
        (1, 1.0, 1.0),
        (2, 2.0, 1.0),
        (3, 2.0, 0.5),
    ]
    assert len(await everything(store)) == 1


async def test_revisions_at_the_same_time_each_become_a_version(core: FeedbackService, store: Store) -> None:
    feedback_id = await give(core, vote(value=0.0))
    changes = [change(float(n % 11), metadata={"n": n}) for n in range(30)]

    await asyncio.gather(*(core.revise(feedback_id, each, APP, "test") for each in changes))

    history = await store.history(feedback_id)
    assert [entry.version for entry in history] == list(range(1, 32))
    assert sorted(entry.raw for entry in history[1:]) == sorted(each.raw for each in changes)


async def test_changes_of_different_fields_at_the_same_time_are_all_in_the_last_version(
    core: FeedbackService, store: Store
) -> None:
    feedback_id = await give(core, vote(value=1.0, weight=1.0, metadata={}))

    await asyncio.gather(
        core.revise(feedback_id, change(9.0), APP, "test"),
        core.revise(feedback_id, change(weight=0.5), APP, "test"),
        core.revise(feedback_id, change(metadata={"a": 1}), APP, "test"),
    )

    entry = await latest(store, feedback_id)
    assert (entry.version, entry.value, entry.weight, entry.metadata) == (4, 9.0, 0.5, {"a": 1})


async def test_a_join_is_not_undone_by_a_revision_at_the_same_time(
    core: FeedbackService, store: Store
) -> None:
    for n in range(20):
        feedback_id = await give(core, vote(f"trace-{n}"))
        await asyncio.gather(
            core.revise(feedback_id, change(1.0), APP, "test"),
            store.append([exchange(f"request-{n}", f"trace-{n}")]),
        )
        entry = await latest(store, feedback_id)
        assert (entry.version, entry.joined_at_us is not None) == (2, True)


async def test_a_deleted_entry_cannot_be_revised(core: FeedbackService, store: Store) -> None:
    feedback_id = await give(core, vote())
    entry = await latest(store, feedback_id)
    await store.put_feedback([replace(entry, version=2, deleted_at_us=entry.created_at_us + 1)])

    with pytest.raises(NotFound):
        await core.revise(feedback_id, change(1.0), APP, "test")

    assert len(await store.history(feedback_id)) == 2


async def test_another_tenants_entry_looks_like_one_that_does_not_exist(
    core: FeedbackService, store: Store
) -> None:
    foreign, tenantless = await give(core, vote(), NORTH), await give(core, vote(), APP)
    unknown = new_id()

    told = []
    for feedback_id in (foreign, tenantless, unknown):
        with pytest.raises(NotFound) as caught:
            await core.revise(feedback_id, change(1.0), SOUTH, "test")
        told.append(str(caught.value).replace(feedback_id, "ID"))

    assert len(set(told)) == 1
    assert (await latest(store, foreign)).version == 1


async def test_a_tenant_revises_its_own_and_a_caller_without_tenant_revises_all(
    core: FeedbackService,
) -> None:
    feedback_id = await give(core, vote(), NORTH)

    assert (await core.revise(feedback_id, change(1.0), NORTH, "test")).version == 2
    revised = await core.revise(feedback_id, change(2.0), OPEN_ACCESS, "test")
    assert (revised.version, revised.tenant) == (3, "north")


async def test_a_write_that_never_gets_its_turn_can_be_sent_again(
    core: FeedbackService, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def come_second(entries: Sequence[Feedback], receipt: Receipt | None = None) -> None:
        raise Conflict("somebody else came first.")

    feedback_id = await give(core, vote())
    monkeypatch.setattr(store, "put_feedback", come_second)

    with pytest.raises(StoreUnavailable):
        await give(core, vote())
    with pytest.raises(StoreUnavailable):
        await core.revise(feedback_id, change(1.0), APP, "test")
