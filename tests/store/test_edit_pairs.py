"""Edits and originals that came as entries of their own: which belongs to which, whatever happens to either."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from gateway.models.feedback import Feedback, Kind, Receipt, summarise_scores
from gateway.models.filters import NO_FILTER, Comparison, Not, Op, Page
from gateway.models.metrics import END_OF_TIME_US, MetricsQuery
from gateway.models.trace import GroupField
from gateway.store.base import Store
from tests.store.random_data import LATER_US, fill, seeds, world_of
from tests.store.samples import OLDEST_FIRST, exchange, feedback

TRACE = {"trace_id": "trace-1"}


def original(
    feedback_id: str, text: str, at_us: int, subject_id: str = "trace-1", **others: object
) -> Feedback:
    given = {"kind": Kind.ORIGINAL, "original_text": text, "value": None, "score": None, **TRACE, **others}
    return feedback(feedback_id, subject_id, **{**given, "created_at_us": at_us, "updated_at_us": at_us})


def edit(feedback_id: str, text: str, at_us: int, subject_id: str = "trace-1", **others: object) -> Feedback:
    given = {"kind": Kind.EDIT, "edited_text": text, "value": None, "score": None, **TRACE, **others}
    return feedback(feedback_id, subject_id, **{**given, "created_at_us": at_us, "updated_at_us": at_us})


async def revise(store: Store, feedback_id: str, **changes: object) -> None:
    [stored] = await store.feedback_by_ids([feedback_id])
    await store.put_feedback([replace(stored, version=stored.version + 1, **changes)])  # type: ignore[arg-type]


async def taken(store: Store, feedback_id: str) -> tuple[str | None, str | None]:
    """From which original an edit has its text, and that text."""
    [stored] = await store.feedback_by_ids([feedback_id])
    return stored.original_id, stored.original_text


async def test_a_pair_reads_the_same_in_whichever_order_it_came(store: Store) -> None:
    await store.put_feedback([original("a", "A", 1)])
    await store.put_feedback([edit("b", "B", 2)])
    await store.put_feedback([edit("d", "D", 3, "trace-2", trace_id="trace-2")])
    await store.put_feedback([original("c", "C", 4, "trace-2", trace_id="trace-2")])

    assert await taken(store, "b") == ("a", "A")
    assert await taken(store, "d") == ("c", "C")


async def test_an_edit_is_of_the_latest_original_before_it(store: Store) -> None:
    await store.put_feedback([edit("none before", "B", 1)])
    for number in (2, 4, 6):
        await store.put_feedback([original(f"original-{number}", str(number), number)])
    await store.put_feedback([edit("first", "B", 5, author="ann")])
    await store.put_feedback([edit("second", "B", 7, author="ann")])

    assert await taken(store, "none before") == ("original-2", "2")
    assert await taken(store, "first") == ("original-4", "4")
    assert await taken(store, "second") == ("original-6", "6")


async def test_an_edit_that_brought_its_original_keeps_it(store: Store) -> None:
    await store.put_feedback([original("a", "A", 1), edit("b", "B", 2, original_text="own")])
    await store.put_feedback([original("c", "C", 3)])

    assert await taken(store, "b") == (None, "own")


async def test_a_change_of_either_side_keeps_the_pair_right(store: Store) -> None:
    await store.put_feedback([original("a", "A", 1), edit("b", "B", 2)])

    await revise(store, "a", original_text="A2")
    assert await taken(store, "b") == ("a", "A2")
    await revise(store, "b", edited_text="B2", value=1.0)
    assert await taken(store, "b") == ("a", "A2")
    await revise(store, "a", kind=Kind.CUSTOM, original_text=None)
    assert await taken(store, "b") == (None, None)
    await revise(store, "a", kind=Kind.ORIGINAL, original_text="A3")
    assert await taken(store, "b") == ("a", "A3")
    await revise(store, "a", deleted_at_us=9)
    assert await taken(store, "b") == (None, None)


async def test_an_earlier_version_keeps_what_it_said_itself(store: Store) -> None:
    await store.put_feedback([original("a", "A", 1), edit("b", "B", 2)])
    await revise(store, "b", edited_text="B2")

    texts = [(each.original_id, each.original_text, each.edited_text) for each in await store.history("b")]
    assert texts == [(None, None, "B"), ("a", "A", "B2")]


async def test_a_pair_is_of_one_tenant_and_one_request(store: Store) -> None:
    await store.put_feedback(
        [
            original("norths", "N", 1, tenant="north"),
            original("on the other", "O", 2, request_id="request-2"),
            original("on the trace", "T", 3),
            edit("souths", "B", 4, tenant="south"),
            edit("on a request", "B", 5, request_id="request-1"),
            edit("on the same", "B", 6, request_id="request-2"),
        ]
    )

    assert await taken(store, "souths") == (None, None)
    assert await taken(store, "on a request") == ("on the trace", "T")
    assert await taken(store, "on the same") == ("on the trace", "T")


async def test_entries_that_waited_are_paired_when_they_are_joined(store: Store) -> None:
    await store.put_feedback([original("a", "A", 1, "request-1", trace_id="request-1")])
    await store.put_feedback([edit("b", "B", 2, "trace-1")])
    assert await taken(store, "b") == (None, None)

    await store.append([exchange()])

    assert await taken(store, "b") == ("a", "A")


async def test_an_original_that_is_removed_leaves_no_text_behind(store: Store) -> None:
    await store.put_feedback([original("a", "A", 1), original("b", "B", 2), edit("c", "C", 3)])
    await revise(store, "c", comment="why")
    assert await taken(store, "c") == ("b", "B")

    assert await store.remove_feedback("b")
    assert await taken(store, "c") == ("a", "A")
    assert await store.remove_feedback("a")
    assert await taken(store, "c") == (None, None)
    assert [each.original_text for each in await store.history("c")] == [None, None]


def expected(entries: Sequence[Feedback], own: dict[str, str | None], one: Feedback) -> str | None:
    """The original that an edit takes its text from, worked out the plain way."""
    if own[one.feedback_id] is not None:
        return None
    places = {
        each.feedback_id: (each.tenant, each.trace_id if each.trace_id is not None else each.subject_id)
        for each in entries
    }
    originals = [
        each
        for each in entries
        if each.kind is Kind.ORIGINAL and each.deleted_at_us is None
        if places[each.feedback_id] == places[one.feedback_id]
        if None in (each.request_id, one.request_id) or each.request_id == one.request_id
    ]
    order = [each.feedback_id for each in entries]
    originals.sort(key=lambda each: (each.created_at_us, order.index(each.feedback_id)))
    here = one.created_at_us, order.index(one.feedback_id)
    before = [e for e in originals if (e.created_at_us, order.index(e.feedback_id)) < here]
    found = before[-1:] or originals[:1]
    return found[0].feedback_id if found else None


@pytest.mark.parametrize("seed", seeds(6))
async def test_whatever_happens_each_edit_has_the_original_that_a_plain_look_finds(
    store: Store, seed: int
) -> None:
    dice = random.Random(seed)
    own: dict[str, str | None] = {}

    async def give(number: int) -> None:
        tenant, at = dice.choice([None, None, "north"]), dice.randrange(20)
        subject = dice.choice(["trace-0", "trace-1", "request-0", "request-1", "request-2"])
        text = dice.choice([None, None, "own"])
        made = dice.choice(
            [
                original(f"e{number}", f"text {number}", at, subject, trace_id=subject, tenant=tenant),
                edit(f"e{number}", "B", at, subject, trace_id=subject, tenant=tenant, original_text=text),
                feedback(f"e{number}", subject, trace_id=subject, tenant=tenant, created_at_us=at),
            ]
        )
        own[made.feedback_id] = made.original_text
        await store.put_feedback([made])

    async def change(feedback_id: str) -> None:
        kind = dice.choice([Kind.ORIGINAL, Kind.EDIT, Kind.COMMENT])
        text = "changed" if kind is Kind.ORIGINAL else dice.choice([None, "own"])
        own[feedback_id] = text
        withdrawn = dice.choice([None, None, 99])
        await revise(
            store, feedback_id, kind=kind, original_text=text, original_id=None, deleted_at_us=withdrawn
        )

    for number in range(30):
        act = dice.random()
        there = await store.find_feedback(
            Not(Comparison("feedback_id", Op.EQ, "")), OLDEST_FIRST, Page(100), None
        )
        if act < 0.15:
            row = dice.randrange(3)
            await store.append(
                [exchange(f"request-{row}", f"trace-{row // 2}", tenant=dice.choice([None, "north"]))]
            )
        elif act < 0.3 and there:
            await change(dice.choice(there).feedback_id)
        elif act < 0.4 and there:
            assert await store.remove_feedback(dice.choice(there).feedback_id)
        else:
            await give(number)

    everything = Not(Comparison("deleted_at_us", Op.EQ, -1))
    entries = await store.find_feedback(everything, OLDEST_FIRST, Page(100), None)
    assert any(entry.kind is Kind.EDIT for entry in entries)
    by_id = {entry.feedback_id: entry for entry in entries}
    for entry in entries:
        if entry.kind is not Kind.EDIT:
            assert entry.original_id is None
            continue
        wanted = expected(entries, own, entry)
        assert entry.original_id == wanted
        assert entry.original_text == (by_id[wanted].original_text if wanted else own[entry.feedback_id])


async def test_a_removed_entry_is_gone_with_its_versions_and_the_calls_that_made_it(store: Store) -> None:
    one, other = feedback("one"), feedback("other")
    await store.put_feedback([one], Receipt("scope", "made", "d", ("one",)))
    await store.put_feedback([replace(one, version=2)], Receipt("scope", "changed", "d", ("one",)))
    await store.put_feedback([other], Receipt("scope", "else", "d", ("other",)))

    assert await store.remove_feedback("one")

    assert not await store.remove_feedback("one")
    assert await store.history("one") == []
    assert await store.receipt("scope", "made") is None
    assert await store.receipt("scope", "changed") is None
    assert await store.receipt("scope", "else") is not None
    assert [
        entry.feedback_id for entry in await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(9), None)
    ] == ["other"]


@pytest.mark.parametrize("seed", seeds(3))
async def test_figures_are_a_full_recount_after_a_removal(store: Store, seed: int) -> None:
    dice = random.Random(seed)
    await fill(store, dice)
    await store.roll_up(LATER_US)
    counted = [entry for entry in (await world_of(store)).feedback if entry.joined_at_us is not None]
    for entry in dice.sample(counted, 5):
        assert await store.remove_feedback(entry.feedback_id)

    for _ in range(2):
        world = await world_of(store)
        for group_by in (None, "user", "provider"):
            question = MetricsQuery(0, END_OF_TIME_US, group_by=group_by)
            found = {cell: sums.entries for cell, sums in (await store.feedback_sums(question)).items()}
            assert found == {cell: sums.entries for cell, sums in world.feedback_sums(question).items()}
        await store.roll_up(LATER_US)


async def test_an_original_alone_is_no_entry_in_figures(store: Store) -> None:
    await store.append([exchange()])
    await store.put_feedback([original("a", "A", LATER_US), edit("b", "B", LATER_US)])

    [sums] = (await store.feedback_sums(MetricsQuery(0, END_OF_TIME_US))).values()

    assert (sums.entries, sums.judged_requests) == (1, 1)
    [group] = await store.newest_groups(GroupField.TRACE, NO_FILTER, None, 10, None)
    assert group.feedback_sums.entries == 1
    entries = await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(10), None)
    assert (len(entries), summarise_scores(entries).count) == (2, 1)


async def test_a_score_beside_an_original_counts(store: Store) -> None:
    await store.append([exchange()])
    await store.put_feedback([original("a", "A", LATER_US, value=5.0, score=1.0)])

    [sums] = (await store.feedback_sums(MetricsQuery(0, END_OF_TIME_US))).values()
    [entry] = await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(10), None)

    assert (sums.entries, summarise_scores([entry]).count) == (1, 1)
