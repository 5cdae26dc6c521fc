"""What holds for a caller that may judge one request alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.errors import Forbidden, TooManyRequests
from gateway.feedback import rules
from gateway.feedback.identifiers import feedback_key_id
from gateway.feedback.payloads import NewFeedback, thumb_feedback
from gateway.feedback.rules import TOKEN_AUTHOR
from gateway.feedback.service import FeedbackService, FeedbackSettings
from gateway.models.exchange import Exchange
from gateway.models.feedback import Feedback, Target
from gateway.models.filters import NO_FILTER, Page, Sort
from gateway.models.principal import FeedbackScope, Principal
from gateway.models.request import Facts
from gateway.store.base import Store

from .samples import APP, NORTH, exchange, vote

BEARER = Principal("app", frozenset(), None, FeedbackScope("trace-1", "request-1"))
NORTHERN = replace(BEARER, tenant="north")


async def give(
    store: Store, *votes: NewFeedback, by: Principal = BEARER, key: str | None = None
) -> list[Feedback]:
    return await FeedbackService(store).give(votes, by, dialect="test", idempotency_key=key)


async def upsert(store: Store, request_id: str, by: Principal = BEARER, **given: object) -> Feedback:
    items = [replace(thumb_feedback(request_id, is_up=True, raw="{}"), **given)]  # type: ignore[arg-type]
    service = FeedbackService(store, settings=FeedbackSettings(1e12))
    [entry] = await service.give(items, by, dialect="test", rule=rules.upsert)
    return entry


async def log(store: Store, *exchanges: Exchange, response_id: str | None = None) -> None:
    seqs = await store.append(exchanges)
    if response_id is not None:
        await store.annotate([(seq, Facts(response_id=response_id)) for seq in seqs], 1)


async def everything(store: Store) -> list[Feedback]:
    return await store.find_feedback(NO_FILTER, Sort(), Page(), None)


async def test_a_bearer_judges_its_trace_and_its_request_by_each_of_their_ids(store: Store) -> None:
    await log(store, exchange(), response_id="chatcmpl-1")
    entries = await give(store, *map(vote, ("trace-1", "request-1", "chatcmpl-1")))
    assert [(entry.target, entry.request_id) for entry in entries] == [
        (Target.TRACE, None), (Target.REQUEST, "request-1"), (Target.REQUEST, "request-1"),
    ]  # fmt: skip
    for any_id in ("request-1", "chatcmpl-1"):
        assert (await upsert(store, any_id)).subject_id == any_id


async def test_a_bearer_need_not_wait_until_its_request_is_logged(store: Store) -> None:
    entries = [*await give(store, vote("trace-1"), vote("request-1")), await upsert(store, "request-1")]
    assert [entry.joined_at_us for entry in entries] == [None] * 3
    await log(store, exchange())
    assert all(entry.joined_at_us for entry in await everything(store))


@pytest.mark.parametrize(
    "subject", ["trace-2", "request-2", "chatcmpl-2", "unknown", "chatcmpl-not-logged-yet", "trace-1 ", ""]
)
@pytest.mark.parametrize("is_logged", [False, True])
async def test_a_bearer_judges_nothing_else(store: Store, subject: str, is_logged: bool) -> None:
    if is_logged:
        await log(store, exchange(), response_id="chatcmpl-1")
        await log(store, exchange("request-2", "trace-2"), response_id="chatcmpl-2")
    with pytest.raises(Forbidden, match="Name it as 'trace-1' or 'request-1'"):
        await give(store, vote("trace-1"), vote(subject))
    with pytest.raises(Forbidden, match="Name it as 'request-1'"):
        await upsert(store, subject)
    assert await everything(store) == []


async def test_another_request_of_the_same_trace_is_another_bearer_s(store: Store) -> None:
    await log(store, exchange(), exchange("request-2"))
    with pytest.raises(Forbidden):
        await give(store, vote("request-2"))


async def test_feedback_on_a_request_is_not_for_a_trace(store: Store) -> None:
    await log(store, exchange())
    with pytest.raises(Forbidden, match="'trace-1'"):
        await upsert(store, "trace-1")


async def test_an_id_that_names_something_of_others_besides_is_refused(store: Store) -> None:
    """Who may choose the ids of its requests must not reach those of others by giving them the same."""
    await log(store, exchange("other", "request-1"), exchange("request-1", "trace-2"))
    with pytest.raises(Forbidden):
        await give(store, vote("request-1"))
    with pytest.raises(Forbidden):
        await upsert(store, "request-1")
    assert len(await give(store, vote("trace-1"))) == 1


async def test_a_bearer_s_feedback_is_its_tenant_s(store: Store) -> None:
    await log(store, exchange(tenant="north"))
    [northern] = await give(store, vote(), by=NORTHERN)
    [southern] = await give(store, vote(), by=replace(BEARER, tenant="south"))
    assert (northern.tenant, northern.joined_at_us is None) == ("north", False)
    assert (southern.tenant, southern.joined_at_us is None) == ("south", True)


async def test_a_bearer_without_a_tenant_reaches_into_none(store: Store) -> None:
    await log(store, exchange(tenant="north"))
    with pytest.raises(Forbidden):
        await give(store, vote())
    with pytest.raises(Forbidden):
        await upsert(store, "request-1")


async def test_who_the_author_is_cannot_be_said_by_a_bearer(store: Store) -> None:
    [given] = await give(store, replace(vote(), author="ann"))
    cast_by_bearer = await upsert(store, "request-1", author="ann")
    assert given.author == cast_by_bearer.author == TOKEN_AUTHOR
    assert given.key_name == cast_by_bearer.key_name == "app"


async def test_a_bearer_s_standing_feedback_takes_nobody_else_s_place(store: Store) -> None:
    anns = await upsert(store, "request-1", by=APP, author="ann")
    nobodys = await upsert(store, "request-1", by=APP)

    first = await upsert(store, "request-1", author="ann", value=-1.0)
    second = await upsert(store, "request-1", comment="On second thought")

    assert first.feedback_id == second.feedback_id
    assert (second.version, second.value, second.comment) == (2, 1, "On second thought")
    assert await store.feedback_by_ids([anns.feedback_id, nobodys.feedback_id]) == [anns, nobodys]


async def test_a_bearer_cannot_take_the_id_that_somebody_s_feedback_is_going_to_have(store: Store) -> None:
    squatted = feedback_key_id(None, "request-1", "ann", "rating")
    with pytest.raises(Forbidden, match="Idempotency-Key"):
        await give(store, vote("request-1", feedback_id=squatted))
    assert (await upsert(store, "request-1", by=APP, author="ann")).feedback_id == squatted


async def test_a_retry_of_a_bearer_is_known_and_told_from_those_of_others(store: Store) -> None:
    other = replace(BEARER, scope=FeedbackScope("trace-1", "request-2"))
    first = await give(store, vote(), key="1")
    assert await give(store, vote(), key="1") == first
    others = [
        await give(store, vote(value=float(n)), by=by, key="1") for n, by in enumerate((other, APP, NORTHERN))
    ]
    assert len({entry.feedback_id for [entry] in [first, *others]}) == 4


async def test_each_entry_of_a_bearer_is_counted_and_nobody_else_s(store: Store) -> None:
    counted: list[tuple[Principal, int]] = []

    def check_rate(caller: Principal, votes: int) -> None:
        counted.append((caller, votes))
        if len(counted) > 2:
            raise TooManyRequests("enough.", retry_after_seconds=1)

    core = FeedbackService(store, check_rate)
    thumb = thumb_feedback("request-1", is_up=True, raw="{}")
    await core.give([vote(), vote()], BEARER, dialect="test")
    await core.give([thumb], BEARER, dialect="test", rule=rules.upsert)
    for caller in (APP, NORTH):
        await core.give([vote()], caller, dialect="test")
        await core.give([thumb], caller, dialect="test", rule=rules.upsert)
    assert counted == [(BEARER, 2), (BEARER, 1)]

    stored = len(await everything(store))
    with pytest.raises(TooManyRequests):
        await core.give([vote()], BEARER, dialect="test")
    with pytest.raises(TooManyRequests):
        await core.give([thumb], BEARER, dialect="test", rule=rules.upsert)
    assert len(await everything(store)) == stored
