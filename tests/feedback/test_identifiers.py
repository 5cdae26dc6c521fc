"""What a vote is found to be about, and whose it becomes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.feedback.payloads import NewFeedback
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback, Target
from gateway.models.principal import OPEN_ACCESS, Principal
from gateway.models.request import Facts
from gateway.store.base import Store

from .samples import APP, NORTH, SOUTH, exchange, vote


@pytest.fixture
def given(core: FeedbackService, store: Store) -> Given:
    return Given(core, store)


class Given:
    """Gives a vote and reads back its entry."""

    def __init__(self, core: FeedbackService, store: Store) -> None:
        self._core = core
        self._store = store

    async def __call__(self, given: NewFeedback, principal: Principal = APP) -> Feedback:
        [entry] = await self._core.give([given], principal, dialect="test")
        return entry

    async def again(self, feedback_id: str) -> Feedback:
        [entry] = await self._store.feedback_by_ids([feedback_id])
        return entry


async def test_feedback_on_a_logged_trace_is_joined_at_once(given: Given, store: Store) -> None:
    await store.append([exchange("request-1", "trace-1")])

    entry = await given(vote("trace-1"))

    assert (entry.target, entry.trace_id, entry.request_id) == (Target.TRACE, "trace-1", None)
    assert entry.joined_at_us == entry.created_at_us


async def test_feedback_on_a_request_id_is_about_that_request_of_its_trace(
    given: Given, store: Store
) -> None:
    await store.append([exchange("request-1", "trace-1")])

    entry = await given(vote("request-1"))

    assert (entry.target, entry.trace_id, entry.request_id) == (Target.REQUEST, "trace-1", "request-1")
    assert entry.subject_id == "request-1"


async def test_feedback_on_a_response_id_is_about_the_request_that_got_it(given: Given, store: Store) -> None:
    [seq] = await store.append([exchange("request-1", "trace-1")])
    await store.annotate([(seq, Facts(response_id="chatcmpl-1"))], at_us=2)

    entry = await given(vote("chatcmpl-1"))

    assert (entry.target, entry.trace_id, entry.request_id) == (Target.REQUEST, "trace-1", "request-1")


async def test_feedback_before_its_request_waits_and_is_joined_when_the_request_appears(
    given: Given, store: Store
) -> None:
    waiting = await given(vote("trace-1"))
    assert (waiting.target, waiting.trace_id, waiting.joined_at_us) == (Target.TRACE, "trace-1", None)

    await store.append([exchange("request-1", "trace-1")])

    joined = await given.again(waiting.feedback_id)
    assert joined.joined_at_us is not None
    assert (joined.version, joined.trace_id, joined.request_id) == (1, "trace-1", None)


async def test_feedback_before_its_request_is_joined_by_request_id_too(given: Given, store: Store) -> None:
    waiting = await given(vote("request-1"))

    await store.append([exchange("request-1", "trace-1")])

    joined = await given.again(waiting.feedback_id)
    assert (joined.target, joined.trace_id, joined.request_id) == (Target.REQUEST, "trace-1", "request-1")


async def test_feedback_is_joined_however_it_races_with_its_request(given: Given, store: Store) -> None:
    async def race(number: int) -> Feedback:
        logged = exchange(f"request-{number}", f"trace-{number}")
        entry, _ = await asyncio.gather(given(vote(f"trace-{number}")), store.append([logged]))
        return await given.again(entry.feedback_id)

    entries = [await race(number) for number in range(50)]

    assert [entry for entry in entries if entry.joined_at_us is None] == []


async def test_feedback_on_a_request_is_not_taken_for_one_on_a_trace_of_that_name(
    given: Given, store: Store
) -> None:
    about_request = replace(vote("x"), target=Target.REQUEST)
    await store.append([exchange("request-1", "x")])
    waiting = await given(about_request)
    assert (waiting.target, waiting.trace_id, waiting.joined_at_us) == (Target.REQUEST, None, None)

    [seq] = await store.append([exchange("request-2", "trace-2")])
    await store.annotate([(seq, Facts(response_id="x"))], at_us=2)
    assert (await given.again(waiting.feedback_id)).request_id == "request-2"
    assert (await given(about_request)).request_id == "request-2"

    await store.append([exchange("x", "trace-3")])
    entry = await given(about_request)
    assert (entry.target, entry.trace_id, entry.request_id) == (Target.REQUEST, "trace-3", "x")
    assert (await given(vote("x"))).target is Target.TRACE


async def test_feedback_on_a_trace_and_on_a_request_of_one_name_go_each_to_its_own(
    core: FeedbackService, store: Store
) -> None:
    await store.append([exchange("request-1", "x"), exchange("x", "trace-2")])

    entries = await core.give([vote("x"), replace(vote("x"), target=Target.REQUEST)], APP, dialect="test")
    assert [(entry.trace_id, entry.request_id) for entry in entries] == [("x", None), ("trace-2", "x")]


async def test_a_whole_bulk_is_linked_each_entry_to_its_own_subject(
    core: FeedbackService, store: Store
) -> None:
    await store.append([exchange(f"request-{n}", f"trace-{n}") for n in range(3)])
    subjects = ["trace-2", "request-0", "nowhere", "trace-2", "request-1"]

    entries = await core.give([vote(subject) for subject in subjects], APP, dialect="test")
    assert [entry.subject_id for entry in entries] == subjects
    assert [entry.request_id for entry in entries] == [None, "request-0", None, None, "request-1"]
    assert [entry.joined_at_us is not None for entry in entries] == [True, True, False, True, True]


async def test_a_tenants_feedback_is_its_own_and_not_joined_to_another_tenants_trace(
    given: Given, store: Store
) -> None:
    await store.append([exchange("request-1", "trace-1", tenant="south")])

    entry = await given(vote("request-1"), NORTH)

    assert (entry.tenant, entry.request_id, entry.joined_at_us) == ("north", None, None)
    assert (await given(vote("request-1"), SOUTH)).request_id == "request-1"


async def test_feedback_without_tenant_takes_that_of_the_row_it_names(given: Given, store: Store) -> None:
    await store.append([exchange("request-1", "trace-1", tenant="north")])

    assert (await given(vote("trace-1"), OPEN_ACCESS)).tenant == "north"
    assert (await given(vote("request-1"), APP)).tenant == "north"
