"""Upserted feedback: one entry for each request, author and metric, and the latest counts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from gateway.errors import Conflict, NotFound, StoreUnavailable
from gateway.feedback import rules
from gateway.feedback.identifiers import feedback_key_id
from gateway.feedback.payloads import NewFeedback, thumb_feedback
from gateway.feedback.service import FeedbackService, FeedbackSettings
from gateway.models.feedback import Feedback, Target
from gateway.models.principal import OPEN_ACCESS, Principal, Role
from gateway.store.base import Store

from .samples import exchange

ANCIENT = "018bcfe5-6800-7000-8000-000000000000"
"""A UUIDv7 that was made in November 2023."""

NORTH = Principal("north", frozenset({Role.FEEDBACK}), tenant="north")


def vote(request_id: str = "request-1", **given: object) -> NewFeedback:
    return replace(thumb_feedback(request_id, is_up=True, raw="{}"), **given)  # type: ignore[arg-type]


async def upsert(store: Store, *votes: NewFeedback, principal: Principal = OPEN_ACCESS) -> list[Feedback]:
    return await FeedbackService(store).give(votes, principal, dialect="test", rule=rules.upsert)


async def test_the_same_feedback_again_is_a_new_version_of_the_same_entry(store: Store) -> None:
    [first] = await upsert(store, vote())
    [second] = await upsert(store, vote(value=-1.0))

    assert (first.version, second.version) == (1, 2)
    assert second.feedback_id == first.feedback_id
    assert second.created_at_us == first.created_at_us
    assert [entry.value for entry in await store.history(first.feedback_id)] == [1, -1]


@pytest.mark.parametrize("is_logged", [False, True], ids=["waiting", "logged"])
async def test_an_entry_that_was_withdrawn_stands_again_when_it_is_given_again(
    core: FeedbackService, store: Store, is_logged: bool
) -> None:
    if is_logged:
        await store.append([exchange()])
    [first] = await upsert(store, vote())
    await core.withdraw(first.feedback_id, OPEN_ACCESS, "other")

    [third] = await upsert(store, vote())

    assert (third.feedback_id, third.version, third.deleted_at_us) == (first.feedback_id, 3, None)
    assert [entry.deleted_at_us is None for entry in await store.history(first.feedback_id)] == [
        True,
        False,
        True,
    ]


async def test_feedback_that_stands_for_different_things_is_in_different_entries(store: Store) -> None:
    votes = [vote(), vote(author="ann"), vote(metric="other"), vote("request-2")]
    entries = [*await upsert(store, *votes), *await upsert(store, vote(), principal=NORTH)]

    assert len({entry.feedback_id for entry in entries}) == 5
    assert {UUID(entry.feedback_id).version for entry in entries} == {8}
    assert {entry.target for entry in entries} == {Target.REQUEST}
    assert entries[0].feedback_id == feedback_key_id(None, "request-1", None, "rating")


async def test_feedback_at_the_same_time_is_all_kept_one_after_the_other(store: Store) -> None:
    await asyncio.gather(*(upsert(store, vote(), vote(metric="other")) for _ in range(20)))

    for metric in ("rating", "other"):
        history = await store.history(feedback_key_id(None, "request-1", None, metric))
        assert [entry.version for entry in history] == list(range(1, 21))


async def test_only_an_id_that_tells_its_age_can_be_too_old(store: Store) -> None:
    with pytest.raises(NotFound, match="Request not found"):
        await upsert(store, vote(), vote(ANCIENT))
    for spelled_otherwise in (ANCIENT.replace("-", ""), f"{{{ANCIENT}}}", ANCIENT.replace("-7", "-4", 1)):
        assert len(await upsert(store, vote(spelled_otherwise))) == 1
    assert await store.feedback_by_ids([feedback_key_id(None, "request-1", None, "rating")]) == []
    patient = FeedbackService(store, settings=FeedbackSettings(1e12))
    assert len(await patient.give([vote(ANCIENT)], OPEN_ACCESS, dialect="test", rule=rules.upsert)) == 1


@pytest.mark.parametrize("name", ["request-1", ("trace-1", "request-1")], ids=["waiting", "logged"])
async def test_an_entry_of_another_kind_under_the_same_id_is_left_alone(
    store: Store, name: str | tuple[str, str]
) -> None:
    if isinstance(name, tuple):
        await store.append([exchange()])
    [entry] = await upsert(store, vote(metric="other"))
    other = replace(entry, feedback_id=feedback_key_id(None, name, None, "rating"))
    await store.put_feedback([other])

    with pytest.raises(Conflict, match="another entry"):
        await upsert(store, vote())

    assert await store.feedback_by_ids([other.feedback_id]) == [other]


async def test_rivals_that_never_rest_make_it_unavailable_not_endless(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise Conflict("someone else was first.")

    monkeypatch.setattr(store, "put_feedback", refuse)

    with pytest.raises(StoreUnavailable, match="at once"):
        await upsert(store, vote())
