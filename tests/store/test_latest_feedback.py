"""What is said of a request last, and what a request is tagged with afterwards: the store's promises."""

from __future__ import annotations

import json

import pytest

from gateway.errors import BadInput
from gateway.models.feedback import Kind, Target
from gateway.models.filters import NO_FILTER, AllOf, Comparison, Not, Op, Page, Sort
from gateway.models.request import Facts, Usage
from gateway.store.base import Store
from tests.store.samples import exchange, feedback, request_of, requests_of


async def put(
    store: Store, feedback_id: str, at_us: int, request_id: str = "request-1", **given: object
) -> None:
    """Store a thumb up on request-1, or what is given instead."""
    value = given.get("value", 1.0)
    usual = {
        "kind": Kind.THUMB,
        "target": Target.REQUEST,
        "value": 1.0,
        "score": value,
        "created_at_us": at_us,
    }
    entry = feedback(feedback_id, request_id, **{**usual, "updated_at_us": at_us, **given})
    await store.put_feedback([entry])


async def latest(store: Store, tenant: str | None = None) -> list[str]:
    found = await requests_of(store, Comparison("request_id", Op.EQ, "request-1"))
    return [entry.feedback_id for entry in await store.latest_feedback(found, tenant)]


async def test_the_latest_thumb_and_the_latest_score_of_each_metric_are_found(store: Store) -> None:
    await store.append([exchange(), exchange("request-2")])
    await put(store, "newest thumb", 5)
    await put(store, "older thumb", 4, author="ann", metric="rating")
    await put(store, "deleted thumb", 9, deleted_at_us=10)
    await put(store, "old a", 1, kind=Kind.SCORE, metric="a")
    await put(store, "new a", 2, kind=Kind.SCORE, metric="a")
    await put(store, "b", 3, kind=Kind.SCORE, metric="b")
    await put(store, "a comment", 6, kind=Kind.COMMENT, score=None)
    await put(store, "elsewhere", 7, "request-2")

    assert await latest(store) == ["new a", "b", "newest thumb"]
    assert await store.latest_feedback([], None) == []


async def test_of_entries_at_the_same_time_the_one_stored_last_is_latest(store: Store) -> None:
    await store.append([exchange()])
    await put(store, "first", 5, author="ann")
    await put(store, "second", 5, value=-1.0)

    assert await latest(store) == ["second"]
    assert await requests_of(store, Comparison("feedback.rating", Op.EQ, True)) == []
    assert len(await requests_of(store, Comparison("feedback.id", Op.EQ, "second"))) == 1


async def test_feedback_of_tenants_that_share_an_id_is_apart(store: Store) -> None:
    await store.append([exchange(tenant="north"), exchange(tenant="south")])
    await put(store, "north's", 5, tenant="north")
    await put(store, "south's", 6, tenant="south", value=-1.0)

    assert await latest(store) == ["north's", "south's"]
    assert await latest(store, "north") == ["north's"]
    up, down = (Comparison("feedback.rating", Op.EQ, rating) for rating in (True, False))
    assert [row.tenant for row in await requests_of(store, up)] == ["north"]
    assert [row.tenant for row in await requests_of(store, down)] == ["south"]
    assert await requests_of(store, down, tenant="north") == []


async def test_computed_fields_of_a_request_nothing_is_known_of_are_missing(store: Store) -> None:
    await store.append([exchange()])
    names = ("first_byte_ms", "total_tokens", "any_model", "feedback.id", "property.k", "score.a")

    for name in (*names, "feedback.rating", "feedback.updated_at_us"):
        assert len(await requests_of(store, Comparison(name, Op.EQ, None))) == 1, name
    assert len(await requests_of(store, Not(Comparison("score.a", Op.GE, 0)))) == 1
    assert len(await requests_of(store, Comparison("is_scored", Op.EQ, False))) == 1


async def test_computed_fields_are_searched_and_sorted_by(store: Store) -> None:
    first, second = await store.append(
        [exchange("a", metadata={"n": 5}), exchange("b", ended_at_us=1_700_000_000_999_999)]
    )
    usage = Usage(prompt_tokens=3, completion_tokens=4)
    await store.annotate([(first, Facts(requested_model="m", usage=usage)), (second, Facts(model="n"))], 1)

    where = AllOf(
        (
            Comparison("total_tokens", Op.EQ, 7),
            Comparison("any_model", Op.EQ, "m"),
            Comparison("property.n", Op.EQ, "5"),
        )
    )
    assert [row.seq for row in await requests_of(store, where)] == [first]
    assert [row.seq for row in await requests_of(store, Comparison("duration_ms", Op.EQ, 999))] == [second]
    for name in ("duration_ms", "any_model"):
        found = await store.find_requests(NO_FILTER, Sort(name, descending=True), Page(), None)
        assert [row.seq for row in found] == [second, first], name
    with pytest.raises(BadInput, match="number"):
        await requests_of(store, Comparison("total_tokens", Op.EQ, "7"))


async def test_a_property_is_set_on_every_row_of_an_id_and_in_its_column(store: Store) -> None:
    seqs = await store.append([exchange(metadata={"a": 1, "_user": "ann"}), exchange(), exchange("other")])

    assert await store.set_property("request-1", "_user", "bob", None) == 2

    rows = [await request_of(store, seq) for seq in seqs]
    assert [row.user for row in rows] == ["bob", "bob", None]
    assert rows[0].metadata == {"a": 1, "_user": "bob"}
    assert await store.set_property("nobody", "k", "v", None) == 0


async def test_a_property_is_set_by_the_providers_response_id_and_for_its_tenant_alone(store: Store) -> None:
    [seq] = await store.append([exchange(tenant="north")])
    await store.annotate([(seq, Facts(response_id="chatcmpl-1"))], 1)

    assert await store.set_property("chatcmpl-1", "k", "v", "south") == 0
    assert await store.set_property("chatcmpl-1", "k", 'v"\0', "north") == 1

    assert (await request_of(store, seq)).metadata == {"k": 'v"\ufffd'}


async def test_properties_that_would_be_too_long_change_no_row(store: Store) -> None:
    full = {"full": "x" * 250_000}
    seqs = await store.append([exchange(), exchange(metadata=full)])

    with pytest.raises(BadInput, match="262,144"):
        await store.set_property("request-1", "k", "x" * 20_000, None)

    rows = [await request_of(store, seq) for seq in seqs]
    assert [json.dumps(dict(row.metadata)) for row in rows] == ["{}", json.dumps(full)]


async def test_weighted_feedback_is_the_mean_of_all_that_is_said_of_a_request_or_its_trace(
    store: Store,
) -> None:
    first, second, third = await store.append([exchange("a", "t"), exchange("b", "u"), exchange("c", "u")])
    await put(store, "half", 1, "a", grade=10.0, weight=0.5)
    await put(store, "on its trace", 2, "t", target=Target.TRACE, grade=-2.0)
    await put(store, "a comment", 3, "a", value=None, grade=None)
    await put(store, "deleted", 4, "a", grade=10.0, deleted_at_us=5)
    await put(store, "on the trace of two", 6, "u", target=Target.TRACE, grade=4.0)

    async def found(op: Op, mean: float | None, field: str = "weighted_feedback") -> list[int]:
        return [row.seq for row in await requests_of(store, Comparison(field, op, mean))]

    assert await found(Op.EQ, 1.5) == await found(Op.EQ, 1.5, "weighted_verdict") == [first]
    assert await found(Op.GE, 4) == [second, third]
    assert await found(Op.EQ, None) == []
    assert await found(Op.GE, 4, "weighted_verdict") == [second]
    assert await found(Op.EQ, None, "weighted_verdict") == [third]
