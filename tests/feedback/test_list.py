"""Finding, withdrawing and looking back."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import NotFound
from gateway.feedback.service import FeedbackService
from gateway.models.filters import NO_FILTER, Comparison, Op, Page, Sort
from gateway.models.ids import new_id
from gateway.models.principal import OPEN_ACCESS, Principal
from gateway.store.base import Store

from .samples import APP, NORTH, SOUTH, change, vote

OLDEST_FIRST = Sort("created_at_us", descending=False)


async def give(core: FeedbackService, subject_id: str = "trace-1", principal: Principal = APP) -> str:
    [entry] = await core.give([vote(subject_id)], principal, dialect="test")
    return entry.feedback_id


async def found(
    core: FeedbackService, principal: Principal = OPEN_ACCESS, page: Page | None = None
) -> list[str]:
    entries = await core.find(NO_FILTER, OLDEST_FIRST, page or Page(), principal)
    return [entry.feedback_id for entry in entries]


async def test_what_matches_is_found_in_the_order_and_the_slice_asked_for(core: FeedbackService) -> None:
    ids = [await give(core, f"trace-{n}") for n in range(4)]

    assert await found(core) == ids
    assert await found(core, page=Page(limit=2, offset=1)) == ids[1:3]
    [entry] = await core.find(Comparison("trace_id", Op.EQ, "trace-2"), OLDEST_FIRST, Page(), OPEN_ACCESS)
    assert entry.feedback_id == ids[2]


async def test_the_latest_version_is_found(core: FeedbackService) -> None:
    feedback_id = await give(core)
    await core.revise(feedback_id, change(-3.0), APP, "test")

    [entry] = await core.find(Comparison("value", Op.EQ, -3.0), OLDEST_FIRST, Page(), OPEN_ACCESS)

    assert (entry.feedback_id, entry.version) == (feedback_id, 2)
    assert await core.find(Comparison("value", Op.EQ, 5.0), OLDEST_FIRST, Page(), OPEN_ACCESS) == []


async def test_a_tenant_finds_its_own_alone(core: FeedbackService) -> None:
    ids = [await give(core, principal=principal) for principal in (NORTH, SOUTH, APP)]

    assert await found(core, NORTH) == ids[:1]
    assert await found(core, SOUTH) == ids[1:2]
    assert await found(core, APP) == ids


async def test_a_withdrawn_entry_is_not_found_and_keeps_its_history(
    core: FeedbackService, store: Store
) -> None:
    feedback_id, other = await give(core), await give(core)
    await core.revise(feedback_id, change(1.0), APP, "test")

    withdrawn = await core.withdraw(feedback_id, OPEN_ACCESS, "other")

    assert await found(core) == [other]
    assert (withdrawn.version, withdrawn.dialect, withdrawn.key_name) == (3, "other", None)
    assert withdrawn.deleted_at_us is not None
    history = await core.history(feedback_id, APP)
    assert [entry.version for entry in history] == [1, 2, 3]
    assert [entry.deleted_at_us is None for entry in history] == [True, True, False]
    assert history[2] == withdrawn


async def test_a_withdrawn_entry_can_be_neither_revised_nor_withdrawn_again(core: FeedbackService) -> None:
    feedback_id = await give(core)
    await core.withdraw(feedback_id, APP, "test")

    with pytest.raises(NotFound):
        await core.withdraw(feedback_id, APP, "test")
    with pytest.raises(NotFound):
        await core.revise(feedback_id, change(1.0), APP, "test")
    assert len(await core.history(feedback_id, APP)) == 2


async def test_of_many_who_withdraw_an_entry_at_once_one_does(core: FeedbackService) -> None:
    feedback_id = await give(core)

    outcomes = await asyncio.gather(
        *(core.withdraw(feedback_id, APP, "test") for _ in range(10)), return_exceptions=True
    )

    assert sum(isinstance(outcome, NotFound) for outcome in outcomes) == 9
    assert len(await core.history(feedback_id, APP)) == 2


async def test_a_revision_that_races_with_a_withdrawal_does_not_bring_the_entry_back(
    core: FeedbackService,
) -> None:
    for _ in range(20):
        feedback_id = await give(core)
        await asyncio.gather(
            core.revise(feedback_id, change(1.0), APP, "test"),
            core.withdraw(feedback_id, APP, "test"),
            return_exceptions=True,
        )
        assert (await core.history(feedback_id, APP))[-1].deleted_at_us is not None


async def test_another_tenants_entry_can_be_neither_withdrawn_nor_looked_into(
    core: FeedbackService, store: Store
) -> None:
    foreign, tenantless, unknown = await give(core, principal=NORTH), await give(core), new_id()

    told = set()
    for feedback_id in (foreign, tenantless, unknown):
        for call in (core.withdraw(feedback_id, SOUTH, "test"), core.history(feedback_id, SOUTH)):
            with pytest.raises(NotFound) as caught:
                await call
            told.add(str(caught.value).replace(feedback_id, "ID"))

    assert len(told) == 1
    assert [entry.version for entry in await store.feedback_by_ids([foreign, tenantless])] == [1, 1]
    assert (await core.withdraw(foreign, NORTH, "test")).tenant == "north"
