"""Erasing a person: what goes, what stays, and that figures stay right."""

from __future__ import annotations

import random
from dataclasses import fields, replace

import pytest

from gateway.models.exchange import Identity
from gateway.models.feedback import Receipt, Target
from gateway.models.filters import NO_FILTER, Comparison, Op, Page, Sort
from gateway.models.metrics import END_OF_TIME_US, MetricsQuery
from gateway.models.request import ErasureScope, Facts, RequestRecord
from gateway.store.base import Store
from tests.store.expected_metrics import World
from tests.store.random_data import LATER_US, fill, seeds, world_of
from tests.store.samples import FACTS, OLDEST_FIRST, exchange, feedback, request_of, requests_of

FIGURES = {
    "seq", "tenant", "key_name", "provider", "endpoint", "method", "started_at_us", "first_byte_at_us",
    "ended_at_us", "status", "outcome", "is_stream", "attempt", "client_retry", "cache_status", "route", "target",
    "experiment", "variant", "request_size", "response_size", "requested_model", "model", "prompt_tokens",
    "completion_tokens", "cached_tokens", "cache_write_tokens", "reasoning_tokens", "cost_nanousd", "price_version",
    "finish_reason",
}  # fmt: skip
"""What stays of a request."""


def told(record: RequestRecord) -> dict[str, object]:
    """What a row says besides its figures and when it was interpreted."""
    others = {field.name for field in fields(record)} - FIGURES - {"interpreted_at_us"}
    return {name: getattr(record, name) for name in others}


def naive(world: World, person: str, tenant: str | None) -> tuple[set[int], set[str]]:
    """The seqs of a person's requests, and the ids of entries on these or by them."""
    seqs = {
        record.seq for record in world.requests if record.user == person and tenant in (None, record.tenant)
    }
    ids = set()
    for entry in world.feedback:
        about = world.counts_for(entry) if entry.joined_at_us is not None else None
        is_by = entry.author == person and tenant in (None, entry.tenant)
        if is_by or (about is not None and about.seq in seqs):
            ids.add(entry.feedback_id)
    return seqs, ids


@pytest.mark.parametrize("seed", seeds(4))
async def test_all_of_a_person_goes_and_nothing_of_others(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    await fill(store, dice)
    if dice.choice([True, False]):
        await store.roll_up(LATER_US)
    tenant = dice.choice([None, "north"])
    before = await world_of(store)
    seqs, ids = naive(before, "ann", tenant)

    belongings = await store.find_user_scope("ann", tenant)
    assert (set(belongings.request_seqs), set(belongings.feedback_ids)) == (seqs, ids)
    await store.erase(belongings, LATER_US)

    after = await world_of(store)
    assert len(after.requests) == len(before.requests)
    for old, new in zip(before.requests, after.requests, strict=True):
        if old.seq in seqs:
            assert {name: getattr(new, name) for name in FIGURES} == {
                name: getattr(old, name) for name in FIGURES
            }
            assert told(new) == NOTHING | {
                "request_id": f"erased-{new.seq}", "trace_id": f"erased-{new.seq}",
            }  # fmt: skip
        else:
            assert new == old
    assert {entry.feedback_id for entry in after.feedback} == {
        entry.feedback_id for entry in before.feedback
    } - ids
    assert await store.find_user_scope("ann", tenant) == ErasureScope()


NOTHING: dict[str, object] = {
    "span_id": None, "parent_span_id": None, "span_name": None, "path": "", "error": None, "user": None,
    "organisation": None, "prompt": None, "prompt_version": None, "environment": None, "session": None,
    "metadata": {}, "response_id": None, "note": None, "cache_source_request_id": None,
    "route_trail": None,
}  # fmt: skip


@pytest.mark.parametrize("is_rolled_up_between", [False, True])
@pytest.mark.parametrize("seed", seeds(3))
async def test_figures_are_a_full_recount_after_an_erasure(
    store: Store, seed: int, is_rolled_up_between: bool
) -> None:
    dice = random.Random(seed)
    await fill(store, dice)
    await store.roll_up(LATER_US)
    await store.erase(await store.find_user_scope("ann", None), LATER_US)
    if is_rolled_up_between:
        await store.roll_up(LATER_US)
    world = await world_of(store)
    for group_by in (None, "user", "session", "provider"):
        question = MetricsQuery(0, END_OF_TIME_US, group_by=group_by)
        assert await store.usage(question) == world.usage(question)
        assert await store.latencies(question) == world.latencies(question)
        counted = {cell: sums.entries for cell, sums in (await store.feedback_sums(question)).items()}
        assert counted == {cell: sums.entries for cell, sums in world.feedback_sums(question).items()}


async def test_nothing_is_left_of_a_request_but_its_figures(store: Store) -> None:
    metadata = {
        "_user": "ann",
        "_organisation": "acme",
        "_session": "chat",
        "_prompt_version": "7",
        "plan": "pro",
    }
    [seq] = await store.append(
        [
            exchange(
                identity=Identity("r", "t", "span", "parent", "plan", metadata),
                path="/v1/chat/completions?user=ann",
                error="the answer to ann broke off",
                tenant="north",
            )
        ]
    )
    await store.annotate([(seq, FACTS)], at_us=5)
    await store.erase(await store.find_user_scope("ann", None), at_us=9)
    record = await request_of(store, seq)
    assert told(record) == NOTHING | {"request_id": f"erased-{seq}", "trace_id": f"erased-{seq}"}
    assert (record.model, record.cost_nanousd, record.interpreted_at_us) == (FACTS.model, 1_250_000, 5)
    assert await store.payload(seq) is None
    assert await store.resolve(["r", "t", "chatcmpl-1"], None) == {}


async def test_an_interpretation_that_comes_late_brings_nothing_back(store: Store) -> None:
    [seq] = await store.append([exchange(metadata={"_user": "ann"})])
    await store.erase(await store.find_user_scope("ann", None), at_us=9)
    await store.annotate([(seq, Facts(user="ann", response_id="chatcmpl-1", note="ann"))], at_us=10)
    record = await request_of(store, seq)
    assert (record.user, record.response_id, record.note, record.metadata) == (None, None, None, {})
    assert await store.uninterpreted(10) == []


async def test_feedback_goes_with_its_history_and_the_calls_that_made_it(store: Store) -> None:
    mine, theirs = feedback("mine", author="ann"), feedback("theirs", author="bob")
    await store.put_feedback([mine, theirs], Receipt("scope", "both", "digest", ("mine", "theirs")))
    await store.put_feedback([replace(mine, version=2, comment="again")])
    await store.put_feedback([feedback("other", author="bob")], Receipt("scope", "other", "d", ("other",)))

    belongings = await store.find_author_scope("ann", None)
    assert belongings == ErasureScope((), ("mine",), (("scope", "both"),))
    await store.erase(belongings, at_us=9)

    assert await store.history("mine") == []
    assert await store.receipt("scope", "both") is None
    assert await store.receipt("scope", "other") is not None
    entries = await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(), None)
    assert [entry.feedback_id for entry in entries] == ["theirs", "other"]


async def test_a_request_goes_with_the_call_that_told_of_it(store: Store) -> None:
    for user in ("ann", "bob"):
        told = exchange(f"of-{user}", metadata={"_user": user})
        await store.insert(
            [(told, Facts())], 1, Receipt("scope", user, "digest", (told.identity.request_id,))
        )
    await store.erase(await store.find_user_scope("ann", None), at_us=9)
    assert await store.receipt("scope", "ann") is None
    assert await store.receipt("scope", "bob") is not None


async def test_a_call_that_told_of_another_s_request_of_the_same_id_is_left_alone(store: Store) -> None:
    for tenant in ("north", "south"):
        told = exchange("same", metadata={"_user": "ann"}, tenant=tenant)
        await store.insert([(told, Facts())], 1, Receipt("scope", tenant, "digest", ("same",)))
    await store.erase(await store.find_user_scope("ann", "north"), at_us=9)
    assert await store.receipt("scope", "south") is not None
    await store.erase(await store.find_user_scope("ann", "south"), at_us=9)
    assert await store.receipt("scope", "south") is None


async def test_an_entry_is_by_all_who_wrote_a_version_of_it(store: Store) -> None:
    first = feedback("f", author="ann")
    await store.put_feedback([first])
    await store.put_feedback([replace(first, version=2, author="bob")])
    for author in ("ann", "bob"):
        assert (await store.find_author_scope(author, None)).feedback_ids == ("f",)
    assert (await store.find_author_scope("eve", None)) == ErasureScope()


async def test_withdrawn_entries_are_erased_too(store: Store) -> None:
    await store.put_feedback([feedback("f", author="ann", deleted_at_us=5)])
    await store.erase(await store.find_author_scope("ann", None), at_us=9)
    assert await store.history("f") == []


async def test_feedback_that_comes_while_its_request_is_erased_goes_too(store: Store) -> None:
    await store.append([exchange("r", "t", metadata={"_user": "ann"})])
    found = await store.find_user_scope("ann", None)
    await store.put_feedback([feedback("late", "r", target=Target.REQUEST, author="bob")])
    await store.erase(found, at_us=9)
    assert await store.find_feedback(NO_FILTER, Sort(), Page(), None) == []


async def test_others_in_the_same_trace_keep_theirs(store: Store) -> None:
    await store.append(
        [
            exchange("of-ann", "t", metadata={"_user": "ann"}, started_at_us=1),
            exchange("of-bob", "t", metadata={"_user": "bob"}, started_at_us=2),
        ]
    )
    await store.put_feedback(
        [feedback("on-bob", "t", author="eve", joined_at_us=1, trace_id="t", created_at_us=3)]
    )
    await store.erase(await store.find_user_scope("ann", None), at_us=9)
    [kept] = await requests_of(store, Comparison("trace_id", Op.EQ, "t"))
    assert kept.request_id == "of-bob"
    assert len(await store.feedback_by_ids(["on-bob"])) == 1


async def test_all_is_still_there_after_compacting(store: Store) -> None:
    await fill(store, random.Random(1))
    await store.roll_up(LATER_US)
    before = await world_of(store)
    await store.compact()
    assert await world_of(store) == before
    question = MetricsQuery(0, END_OF_TIME_US, group_by="user")
    assert await store.usage(question) == before.usage(question)
    await store.append([exchange("later")])
    assert len(await requests_of(store)) == len(before.requests) + 1
