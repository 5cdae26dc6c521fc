"""Retries: the same call again answers the same and stores nothing more."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import Conflict, NotFound
from gateway.feedback.payloads import NewFeedback
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.ids import new_id
from gateway.models.principal import OPEN_ACCESS, Principal
from gateway.store.base import Store

from .samples import APP, NORTH, ROLES, SOUTH, change, exchange, vote


async def count(store: Store) -> int:
    return len(await store.find_feedback(NO_FILTER, Sort(), Page(limit=10_000), None))


async def give(
    core: FeedbackService, *votes: NewFeedback, principal: Principal = APP, key: str | None = None
) -> list[str]:
    return ids_of(await core.give(votes, principal, dialect="test", idempotency_key=key))


def ids_of(entries: list[Feedback]) -> list[str]:
    return [entry.feedback_id for entry in entries]


async def test_a_retry_under_the_same_key_gets_the_same_ids_and_makes_no_entry(
    core: FeedbackService, store: Store
) -> None:
    first = await give(core, vote("a"), vote("b"), key="k")

    assert await give(core, vote("a"), vote("b"), key="k") == first
    assert await count(store) == 2


async def test_the_order_of_keys_in_the_json_does_not_make_another_call(core: FeedbackService) -> None:
    first = await give(core, replace(vote(), raw='{"a": 1, "b": [1, 2]}'), key="k")

    assert await give(core, replace(vote(), raw='{"b":[1,2],"a":1}'), key="k") == first


@pytest.mark.parametrize(
    "others",
    [
        [vote("a", 4.0), vote("b")],
        [vote("b"), vote("a")],
        [vote("a")],
        [vote("a"), vote("b"), vote("b")],
        [vote("a", metadata={"x": 1}), vote("b")],
    ],
    ids=["value", "order", "fewer", "more", "metadata"],
)
async def test_another_call_under_a_used_key_is_refused_and_stores_nothing(
    core: FeedbackService, store: Store, others: list[NewFeedback]
) -> None:
    await give(core, vote("a"), vote("b"), key="k")

    with pytest.raises(Conflict, match="Idempotency-Key"):
        await give(core, *others, key="k")

    assert await count(store) == 2


async def test_the_same_json_about_something_else_is_another_call(core: FeedbackService) -> None:
    await give(core, replace(vote("a"), raw='{"rating": true}'), key="k")

    with pytest.raises(Conflict):
        await give(core, replace(vote("b"), raw='{"rating": true}'), key="k")


async def test_callers_with_the_same_key_do_not_meet(core: FeedbackService, store: Store) -> None:
    callers = [
        APP,
        OPEN_ACCESS,
        NORTH,
        SOUTH,
        Principal("other", ROLES),
        Principal("north", ROLES, tenant="south"),
    ]

    ids = [await give(core, vote(), principal=caller, key="k") for caller in callers]
    ids.append(ids_of(await core.give([vote()], APP, dialect="other", idempotency_key="k")))

    assert len({feedback_id for [feedback_id] in ids}) == len(callers) + 1
    assert await count(store) == len(callers) + 1


async def test_twenty_equal_calls_at_once_make_one_entry(core: FeedbackService, store: Store) -> None:
    replies = await asyncio.gather(*(give(core, vote("a"), vote("b"), key="k") for _ in range(20)))

    assert len({tuple(ids) for ids in replies}) == 1
    assert await count(store) == 2


async def test_of_different_calls_at_once_under_one_key_one_is_carried_out(
    core: FeedbackService, store: Store
) -> None:
    replies = await asyncio.gather(
        *(give(core, vote(f"trace-{n}"), key="k") for n in range(10)), return_exceptions=True
    )

    assert sum(isinstance(reply, list) for reply in replies) == 1
    assert sum(isinstance(reply, Conflict) for reply in replies) == 9
    assert await count(store) == 1


async def test_without_a_key_equal_calls_are_entries_of_their_own(
    core: FeedbackService, store: Store
) -> None:
    await give(core, vote())
    await give(core, vote())

    assert await count(store) == 2


async def test_a_retried_revision_makes_one_version(core: FeedbackService, store: Store) -> None:
    [feedback_id] = await give(core, vote())

    for _ in range(3):
        entry = await core.revise(feedback_id, change(1.0), APP, "test", idempotency_key="k")
        assert (entry.version, entry.value) == (2, 1.0)

    assert len(await store.history(feedback_id)) == 2


async def test_equal_revisions_at_once_under_one_key_make_one_version(
    core: FeedbackService, store: Store
) -> None:
    [feedback_id] = await give(core, vote())

    await asyncio.gather(
        *(core.revise(feedback_id, change(1.0), APP, "test", idempotency_key="k") for _ in range(20))
    )

    assert len(await store.history(feedback_id)) == 2


async def test_a_key_used_for_the_revision_of_one_entry_is_refused_for_another(
    core: FeedbackService, store: Store
) -> None:
    one, other = await give(core, vote(), vote())
    await core.revise(one, change(1.0), APP, "test", idempotency_key="k")

    with pytest.raises(Conflict):
        await core.revise(other, change(1.0), APP, "test", idempotency_key="k")
    with pytest.raises(Conflict):
        await core.revise(one, change(2.0), APP, "test", idempotency_key="k")

    assert len(await store.history(one)) == 2
    assert len(await store.history(other)) == 1


async def test_giving_and_revising_may_use_the_same_key(core: FeedbackService) -> None:
    [feedback_id] = await give(core, vote(), key="k")

    assert (await core.revise(feedback_id, change(1.0), APP, "test", idempotency_key="k")).version == 2


async def test_an_authors_own_id_is_the_entrys_and_a_retry_makes_no_other(
    core: FeedbackService, store: Store
) -> None:
    own = new_id()

    assert await give(core, vote(feedback_id=own)) == [own]
    assert await give(core, vote(feedback_id=own)) == [own]
    assert await count(store) == 1


async def test_a_used_id_with_other_content_is_refused_with_the_whole_bulk(
    core: FeedbackService, store: Store
) -> None:
    own = new_id()
    await give(core, vote(feedback_id=own))

    with pytest.raises(Conflict, match=own):
        await give(core, vote("another"), vote(value=-1.0, feedback_id=own))

    assert await count(store) == 1
    assert [entry.value for entry in await store.feedback_by_ids([own])] == [5.0]


async def test_a_retry_by_id_is_known_even_after_a_revision(core: FeedbackService, store: Store) -> None:
    own = new_id()
    await give(core, vote(feedback_id=own))
    await core.revise(own, change(-3.0), APP, "test")

    assert await give(core, vote(feedback_id=own)) == [own]
    assert [entry.value for entry in await store.history(own)] == [5.0, -3.0]


async def test_a_retry_by_id_is_known_even_after_its_request_appeared(
    core: FeedbackService, store: Store
) -> None:
    own = new_id()
    await give(core, vote("request-1", feedback_id=own))
    await store.append([exchange("request-1", "trace-1", tenant="north")])

    assert await give(core, vote("request-1", feedback_id=own)) == [own]


async def test_tenants_may_use_the_same_id_and_learn_nothing_of_each_other_by_it(
    core: FeedbackService, store: Store
) -> None:
    own, unused = new_id(), new_id()
    [norths] = await give(core, vote(feedback_id=own), principal=NORTH)

    for each in (own, unused):
        [souths] = await give(core, vote(value=1.0, feedback_id=each), principal=SOUTH)
        assert souths not in (each, norths)
        assert await give(core, vote(value=1.0, feedback_id=each), principal=SOUTH) == [souths]
        assert await give(core, vote(value=1.0, feedback_id=souths), principal=SOUTH) == [souths]
    assert await give(core, vote(feedback_id=own), principal=NORTH) == [norths]
    with pytest.raises(Conflict, match=own):
        await give(core, vote(value=-1.0, feedback_id=own), principal=SOUTH)


async def test_an_entry_of_a_tenant_is_changed_by_its_own_id_or_by_the_one_that_was_chosen(
    core: FeedbackService, store: Store
) -> None:
    own = new_id()
    [stored] = await give(core, vote(feedback_id=own), principal=NORTH)

    for number, feedback_id in enumerate((own, stored), start=2):
        revised = await core.revise(feedback_id, change(1.0), NORTH, "test")
        assert (revised.feedback_id, revised.version) == (stored, number)
    assert await give(core, vote(feedback_id=own), principal=NORTH) == [stored]
    assert len(await core.history(own, NORTH)) == 3
    with pytest.raises(NotFound):
        await core.history(own, SOUTH)
    await core.remove(own, NORTH, "test")
    assert await count(store) == 0


async def test_an_entry_that_was_stored_under_the_chosen_id_itself_is_known_again(
    core: FeedbackService, store: Store
) -> None:
    own = new_id()
    [given] = await give(core, vote(feedback_id=own), principal=NORTH)
    [entry] = await store.feedback_by_ids([given])
    await store.remove_feedback(given)
    await store.put_feedback([replace(entry, feedback_id=own)])

    assert await give(core, vote(feedback_id=own), principal=NORTH) == [own]
    assert await count(store) == 1


async def test_an_id_twice_in_one_call_is_one_entry_if_it_says_the_same(
    core: FeedbackService, store: Store
) -> None:
    own, other = new_id(), new_id()

    assert await give(core, vote(feedback_id=own), vote(feedback_id=own)) == [own, own]
    assert await count(store) == 1
    with pytest.raises(Conflict):
        await give(core, vote(feedback_id=other), vote(value=1.0, feedback_id=other))
    assert await count(store) == 1


async def test_twenty_calls_at_once_with_one_id_make_one_entry(core: FeedbackService, store: Store) -> None:
    own = new_id()

    replies = await asyncio.gather(*(give(core, vote(feedback_id=own)) for _ in range(20)))

    assert replies == [[own]] * 20
    assert await count(store) == 1


async def test_a_key_and_an_own_id_together_make_one_entry(core: FeedbackService, store: Store) -> None:
    own = new_id()
    await give(core, vote(feedback_id=own))

    assert await give(core, vote(feedback_id=own), key="k") == [own]
    assert await give(core, vote(feedback_id=own), key="k") == [own]
    assert await count(store) == 1
