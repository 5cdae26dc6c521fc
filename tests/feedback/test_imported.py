"""Votes that were given elsewhere: entered once, at the time they were given, joined like any others."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import Conflict, StoreUnavailable
from gateway.feedback import rules
from gateway.feedback.imported import ImportedFeedback, find_imported_entries
from gateway.feedback.named_values import NamedFeedback, SubjectNames, read_value
from gateway.feedback.payloads import thumb_feedback
from gateway.feedback.rules import imported_feedback
from gateway.feedback.service import FeedbackService
from gateway.models.feedback import Feedback, Target
from gateway.models.principal import OPEN_ACCESS, Principal
from gateway.store.base import Store
from tests.feedback.samples import NORTH, exchange, vote

LONG_AGO_US = 1_600_000_000_000_000

THUMB = thumb_feedback("request-1", is_up=True, raw="{}")


def graded(name: str = "f1", subject_id: str = "trace-1", principal: Principal = OPEN_ACCESS) -> Feedback:
    return imported_feedback(vote(subject_id, feedback_id=name), principal, "test", LONG_AGO_US)


def thumb(principal: Principal = OPEN_ACCESS) -> Feedback:
    return imported_feedback(THUMB, principal, "test", LONG_AGO_US, upsert_in="trace-1")


async def entry(store: Store, feedback_id: str) -> Feedback:
    [found] = await store.feedback_by_ids([feedback_id])
    return found


async def test_past_feedback_keeps_its_time_and_is_joined(store: Store) -> None:
    await store.append([exchange()])

    assert await FeedbackService(store).insert_missing([graded(), thumb()]) == 2

    grade, thumbs_up = await store.feedback_by_ids(["f1", thumb().feedback_id])
    assert (grade.created_at_us, grade.updated_at_us) == (LONG_AGO_US, LONG_AGO_US)
    assert (grade.target, grade.trace_id, grade.score) == (Target.TRACE, "trace-1", 0.5)
    assert (thumbs_up.target, thumbs_up.request_id) == (Target.REQUEST, "request-1")
    assert None not in (grade.joined_at_us, thumbs_up.joined_at_us)


async def test_past_feedback_may_come_before_its_request(store: Store) -> None:
    await FeedbackService(store).insert_missing([graded(subject_id="request-1")])

    await store.append([exchange()])

    found = await entry(store, "f1")
    assert (found.target, found.request_id) == (Target.REQUEST, "request-1")


async def test_entering_again_changes_nothing(store: Store) -> None:
    given = [graded("f1"), thumb(), graded("f1"), graded("f2")]

    assert await FeedbackService(store).insert_missing(given) == 3
    assert await FeedbackService(store).find_missing(given) == []
    assert await FeedbackService(store).insert_missing(given) == 0
    assert await FeedbackService(store).insert_missing([]) == 0
    assert (await entry(store, "f1")).version == 1


async def test_what_was_said_since_then_stands(store: Store) -> None:
    await store.append([exchange()])
    down = replace(THUMB, value=-1.0)
    [live] = await FeedbackService(store).give([down], OPEN_ACCESS, dialect="test", rule=rules.upsert)

    assert await FeedbackService(store).insert_missing([thumb()]) == 0
    assert await entry(store, thumb().feedback_id) == live


async def test_later_feedback_revises_the_past_one(store: Store) -> None:
    await store.append([exchange()])
    await FeedbackService(store).insert_missing([thumb()])

    [revised] = await FeedbackService(store).give([THUMB], OPEN_ACCESS, dialect="test", rule=rules.upsert)

    assert (revised.feedback_id, revised.version) == (thumb().feedback_id, 2)
    assert revised.created_at_us == LONG_AGO_US


async def test_a_tenant_has_past_feedback_of_its_own(store: Store) -> None:
    await FeedbackService(store).insert_missing([thumb(), thumb(NORTH), graded(principal=NORTH)])

    assert thumb().feedback_id != thumb(NORTH).feedback_id
    assert (await entry(store, "f1")).tenant == "north"


async def test_what_is_entered_from_several_sides_at_once_is_there_once(store: Store) -> None:
    given = [graded(f"f{number}") for number in range(20)]

    counts = await asyncio.gather(
        *(FeedbackService(store).insert_missing(given[start:]) for start in (0, 5, 0, 10))
    )

    assert sum(counts) == 20
    assert {found.version for found in await store.feedback_by_ids([one.feedback_id for one in given])} == {1}


async def test_an_id_that_was_used_here_is_left_alone(store: Store) -> None:
    [given] = await FeedbackService(store).give([vote(feedback_id="f1")], OPEN_ACCESS, dialect="test")

    assert await FeedbackService(store).insert_missing([graded("f1"), graded("f2")]) == 1
    assert given.feedback_id == "f1"


async def test_rivals_that_never_rest_make_it_unavailable_not_endless(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise Conflict("someone else was first.")

    monkeypatch.setattr(store, "put_feedback", refuse)

    with pytest.raises(StoreUnavailable, match="at once"):
        await FeedbackService(store).insert_missing([graded()])


def named(importer: Principal, *ids: str, span: str | None = None) -> ImportedFeedback:
    subject = SubjectNames(ids, span)
    item = NamedFeedback(subject=subject, name="good", value=read_value(True), raw="{}", feedback_id="f1")
    return ImportedFeedback(item, "test", LONG_AGO_US, importer)


async def test_named_feedback_of_an_export_is_on_the_request_of_its_span_in_its_tenant(store: Store) -> None:
    await store.append([exchange(tenant="north")])
    south = replace(NORTH, tenant="south")
    given = [named(importer, "trace-1", span="request-1") for importer in (NORTH, south)]

    entries = await find_imported_entries(store, given)
    assert await FeedbackService(store).insert_missing(entries) == 2
    assert await FeedbackService(store).insert_missing(await find_imported_entries(store, given)) == 0

    by_tenant = {
        found.tenant: found for found in await store.feedback_by_ids([e.feedback_id for e in entries])
    }
    ours, theirs = by_tenant["north"], by_tenant["south"]
    assert (ours.request_id, ours.created_at_us) == ("request-1", LONG_AGO_US)
    assert (theirs.request_id, theirs.joined_at_us) == (None, None)
