"""Standing votes by several ids of a request, from several callers, before it is logged and after: one entry."""

from __future__ import annotations

import asyncio

import pytest

from gateway.feedback import rules
from gateway.feedback.payloads import thumb_feedback
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback
from gateway.models.filters import NO_FILTER, Comparison, Op, Page, Sort
from gateway.models.principal import OPEN_ACCESS, Principal
from gateway.models.request import Facts
from gateway.query.requests import RequestReader
from gateway.store.base import Store

from .samples import NORTH, exchange


async def rate(store: Store, any_id: str, value: float = 1, principal: Principal = NORTH) -> Feedback:
    """Rate a request as Ann, by an id of it."""
    thumb = thumb_feedback(any_id, is_up=value > 0, author="ann", raw="{}")
    [entry] = await FeedbackService(store).give([thumb], principal, dialect="test", rule=rules.upsert)
    return entry


async def log(store: Store, request_id: str = "request-1", trace_id: str = "trace-1") -> int:
    """Log a request of the tenant north."""
    [seq] = await store.append([exchange(request_id, trace_id, tenant="north")])
    return seq


async def interpret(store: Store, seq: int, response_id: str = "chatcmpl-1") -> None:
    await store.annotate([(seq, Facts(response_id=response_id))], at_us=5)


async def live(store: Store) -> list[Feedback]:
    return await store.find_feedback(NO_FILTER, Sort(descending=False), Page(), None)


async def shown(store: Store, any_id: str) -> bool | None:
    """Whether the rating that a reader sees of a request is a thumb up."""
    rating = (await RequestReader(store).show_rated(any_id, None)).rating
    return None if rating is None else rating.value == 1


async def test_any_id_of_a_logged_request_leads_to_the_same_entry(store: Store) -> None:
    await interpret(store, await log(store))

    await rate(store, "request-1", 1)
    await rate(store, "chatcmpl-1", -1)
    await rate(store, "request-1", 1, OPEN_ACCESS)
    last = await rate(store, "chatcmpl-1", -1, OPEN_ACCESS)

    assert await live(store) == [last]
    assert (last.version, last.tenant, last.request_id) == (4, "north", "request-1")
    history = await store.history(last.feedback_id)
    assert [entry.value for entry in history] == [1, -1, 1, -1]
    assert [entry.subject_id for entry in history] == ["request-1", "chatcmpl-1"] * 2


@pytest.mark.parametrize("voter", [NORTH, OPEN_ACCESS], ids=["tenant", "no tenant"])
@pytest.mark.parametrize("early_id", ["request-1", "chatcmpl-1"])
@pytest.mark.parametrize("later_id", ["request-1", "chatcmpl-1"])
async def test_feedback_before_its_request_and_one_after_it_is_the_same_entry(
    store: Store, voter: Principal, early_id: str, later_id: str
) -> None:
    early = await rate(store, early_id, 1, voter)
    await interpret(store, await log(store))

    later = await rate(store, later_id, -1)

    assert await live(store) == [later]
    assert (later.feedback_id, later.version) == (early.feedback_id, 2)
    assert (later.tenant, later.trace_id, later.request_id) == ("north", "trace-1", "request-1")


async def test_feedback_by_all_ids_and_callers_at_once_is_one_entry(store: Store) -> None:
    await interpret(store, await log(store))

    await asyncio.gather(
        *(
            rate(store, any_id, value, voter)
            for any_id in ("request-1", "chatcmpl-1")
            for value in (1, -1)
            for voter in (NORTH, OPEN_ACCESS)
            for _ in range(3)
        )
    )

    [entry] = await live(store)
    assert [version.version for version in await store.history(entry.feedback_id)] == list(range(1, 25))


async def test_feedback_by_two_ids_before_the_request_is_one_entry_once_the_author_gives_it_again(
    store: Store,
) -> None:
    first = await rate(store, "request-1", 1)
    second = await rate(store, "chatcmpl-1", -1)
    await interpret(store, await log(store))
    assert {entry.feedback_id for entry in await live(store)} == {first.feedback_id, second.feedback_id}
    assert await shown(store, "request-1") is False

    third = await rate(store, "request-1", 1)

    assert await live(store) == [third]
    assert (third.feedback_id, third.version) == (second.feedback_id, 2)
    assert await shown(store, "request-1") is True
    replaced = await store.history(first.feedback_id)
    assert [(entry.version, entry.deleted_at_us is None) for entry in replaced] == [(1, True), (2, False)]


async def test_feedback_after_all_were_withdrawn_stands_alone(core: FeedbackService, store: Store) -> None:
    for any_id in ("request-1", "chatcmpl-1"):
        await rate(store, any_id)
    await interpret(store, await log(store))
    for entry in await live(store):
        await core.withdraw(entry.feedback_id, OPEN_ACCESS, "test")
    assert await shown(store, "request-1") is None

    last = await rate(store, "chatcmpl-1", -1)

    assert await live(store) == [last]
    assert (last.version, await shown(store, "request-1")) == (3, False)


async def test_requests_that_share_an_id_are_rated_apart_by_their_response_ids(store: Store) -> None:
    for number in (1, 2):
        await interpret(store, await log(store, "same", f"trace-{number}"), f"chatcmpl-{number}")

    await rate(store, "chatcmpl-1", 1)
    await rate(store, "chatcmpl-2", -1)

    assert len(await live(store)) == 2
    assert [await shown(store, f"chatcmpl-{number}") for number in (1, 2)] == [True, False]
    for rating, trace_id in ((True, "trace-1"), (False, "trace-2")):
        where = Comparison("feedback.rating", Op.EQ, rating)
        found = await store.find_requests(where, Sort(), Page(), None)
        assert [record.trace_id for record in found] == [trace_id]


async def test_feedback_that_was_joined_to_something_else_is_left_there(store: Store) -> None:
    await rate(store, "x", 1)
    await interpret(store, await log(store, "other", "trace-1"), "x")
    await log(store, "x", "trace-2")

    await rate(store, "x", -1)

    assert [(entry.request_id, entry.value) for entry in await live(store)] == [("other", 1), ("x", -1)]
