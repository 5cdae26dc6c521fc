"""What every store promises of feedback: versions, histories, receipts, and joining."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.errors import Conflict
from gateway.models.clock import now_us
from gateway.models.feedback import Feedback, Kind, Receipt, Source, Target
from gateway.models.filters import NO_FILTER, Comparison, Op, Page, Sort
from gateway.models.metrics import END_OF_TIME_US, GroupKey, MetricsQuery
from gateway.models.request import Facts
from gateway.store import inspect_store
from gateway.store.base import Store
from tests.store.samples import OLDEST_FIRST, entry, exchange, feedback

WHOLE = Feedback(
    feedback_id="whole",
    tenant="north",
    subject_id="request-1",
    target=Target.REQUEST,
    trace_id="trace-1",
    request_id="request-1",
    joined_at_us=3,
    kind=Kind.EDIT,
    metric="tone",
    value=-2.5,
    weight=0.25,
    score=-0.25,
    label="rude",
    comment="no",
    original_text="a",
    edited_text="b",
    author="ann",
    app_id="app",
    app_version="1.0",
    source=Source.MODEL,
    metadata={"k": [1, {"deep": None}]},
    dialect="pharia",
    raw='{"x":1}',
    key_name="ops",
    created_at_us=1,
    updated_at_us=2,
    deleted_at_us=4,
)


def revised(stored: Feedback, **changes: object) -> Feedback:
    return replace(stored, version=stored.version + 1, updated_at_us=stored.updated_at_us + 1, **changes)  # type: ignore[arg-type]


async def test_an_entry_comes_back_as_it_was_given(store: Store) -> None:
    await store.put_feedback([WHOLE])
    assert await store.feedback_by_ids(["whole"]) == [WHOLE]


async def test_entries_are_found_in_the_order_asked_and_unknown_ones_left_out(store: Store) -> None:
    await store.put_feedback([feedback("a"), feedback("b")])
    found = await store.feedback_by_ids(["b", "nobody", "a"])
    assert [vote.feedback_id for vote in found] == ["b", "a"]


async def test_each_version_stays_in_the_history(store: Store) -> None:
    first = feedback(joined_at_us=1, trace_id="trace-1")
    second = revised(first, value=1.0)
    third = revised(second, deleted_at_us=9)
    await store.put_feedback([first])
    await store.put_feedback([second, third])
    assert await store.history("feedback-1") == [first, second, third]
    assert await store.feedback_by_ids(["feedback-1"]) == [third]
    assert await store.history("nobody") == []


@pytest.mark.parametrize("version", [0, 1, 3])
async def test_a_version_that_does_not_follow_is_refused_and_nothing_of_its_call_kept(
    store: Store, version: int
) -> None:
    await store.put_feedback([feedback("a")])
    with pytest.raises(Conflict, match="version 1"):
        await store.put_feedback(
            [feedback("b"), feedback("a", version=version)], Receipt("s", "k", "d", ("b",))
        )
    assert await store.feedback_by_ids(["b"]) == []
    assert await store.receipt("s", "k") is None


async def test_a_new_entry_must_be_version_1(store: Store) -> None:
    with pytest.raises(Conflict, match="does not exist"):
        await store.put_feedback([feedback("a", version=2)])


async def test_of_revisions_at_the_same_time_one_wins(store: Store) -> None:
    first = feedback()
    await store.put_feedback([first])
    rivals = [revised(first, value=float(number)) for number in range(10)]
    outcomes = await asyncio.gather(
        *(store.put_feedback([rival]) for rival in rivals), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 9
    assert [version.version for version in await store.history("feedback-1")] == [1, 2]


async def test_a_receipt_is_kept_with_its_entries_and_its_key_used_once(store: Store) -> None:
    receipt = Receipt("app", "key-1", "digest", ("b", "a"))
    await store.put_feedback([feedback("a"), feedback("b")], receipt)
    assert await store.receipt("app", "key-1") == receipt
    assert await store.receipt("other", "key-1") is None
    with pytest.raises(Conflict, match="idempotency key"):
        await store.put_feedback([feedback("c")], receipt)
    assert await store.feedback_by_ids(["c"]) == []


async def test_deleted_entries_are_found_only_if_asked_for(store: Store) -> None:
    await store.put_feedback([feedback("live"), feedback("dead", deleted_at_us=7)])
    found = await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(), None)
    assert await store.count_feedback(NO_FILTER, Page(), None) == len(found)
    assert [vote.feedback_id for vote in found] == ["live"]
    deleted = Comparison("deleted_at_us", Op.NE, None)
    found = await store.find_feedback(deleted, OLDEST_FIRST, Page(), None)
    assert [vote.feedback_id for vote in found] == ["dead"]


async def test_equal_ones_come_in_the_order_of_a_second_field(store: Store) -> None:
    await store.put_feedback([feedback("b"), feedback("a"), feedback("c", created_at_us=5)])
    sort = Sort("created_at_us", descending=True, then=Sort("feedback_id", descending=False))
    found = await store.find_feedback(NO_FILTER, sort, Page(), None)
    assert [vote.feedback_id for vote in found] == ["a", "b", "c"]


async def test_feedback_before_its_trace_is_joined_when_the_trace_appears(store: Store) -> None:
    await store.put_feedback([feedback(subject_id="trace-1")])
    assert (await entry(store)).joined_at_us is None
    await store.append([exchange("request-1", "trace-1", started_at_us=1_700_000_002_000_000)])
    joined = await entry(store)
    assert (joined.target, joined.trace_id, joined.request_id) == (Target.TRACE, "trace-1", None)
    assert joined.joined_at_us == 1_700_000_002_250_000


async def test_feedback_before_its_request_is_joined_when_the_request_appears(store: Store) -> None:
    await store.put_feedback([feedback(subject_id="request-1")])
    await store.append([exchange("other", "trace-0"), exchange("request-1", "trace-1")])
    joined = await entry(store)
    assert (joined.target, joined.trace_id, joined.request_id) == (Target.REQUEST, "trace-1", "request-1")
    assert joined.joined_at_us == joined.created_at_us, "a vote is not joined before it is given"


async def test_feedback_before_its_response_id_is_known_is_joined_when_it_is(store: Store) -> None:
    [seq] = await store.append([exchange("request-1", "trace-1")])
    await store.put_feedback([feedback(subject_id="chatcmpl-1")])
    await store.annotate([(seq, Facts(response_id="chatcmpl-1"))], at_us=1_700_000_003_000_000)
    joined = await entry(store)
    assert (joined.target, joined.trace_id, joined.request_id) == (Target.REQUEST, "trace-1", "request-1")
    assert joined.joined_at_us == 1_700_000_003_000_000


async def test_feedback_that_was_resolved_too_early_is_joined_as_it_is_stored(store: Store) -> None:
    await store.append([exchange("request-1", "trace-1")])
    await store.put_feedback([feedback("a", "trace-1"), feedback("b", "request-1")])
    joined = await store.feedback_by_ids(["a", "b"])
    assert [(vote.trace_id, vote.request_id) for vote in joined] == [
        ("trace-1", None),
        ("trace-1", "request-1"),
    ]


async def test_feedback_about_a_request_is_not_joined_to_a_trace_of_that_name(store: Store) -> None:
    await store.put_feedback([feedback(subject_id="x", target=Target.REQUEST)])
    await store.append([exchange("request-1", "x")])
    assert (await entry(store)).joined_at_us is None
    await store.append([exchange("x", "trace-2")])
    assert (await entry(store)).trace_id == "trace-2"


async def test_a_tenants_feedback_waits_for_a_row_of_its_tenant(store: Store) -> None:
    await store.put_feedback([feedback(tenant="north")])
    await store.append([exchange(tenant="south"), exchange()])
    assert (await entry(store)).joined_at_us is None
    await store.append([exchange(tenant="north")])
    assert (await entry(store)).joined_at_us is not None


async def test_feedback_of_no_tenant_takes_that_of_its_row(store: Store) -> None:
    await store.put_feedback([feedback()])
    await store.append([exchange(tenant="south")])
    joined = await entry(store)
    assert (joined.tenant, joined.trace_id) == ("south", "trace-1")


async def test_a_join_is_made_once(store: Store) -> None:
    await store.put_feedback([feedback(subject_id="x")])
    await store.append([exchange("x", "trace-1")])
    first = await entry(store)
    await store.append([exchange("x", "trace-2"), exchange("other", "x")])
    assert await entry(store) == first


async def test_a_revision_that_did_not_know_of_the_join_keeps_it(store: Store) -> None:
    unjoined = feedback(subject_id="request-1")
    await store.put_feedback([unjoined])
    await store.append([exchange("request-1", "trace-1", tenant="north")])
    await store.append([exchange("request-1", "trace-2", tenant="south")])
    await store.put_feedback([revised(unjoined, value=1.0)])
    latest = await entry(store)
    assert (latest.value, latest.version) == (1.0, 2)
    assert (latest.tenant, latest.trace_id, latest.request_id) == ("north", "trace-1", "request-1")
    assert latest.target is Target.REQUEST
    assert latest.joined_at_us is not None


async def test_joining_is_no_new_version(store: Store) -> None:
    await store.put_feedback([feedback()])
    await store.append([exchange()])
    [only] = await store.history("feedback-1")
    assert (only.version, only.updated_at_us) == (1, feedback().updated_at_us)


async def test_calls_that_come_at_once_are_taken_or_refused_each_for_itself(store: Store) -> None:
    await store.put_feedback([feedback("there")])
    receipt = Receipt("scope", "key", "digest", ("first",))
    calls: list[tuple[list[Feedback], Receipt | None]] = [
        ([feedback("new")], None),
        ([feedback("there")], None),
        ([feedback("there", version=2), feedback("other")], None),
        ([feedback("there", version=2)], None),
        ([feedback("there", version=3)], None),
        ([feedback("first")], receipt),
        ([feedback("second")], receipt),
        ([feedback("third"), feedback("new")], None),
        ([], None),
    ]

    results = await asyncio.gather(
        *(store.put_feedback(entries, receipt) for entries, receipt in calls), return_exceptions=True
    )

    refused = [isinstance(result, Conflict) for result in results]
    assert refused == [False, True, False, True, False, False, True, True, False]
    votes = await store.find_feedback(NO_FILTER, OLDEST_FIRST, Page(), None)
    assert {vote.feedback_id: vote.version for vote in votes} == {
        "there": 3, "new": 1, "other": 1, "first": 1,
    }  # fmt: skip


async def test_calls_that_come_at_once_are_joined_and_counted_like_others(store: Store) -> None:
    await store.append([exchange(f"r{number}", f"t{number}") for number in range(20)])
    await asyncio.gather(*(store.put_feedback([feedback(f"f{n}", f"t{n}")]) for n in range(20)))
    await asyncio.gather(*(store.put_feedback([feedback(f"w{n}", f"late{n}")]) for n in range(20)))
    await store.append([exchange(f"l{number}", f"late{number}") for number in range(20)])

    said = await store.feedback_sums(MetricsQuery(0, END_OF_TIME_US))

    assert said[GroupKey()].judged_requests == said[GroupKey()].entries == 40


async def test_other_grades_than_0_and_1_are_known_for_each_key(store: Store) -> None:
    thumbs = [("thumbs", 1.0, 1.0), ("thumbs", 0.0, 0.0), (None, 1.0, 1.0)]
    grades = [*thumbs, ("grader", 7.0, 7.0), ("stars", 5.0, 10.0)]
    await store.put_feedback(
        [
            feedback(f"f{number}", key_name=key, value=value, grade=grade)
            for number, (key, value, grade) in enumerate(grades)
        ]
    )
    found = [await store.has_non_binary_grades(key) for key in ("thumbs", "grader", "stars", None, "nobody")]
    assert found == [False, True, False, False, False]
    await store.put_feedback([feedback("late", value=-1.0, grade=-1.0)])
    assert await store.has_non_binary_grades(None)


async def test_what_may_be_wrong_with_feedback_is_seen(store: Store, store_url: str) -> None:
    await store.append([exchange()])
    late = [feedback(f"w{number}", f"typo-{number // 2}", created_at_us=number) for number in range(12)]
    fresh = feedback("fresh", "typo-9", created_at_us=now_us())
    withdrawn = feedback("gone", "typo-9", deleted_at_us=5)
    misread = [
        feedback(f"{key}{number}", key_name=key, kind=Kind.RATING, value=value, grade=value, score=score)
        for key, value, score in (("up", 1.0, 0.1), ("down", 0.0, 0.0), (None, 1.0, 0.1), ("right", 1.0, 1.0))
        for number in range(6)
    ]
    rare = feedback("rare", key_name="rare", value=1.0, grade=1.0, score=0.1)
    grade = feedback("grade", value=3.0, grade=3.0, score=0.3)
    await store.put_feedback([*late, fresh, withdrawn, *misread, rare, grade])

    seen = inspect_store(store_url).feedback

    assert (seen.waiting, seen.awaited) == (12, ("typo-5", "typo-4", "typo-3", "typo-2"))
    assert seen.misread == (("down", 6), ("up", 6))
