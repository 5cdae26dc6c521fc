"""Votes on an id that names several things: which ids those are, and what becomes of the votes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from gateway.errors import Ambiguous
from gateway.feedback import rules
from gateway.feedback.payloads import thumb_feedback
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Target
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.ids import new_id
from gateway.models.principal import OPEN_ACCESS, Principal
from gateway.models.request import Facts
from gateway.store.base import Store

from .samples import APP, NORTH, SOUTH, exchange, vote

Vote = Callable[[str, Principal], Awaitable[object]]


@pytest.fixture(params=["appended", "standing"])
def give(request: pytest.FixtureRequest, core: FeedbackService, store: Store) -> Vote:
    """Vote on a request by an id of it, in either of the ways there are."""

    async def append(any_id: str, principal: Principal) -> object:
        return await core.give([replace(vote(any_id), target=Target.REQUEST)], principal, dialect="test")

    async def stand(any_id: str, principal: Principal) -> object:
        thumb = thumb_feedback(any_id, is_up=True, raw="{}")
        return await core.give([thumb], principal, dialect="test", rule=rules.upsert)

    return append if request.param == "appended" else stand


async def answer(store: Store, response_id: str, *request_ids: str) -> None:
    """Log requests that a provider answered under one id, each in a trace of its own."""
    seqs = await store.append([exchange(name, f"trace of {name}") for name in request_ids])
    await store.annotate([(seq, Facts(response_id=response_id)) for seq in seqs], at_us=3)


async def about(store: Store) -> list[tuple[str | None, str | None]]:
    """Tenant and trace of every entry."""
    entries = await store.find_feedback(NO_FILTER, Sort(descending=False), Page(), None)
    return [(entry.tenant, entry.trace_id) for entry in entries]


async def test_feedback_on_an_id_of_several_requests_is_refused_with_the_candidates(
    give: Vote, store: Store
) -> None:
    await answer(store, "chatcmpl-1", "request-1", "request-2")
    await store.append([exchange("twice", "trace-3"), exchange("twice", "trace-4")])

    for any_id, candidates in (
        ("chatcmpl-1", [("trace of request-2", "request-2"), ("trace of request-1", "request-1")]),
        ("twice", [("trace-4", "twice"), ("trace-3", "twice")]),
    ):
        with pytest.raises(Ambiguous, match=any_id) as refused:
            await give(any_id, APP)
        told = [(each["trace_id"], each["request_id"]) for each in refused.value.candidates]
        assert told == candidates

    assert await about(store) == []


async def test_the_same_request_tried_again_in_its_trace_is_one(give: Vote, store: Store) -> None:
    await store.append([exchange("request-1", "trace-1"), exchange("request-1", "trace-1")])

    await give("request-1", APP)

    assert await about(store) == [(None, "trace-1")]


async def test_tries_that_failed_do_not_make_the_id_of_an_answered_request_ambiguous(
    give: Vote, store: Store
) -> None:
    tries = [replace(exchange("request-1", f"trace-{number}"), status=429) for number in (1, 2)]
    await store.append([*tries, exchange("request-1", "trace-3")])

    await give("request-1", APP)

    assert await about(store) == [(None, "trace-3")]


async def test_another_tenants_requests_make_no_id_ambiguous_and_are_no_candidates(
    give: Vote, store: Store
) -> None:
    await store.append(
        [
            exchange("shared", "trace-1", tenant="north"),
            exchange("shared", "trace-2", tenant="south"),
            exchange("shared", "trace-3", tenant="south"),
        ]
    )

    await give("shared", NORTH)
    with pytest.raises(Ambiguous) as refused:
        await give("shared", SOUTH)

    assert await about(store) == [("north", "trace-1")]
    assert {candidate["tenant"] for candidate in refused.value.candidates} == {"south"}
    assert "trace-1" not in str(refused.value)


async def test_a_trace_is_ambiguous_only_to_who_sees_several_tenants_that_use_its_id(
    core: FeedbackService, store: Store
) -> None:
    await store.append(
        [
            exchange("request-1", "trace-1", tenant="north"),
            exchange("request-2", "trace-1", tenant="north"),
            exchange("request-3", "trace-1", tenant="south"),
        ]
    )

    for principal in (NORTH, SOUTH):
        await core.give([vote("trace-1")], principal, dialect="test")
    for principal in (APP, OPEN_ACCESS):
        with pytest.raises(Ambiguous, match="tenant 'south', tenant 'north'"):
            await core.give([vote("trace-1")], principal, dialect="test")

    assert await about(store) == [("north", "trace-1"), ("south", "trace-1")]


async def test_an_id_of_a_trace_and_of_another_request_is_that_of_the_trace(
    core: FeedbackService, store: Store
) -> None:
    await store.append([exchange("request-1", "same"), exchange("same", "trace-2")])
    await answer(store, "same", "request-3", "request-4")

    [entry] = await core.give([vote("same")], APP, dialect="test")

    assert (entry.target, entry.trace_id, entry.request_id) == (Target.TRACE, "same", None)


async def test_one_ambiguous_id_refuses_the_whole_bulk_and_its_place_is_named(
    core: FeedbackService, store: Store
) -> None:
    await answer(store, "chatcmpl-1", "request-1", "request-2")
    votes = [vote("request-1"), replace(vote("chatcmpl-1"), subject_field="[1].trace_id")]

    with pytest.raises(Ambiguous, match=r"^\[1\].trace_id: 'chatcmpl-1' names"):
        await core.give(votes, APP, dialect="test")

    assert await about(store) == []


async def test_feedback_that_waited_is_kept_and_joined_to_the_newest_when_its_id_turns_out_ambiguous(
    give: Vote, store: Store
) -> None:
    await give("twice", APP)

    await store.append([exchange("twice", "trace-1"), exchange("twice", "trace-2")])

    assert await about(store) == [(None, "trace-2")]


async def test_a_retry_gets_its_reply_though_the_id_has_become_ambiguous(
    core: FeedbackService, store: Store
) -> None:
    async def call() -> list[str]:
        by_key = await core.give([vote("twice")], APP, dialect="test", idempotency_key="k")
        by_id = await core.give([vote("twice", feedback_id=own)], APP, dialect="test")
        return [entry.feedback_id for entry in (*by_key, *by_id)]

    own = new_id()
    first = await call()
    await store.append([exchange("twice", "trace-1"), exchange("twice", "trace-2")])

    assert await call() == first
