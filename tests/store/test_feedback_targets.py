"""What feedback is about: sessions besides traces and requests, and what of it shows on each request."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.models.feedback import Kind, Subject, Target
from gateway.models.filters import NO_FILTER, AllOf, Comparison, Filter, Not, Op, Page, Sort
from gateway.store import open_store, prefilters
from gateway.store.base import Store
from tests.store.samples import entry, exchange, feedback, request_of, requests_of

IN_CHAT = {"_session": "chat"}
START_US = 1_700_000_000_000_000


def in_chat(request_id: str, trace_id: str, **given: Any) -> Any:
    return exchange(request_id, trace_id, **{"metadata": IN_CHAT, **given})


async def ids(store: Store, where: Filter, tenant: str | None = None) -> list[str]:
    return [row.request_id for row in await requests_of(store, where, tenant=tenant)]


async def test_an_id_names_a_session_where_it_names_nothing_else(store: Store) -> None:
    await store.append([in_chat("r1", "t1"), in_chat("r2", "t2")])

    async def named(target: Target = Target.TRACE) -> list[Subject]:
        return (await store.resolve(["chat"], None, target)).get("chat", [])

    assert await named() == [Subject(None, None, None, None, 2, "chat")]
    assert await named(Target.SESSION) == await named()
    assert await named(Target.REQUEST) == []

    await store.append([exchange("chat", "t3")])
    assert [subject.target for subject in await named()] == [Target.REQUEST]
    assert [subject.target for subject in await named(Target.SESSION)] == [Target.SESSION]
    await store.append([exchange("r4", "chat")])
    assert [subject.target for subject in await named()] == [Target.TRACE]


async def test_sessions_of_several_tenants_are_several_things(store: Store) -> None:
    await store.append([in_chat("r1", "t1", tenant="north"), in_chat("r2", "t2", tenant="south")])

    resolved = await store.resolve(["chat"], None)
    assert [subject.tenant for subject in resolved["chat"]] == ["south", "north"]
    assert [subject.tenant for subject in (await store.resolve(["chat"], "north"))["chat"]] == ["north"]
    assert await store.resolve(["chat"], "west") == {}


async def test_feedback_on_a_session_waits_for_a_request_of_it_and_for_one_of_its_tenant(
    store: Store,
) -> None:
    await store.put_feedback([feedback("mine", "chat", tenant="north"), feedback("anyone's", "chat")])

    await store.append([in_chat("r1", "t1", tenant="south")])

    taken = await entry(store, "anyone's")
    assert (taken.target, taken.session, taken.tenant) == (Target.SESSION, "chat", "south")
    assert (taken.trace_id, taken.request_id) == (None, None)
    assert (await entry(store, "mine")).joined_at_us is None
    await store.append([in_chat("r2", "t2", tenant="north")])
    assert (await entry(store, "mine")).session == "chat"


async def test_feedback_that_was_changed_while_its_session_appeared_keeps_the_join(store: Store) -> None:
    waiting = feedback("f", "chat")
    await store.put_feedback([waiting])
    await store.append([in_chat("r1", "t1")])
    await store.put_feedback([feedback("f", "chat", version=2, value=1.0)])
    assert ((await entry(store, "f")).session, (await entry(store, "f")).target) == ("chat", Target.SESSION)


async def test_a_request_that_is_put_in_a_session_afterwards_is_what_feedback_waited_for(
    store: Store,
) -> None:
    await store.append([exchange("r1", "t1")])
    await store.put_feedback([feedback("f", "chat")])

    await store.set_property("r1", "_SESSION", "chat", None)

    assert (await request_of(store, 1)).session == "chat"
    assert (await entry(store, "f")).session == "chat"


async def test_a_session_counts_once_for_the_request_that_was_judged(store: Store) -> None:
    await store.append(
        [in_chat(f"r{number}", f"t{number}", started_at_us=START_US + number) for number in range(4)]
    )
    at = {"before": -1, "during": 2, "after": 9}
    await store.put_feedback(
        [feedback(name, "chat", created_at_us=START_US + after) for name, after in at.items()]
    )
    found = {
        f"r{seq - 1}": [
            each.feedback_id
            for each in await store.find_feedback(Comparison("request_seq", Op.EQ, seq), Sort(), Page(), None)
        ]
        for seq in range(1, 5)
    }
    assert found == {"r0": ["before"], "r1": [], "r2": ["during"], "r3": ["after"]}
    assert await ids(store, Comparison("is_judged", Op.EQ, True)) == ["r0", "r2", "r3"]
    assert await ids(store, Comparison("is_judged", Op.EQ, False)) == ["r1"]


RATINGS = [
    ({"kind": Kind.RATING, "dialect": "portkey", "value": -5.0, "score": -0.5}, False),
    ({"kind": Kind.RATING, "dialect": "portkey", "value": 0.0, "score": -1.0}, False),
    ({"kind": Kind.RATING, "dialect": "pharia", "value": 4.0, "score": 0.5}, True),
    ({"kind": Kind.RATING, "dialect": "pharia", "value": 2.0, "score": -0.5}, False),
    ({"kind": Kind.THUMB, "dialect": "pharia", "value": 0.0, "score": -1.0}, False),
    ({"kind": Kind.THUMB, "dialect": "helicone", "value": 1.0, "score": 1.0}, True),
    ({"kind": Kind.SCORE, "dialect": "pharia", "value": 0.3, "score": 0.3}, True),
    ({"kind": Kind.EDIT, "dialect": "pharia", "value": 1.0, "score": -1.0}, False),
    ({"kind": Kind.RATING, "dialect": "portkey", "value": 0.0, "score": 0.0}, None),
    ({"kind": Kind.RATING, "dialect": "portkey", "value": 5.0, "score": 0.5, "weight": 0.0}, None),
    ({"kind": Kind.SCORE, "dialect": "helicone", "metric": "polite", "value": 0.0, "score": -1.0}, None),
    ({"kind": Kind.SCORE, "dialect": "pharia", "value": 80.0, "score": None}, None),
    ({"kind": Kind.COMMENT, "dialect": "pharia", "value": None, "score": None}, None),
    ({"kind": Kind.THUMB, "dialect": "helicone", "score": 1.0, "deleted_at_us": 9}, None),
]


@pytest.mark.parametrize(("given", "expected"), RATINGS)
@pytest.mark.parametrize("subject", ["request-1", "trace-1", "chat"])
async def test_a_rating_is_the_sign_of_what_was_said_last_in_any_dialect_of_the_request_its_trace_or_its_session(
    store: Store, subject: str, given: dict[str, Any], expected: bool | None
) -> None:
    await store.append([in_chat("request-1", "trace-1"), exchange("request-1", "trace-1", tenant="north")])
    target = Target.REQUEST if subject == "request-1" else Target.TRACE
    await store.put_feedback([feedback("f", subject, target=target, tenant=None, **given)])
    # What names several things is joined to the newest; this is about the rows of no tenant.
    [joined] = await store.feedback_by_ids(["f"])
    mine = Comparison("tenant", Op.EQ, joined.tenant)
    others = Not(mine)

    for rating in (True, False, None):
        expected_rows = 1 if rating is expected else 0
        asked = Comparison("feedback.rating", Op.EQ, rating)
        assert len(await requests_of(store, AllOf((mine, asked)))) == expected_rows, rating
    assert len(await requests_of(store, AllOf((others, Comparison("feedback.rating", Op.EQ, None))))) == 1
    entries = await store.latest_feedback(await requests_of(store), None)
    ratings = [each for each in entries if each.kind is not Kind.SCORE or each.metric is None]
    assert [each.feedback_id for each in ratings] == ([] if expected is None else ["f"])


async def test_of_what_was_said_of_a_request_in_several_ways_the_last_is_its_rating(store: Store) -> None:
    await store.append([in_chat("a", "t"), in_chat("b", "t"), in_chat("c", "u"), exchange("d", "v")])

    async def say(feedback_id: str, subject: str, score: float, at_us: int) -> None:
        target = Target.REQUEST if len(subject) == 1 and subject < "e" else Target.TRACE
        given = {"score": score, "created_at_us": at_us, "updated_at_us": at_us}
        await store.put_feedback([feedback(feedback_id, subject, target=target, **given)])

    await say("on session", "chat", 1.0, 10)
    await say("on trace", "t", -1.0, 20)
    await say("on a", "a", 1.0, 30)
    await say("on b", "b", 1.0, 15)

    assert await ids(store, Comparison("feedback.rating", Op.EQ, True)) == ["a", "c"]
    assert await ids(store, Comparison("feedback.rating", Op.EQ, False)) == ["b"]
    assert await ids(store, Comparison("feedback.id", Op.EQ, "on session")) == ["c"]
    assert await ids(store, Comparison("feedback.updated_at_us", Op.GE, 20)) == ["a", "b"]
    assert await ids(store, Comparison("feedback.rating", Op.EQ, None)) == ["d"]


ASKED = [
    Comparison("feedback.rating", Op.EQ, False),
    Comparison("feedback.rating", Op.EQ, True),
    AllOf((Comparison("feedback.rating", Op.EQ, True), Comparison("trace_id", Op.EQ, "t1"))),
    Not(Comparison("feedback.rating", Op.EQ, True)),
    Comparison("feedback.id", Op.EQ, "on trace"),
    Comparison("is_judged", Op.EQ, True),
    Comparison("weighted_feedback", Op.LE, -1),
    Comparison("weighted_feedback", Op.GE, 1),
    Comparison("weighted_feedback", Op.LE, 5),
    Comparison("weighted_feedback", Op.NE, None),
    Comparison("weighted_verdict", Op.LT, 0),
    Comparison("weighted_verdict", Op.GE, 0),
]


@pytest.mark.parametrize("where", ASKED)
async def test_few_requests_are_found_by_their_feedback_and_many_by_going_through_them_and_both_are_the_same(
    store: Store, where: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.append(
        [in_chat(f"r{number}", f"t{number // 3}", tenant=[None, "north"][number % 2]) for number in range(12)]
    )
    given = [
        ("on trace", "t1", 1.0, "north"),
        ("on chat", "chat", -0.5, "north"),
        ("on request", "r4", -0.5, None),
    ]
    await store.put_feedback(
        [
            feedback(
                name,
                subject,
                score=score,
                grade=10 * score,
                tenant=tenant,
                updated_at_us=START_US + len(name),
            )
            for name, subject, score, tenant in given
        ]
    )
    few = (
        await ids(store, where),
        await ids(store, where, "north"),
        await store.count_requests(where, Page(), None),
    )

    monkeypatch.setattr(prefilters, "MOST_ENTRIES", -1)
    monkeypatch.setattr(prefilters, "MOST_ROWS", -1)
    many = (
        await ids(store, where),
        await ids(store, where, "north"),
        await store.count_requests(where, Page(), None),
    )

    assert few == many
    assert few[0]


async def test_properties_are_found_and_sorted_by_in_any_case_and_the_last_of_a_name_stands(
    store: Store,
) -> None:
    rows: list[dict[str, object]] = [
        {"Plan": "pro"}, {"PLAN": "free"}, {"plan": 5}, {"plan": "old", "pLan": "new"}, {"plan": "x", "Plan": None},
        {"plans": "pro"}, {"ÄPLAN": "é"},
    ]  # fmt: skip
    await store.append([exchange(f"r{number}", metadata=metadata) for number, metadata in enumerate(rows)])
    field = "property_in_any_case.plan"

    expected = {"pro": ["r0"], "free": ["r1"], "5": ["r2"], "new": ["r3"], "x": ["r4"], "old": []}
    for text, found in expected.items():
        assert await ids(store, Comparison(field, Op.EQ, text)) == found, text
    assert await ids(store, Comparison(field, Op.EQ, None)) == ["r5", "r6"]
    assert await ids(store, Comparison("property_in_any_case.Äplan", Op.EQ, "é")) == ["r6"]
    assert await ids(store, Comparison("property_in_any_case.äplan", Op.EQ, "é")) == []
    in_order = await store.find_requests(NO_FILTER, Sort(field, descending=True), Page(5), None)
    assert [row.request_id for row in in_order] == ["r4", "r0", "r3", "r1", "r2"]


async def test_a_property_in_another_case_takes_the_place_of_the_one_there(store: Store) -> None:
    await store.append([exchange("r", metadata={"Plan": "old", "plan": "older", "x": 1, "_user": "ann"})])

    await store.set_property("r", "PLAN", "new", None)
    await store.set_property("r", "_USER", "bob", None)

    record = await request_of(store, 1)
    assert record.metadata == {"x": 1, "PLAN": "new", "_user": "bob"}
    assert record.user == "bob"


async def test_a_person_is_erased_with_the_feedback_on_the_session_that_counts_for_them(store: Store) -> None:
    of_ann = {**IN_CHAT, "_user": "ann"}
    await store.append(
        [in_chat("r1", "t1", metadata=of_ann), exchange("r2", "t2", metadata={"_session": "other"})]
    )
    await store.put_feedback([feedback("on hers", "chat"), feedback("on another", "other")])

    await store.erase(await store.find_user_scope("ann", None), 5)

    left = await store.find_feedback(NO_FILTER, Sort(), Page(), None)
    assert [each.feedback_id for each in left] == ["on another"]
    assert [row.session for row in await requests_of(store)] == [None, "other"]


async def test_feedback_on_a_session_is_carried_to_another_store(store: Store, tmp_path: Any) -> None:
    await store.append([in_chat("r1", "t1")])
    await store.put_feedback([feedback("f", "chat")])
    other = await open_store(f"sqlite:///{tmp_path}/other.db")
    try:
        await other.put_feedback([feedback("waiting", "chat")])
        await other.put_requests(await store.requests_after(0))
        await other.put_feedback(await store.history("f"))
        entries = await other.find_feedback(Comparison("session", Op.EQ, "chat"), Sort(), Page(), None)
        assert {each.feedback_id for each in entries} == {"f", "waiting"}
    finally:
        await other.close()
