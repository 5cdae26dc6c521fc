"""Reviews in a store of each kind: one person at a time, one review for all rows of a request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.errors import Conflict, NotFound
from gateway.models.feedback import Source
from gateway.models.filters import NO_FILTER, Comparison, FeedbackFilter, Filter, Not, Op, Page, Sort
from gateway.models.reviews import RESERVATION_US, Review, ReviewChange, ReviewState
from gateway.store.base import Store
from tests.store.samples import exchange, feedback, request_of, requests_of

NOW_US = 1_700_000_000_000_000
NEWEST_FIRST = Sort("at_us", descending=True)
RESERVED, REVIEWED = ReviewState.RESERVED, ReviewState.REVIEWED


def change(
    reviewer: str, state: ReviewState | None, at_us: int = NOW_US, *, note: str | None = None
) -> ReviewChange:
    return ReviewChange(state, reviewer, at_us, note)


async def reviews(store: Store, tenant: str | None = None) -> list[Review]:
    return await store.find_reviews(NO_FILTER, NEWEST_FIRST, Page(100), tenant)


async def test_a_review_goes_from_a_reservation_to_a_note_and_back(store: Store) -> None:
    [seq] = await store.append([exchange("r", "t", tenant="north")])
    reserved = await store.change_review(seq, change("ann", RESERVED))
    assert reserved == Review(
        seq=reserved.seq if reserved else 0, tenant="north", request_id="r", trace_id="t", state=RESERVED,
        reviewer="ann", at_us=NOW_US, reserved_until_us=NOW_US + RESERVATION_US,
    )  # fmt: skip
    renewed = await store.change_review(seq, change("ann", RESERVED, NOW_US + 5))
    assert renewed is not None
    assert renewed.reserved_until_us == NOW_US + 5 + RESERVATION_US
    done = await store.change_review(seq, change("ann", REVIEWED, NOW_US + 9, note="a\0b"))
    assert done is not None
    assert (done.state, done.note, done.reserved_until_us, done.at_us) == (
        REVIEWED,
        "a\ufffdb",
        None,
        NOW_US + 9,
    )
    assert await store.reviews_of([seq, seq + 1]) == {seq: done}
    assert await reviews(store, "north") == [done]
    assert await reviews(store, "south") == []
    # Again, with other words.
    again = await store.change_review(seq, change("ann", REVIEWED, NOW_US + 10, note="better"))
    assert again is not None
    assert again.note == "better"
    assert await store.change_review(seq, change("ann", None)) is None
    assert await store.change_review(seq, change("ben", None)) is None
    assert await reviews(store) == []


async def test_what_somebody_else_has_is_refused_with_name_and_time(store: Store) -> None:
    [seq] = await store.append([exchange()])
    await store.change_review(seq, change("ann", RESERVED))
    for state in (RESERVED, REVIEWED, None):
        with pytest.raises(Conflict, match="reserved by 'ann' until 2023-11-14T22:23:20"):
            await store.change_review(seq, change("ben", state, NOW_US + RESERVATION_US - 1))
    # Once it has expired anybody may take it over, and the first cannot go on.
    taken = await store.change_review(seq, change("ben", RESERVED, NOW_US + RESERVATION_US))
    assert taken is not None
    assert taken.reviewer == "ben"
    with pytest.raises(Conflict, match="reserved by 'ben'"):
        await store.change_review(seq, change("ann", REVIEWED, NOW_US + RESERVATION_US + 1))
    await store.change_review(seq, change("ben", REVIEWED, NOW_US))
    for reviewer, state in (("ann", REVIEWED), ("ann", RESERVED), ("ann", None), ("ben", RESERVED)):
        with pytest.raises(Conflict, match="was reviewed by 'ben' at 2023-11-14T22:13:20"):
            await store.change_review(seq, change(reviewer, state, NOW_US + 9 * RESERVATION_US))
    assert await store.change_review(seq, ReviewChange(None, "ops", NOW_US, is_forced=True)) is None


async def test_there_is_no_review_of_what_is_not_stored(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.change_review(7, change("ann", RESERVED))
    assert await store.change_review(7, change("ann", None)) is None
    assert await store.reserve_first([7, 8], change("ann", RESERVED)) is None
    assert await store.reserve_first([], change("ann", RESERVED)) is None


async def test_rows_of_one_request_have_one_review_and_tenants_their_own(store: Store) -> None:
    seqs = await store.append(
        [
            exchange("r", "t"), exchange("r", "t", attempt=1), exchange("r", "other"),
            exchange("r", "t", tenant="north"),
        ]
    )  # fmt: skip
    await store.change_review(seqs[1], change("ann", REVIEWED))
    assert sorted(await store.reviews_of(seqs)) == seqs[:2]
    assert await store.reserve_first(seqs, change("ben", RESERVED)) is not None
    assert [review.trace_id for review in (await store.reviews_of(seqs)).values()] == ["t", "t", "other"]


async def test_requests_are_found_by_their_review(store: Store) -> None:
    seqs = await store.append([exchange(f"r{number}", f"t{number}") for number in range(4)])
    await store.change_review(seqs[0], change("ann", REVIEWED))
    await store.change_review(seqs[1], change("ann", RESERVED))
    await store.change_review(seqs[2], change("ben", RESERVED))
    held = Comparison("held_until_us", Op.GT, NOW_US + RESERVATION_US - 1)
    cases: list[tuple[Filter, list[int]]] = [
        (Comparison("is_reviewed", Op.EQ, True), [0]),
        (Comparison("is_reviewed", Op.EQ, False), [1, 2, 3]),
        (Comparison("reviewed_by", Op.EQ, "ann"), [0]),
        (Comparison("reviewed_by", Op.EQ, "ben"), []),
        (Comparison("reserved_by", Op.EQ, "ann"), [1]),
        (held, [0, 1, 2]),
        (Not(held), [3]),
        (Not(Comparison("held_until_us", Op.GT, NOW_US + RESERVATION_US)), [1, 2, 3]),
    ]
    for where, places in cases:
        assert [row.seq for row in await requests_of(store, where)] == [seqs[place] for place in places]


@pytest.mark.parametrize("way", ["erase", "expire"])
async def test_a_review_goes_with_its_request(store: Store, way: str) -> None:
    mine, other = await store.append(
        [exchange("mine", metadata={"_user": "ann"}), exchange("other", started_at_us=NOW_US + 5)]
    )
    for seq in (mine, other):
        await store.change_review(seq, change("ben", REVIEWED, note="ann asked for it"))
    if way == "erase":
        await store.erase(await store.find_user_scope("ann", None), NOW_US)
        assert (await request_of(store, mine)).request_id == f"erased-{mine}"
    else:
        await store.expire(NOW_US + 5)
    assert [review.request_id for review in await reviews(store)] == ["other"]


async def test_copied_reviews_win_only_over_reservations(store: Store) -> None:
    [seq, other] = await store.append([exchange("r"), exchange("s")])
    await store.change_review(seq, change("ann", RESERVED))
    await store.change_review(other, change("ann", REVIEWED))
    copied = [
        Review(tenant=None, request_id=name, trace_id="trace-1", state=state, reviewer="ben", at_us=1,
               reserved_until_us=None if state is REVIEWED else 2)
        for name, state in (("r", REVIEWED), ("s", REVIEWED), ("r", RESERVED))
    ]  # fmt: skip
    await store.put_reviews(copied)
    await store.put_reviews(copied)
    found = await store.reviews_after(0, 10)
    assert [(each.request_id, each.reviewer) for each in found] == [("r", "ben"), ("s", "ann")]
    assert await store.reviews_after(found[0].seq, 1) == found[1:]


async def test_eight_that_reserve_at_once_get_each_request_once(store: Store) -> None:
    seqs = await store.append([exchange(f"r{number}", f"t{number}") for number in range(50)])

    async def work(reviewer: str) -> list[int]:
        mine = []
        while taken := await store.reserve_first(seqs, change(reviewer, RESERVED)):
            mine.append(taken[0])
        return mine

    shares = await asyncio.gather(*(work(f"reviewer-{number}") for number in range(8)))
    assert sorted(seq for share in shares for seq in share) == seqs


async def test_scores_come_by_request_newest_first_and_page_by_page(store: Store) -> None:
    await store.append(
        [exchange(f"r{number}", f"t{number}", started_at_us=NOW_US + number) for number in range(3)]
    )
    others: dict[str, dict[str, Any]] = {
        "on deleted": {"deleted_at_us": 1},
        "of code": {"source": Source.CODE},
        "light": {"weight": 0.0},
    }
    await store.put_feedback(
        [
            feedback(f"{author}-{number}", f"t{number}", author=author)
            for number in (1, 0, 2)
            for author in ("a", "b")
        ]
        + [feedback(name, "t1", **given) for name, given in others.items()]
        + [feedback("waits", "nowhere"), feedback("unscored", "t1", score=None)]
        + [feedback("metric", "t1", kind="score", metric="tone", source=Source.MODEL, score=0.25)]
    )
    found = await store.request_scores(NO_FILTER, None, 100, None)
    assert [each.request_started_at_us - NOW_US for each in found] == [2, 2, 1, 1, 1, 0, 0]
    assert [each.metric for each in found if each.source is Source.MODEL] == ["tone"]
    place = (found[2].request_started_at_us, found[2].seq)
    assert await store.request_scores(NO_FILTER, place, 2, None) == found[3:5]
    on_one = FeedbackFilter(Comparison("trace_id", Op.EQ, "t0"))
    assert await store.request_scores(on_one, None, 100, None) == found[5:]
    assert await store.request_scores(on_one, None, 100, "north") == []
