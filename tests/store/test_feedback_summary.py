"""What was said of the requests of a page, and what is joined to requests and to feedback."""

from __future__ import annotations

import random

import pytest

from gateway.errors import BadInput
from gateway.models.feedback import (
    MAX_SUMMARY_PAIRS,
    NO_FEEDBACK,
    FeedbackPair,
    Kind,
    Target,
    summarise_feedback,
)
from gateway.models.filters import NO_FILTER, AllOf, Comparison, FeedbackFilter, Filter, Not, Op, Page, Sort
from gateway.query.feedback import feedback_on_request
from gateway.store.base import Store
from tests.store.random_data import fill
from tests.store.samples import exchange, feedback, requests_of


async def ids(store: Store, where: Filter, tenant: str | None = None) -> list[str]:
    return [row.request_id for row in await requests_of(store, where, tenant=tenant)]


async def entries(store: Store, where: Filter) -> set[str]:
    return {entry.feedback_id for entry in await store.find_feedback(where, Sort(), Page(100), None)}


async def test_a_summary_is_of_the_latest_versions_of_all_entries_on_a_request(store: Store) -> None:
    liked, silent = await store.append(
        [exchange("liked", metadata={"_session": "chat"}), exchange("silent", "u")]
    )
    of_request = {"target": Target.REQUEST, "updated_at_us": 1}
    await store.put_feedback(
        [
            feedback("a", "liked", value=10.0, score=1.0, weight=0.5, **of_request),
            feedback("b", "chat", value=-4.0, score=-0.4, target=Target.SESSION, updated_at_us=3),
            feedback("c", "trace-1", value=1.0, score=0.1, weight=0.0, updated_at_us=2),
            feedback("d", "liked", value=None, score=None, kind=Kind.COMMENT, **of_request),
            feedback("an original", "liked", value=None, score=None, kind=Kind.ORIGINAL, **of_request),
            feedback("withdrawn", "liked", value=-10.0, score=-1.0, deleted_at_us=9, **of_request),
            feedback("another's", "liked", value=-10.0, score=-1.0, tenant="north", **of_request),
        ]
    )
    await store.put_feedback(
        [feedback("c", "trace-1", value=2.0, score=0.2, weight=0.0, version=2, updated_at_us=4)]
    )

    [(seq, summary)] = (await store.feedback_summaries([liked, silent])).items()
    assert seq == liked
    assert (summary.score.count, summary.score.total_weight) == (4, 1.5)
    assert summary.score.weighted_sum == pytest.approx(0.1)
    assert summary.pairs == (
        FeedbackPair(2.0, 0.0, Kind.RATING, Target.TRACE),
        FeedbackPair(-4.0, 1.0, Kind.RATING, Target.SESSION),
        FeedbackPair(10.0, 0.5, Kind.RATING, Target.REQUEST),
    )
    assert await store.feedback_summaries([silent]) == await store.feedback_summaries([]) == {}


async def test_a_summary_tells_all_and_shows_the_latest_few(store: Store) -> None:
    [seq] = await store.append([exchange()])
    many = [
        feedback(f"f{n}", value=float(n), score=0.5, updated_at_us=n) for n in range(MAX_SUMMARY_PAIRS + 5)
    ]
    await store.put_feedback(many)

    summary = (await store.feedback_summaries([seq]))[seq]
    assert summary.score.count == len(many)
    assert [pair.value for pair in summary.pairs] == [
        entry.value for entry in many[: -MAX_SUMMARY_PAIRS - 1 : -1]
    ]


async def test_the_score_that_is_shown_is_the_one_that_is_searched_by(store: Store) -> None:
    await fill(store, random.Random(1))
    rows = await requests_of(store)
    shown = await store.feedback_summaries([row.seq for row in rows])
    for row in rows:
        said = await store.find_feedback(feedback_on_request(row), Sort(), Page(100), None)
        expected = summarise_feedback(said) if said else NO_FEEDBACK
        summary = shown.get(row.seq, NO_FEEDBACK)
        assert summary.score.count == expected.score.count
        assert summary.score.weighted_mean == pytest.approx(expected.score.weighted_mean)
        assert sorted(summary.pairs) == sorted(expected.pairs)

    means = {row.seq: shown.get(row.seq, NO_FEEDBACK).score.weighted_mean for row in rows}
    for bad, mean in ((Comparison("mean_score", Op.LT, 0.0), -1), (Comparison("mean_score", Op.GT, 0.0), 1)):
        found = [row.seq for row in await requests_of(store, bad)]
        assert found == [seq for seq, shown_mean in means.items() if (shown_mean or 0) * mean > 0]
    unscored = [row.seq for row in await requests_of(store, Comparison("mean_score", Op.EQ, None))]
    assert unscored == [seq for seq, mean in means.items() if mean is None]
    with_any = [row.seq for row in await requests_of(store, Comparison("has_feedback", Op.EQ, True))]
    assert with_any == [row.seq for row in rows if row.seq in shown]


async def test_requests_are_found_by_one_entry_that_all_holds_of(store: Store) -> None:
    await store.append(
        [exchange("r1", "t1"), exchange("r2", "t1"), exchange("r3", "t3", metadata={"_session": "s"})]
    )
    await store.put_feedback(
        [
            feedback(
                "a",
                "r1",
                target=Target.REQUEST,
                label="wrong",
                comment="The CITY is wrong",
                metadata={"p": 1},
            ),
            feedback("b", "r1", target=Target.REQUEST, label="rude"),
            feedback("c", "t1", label="slow"),
            feedback("d", "s", target=Target.SESSION, label="lost"),
            feedback("e", "r3", target=Target.REQUEST, label="gone", deleted_at_us=5),
        ]
    )

    def labelled(label: str, *others: Filter, is_counted: bool = False) -> Filter:
        return FeedbackFilter(AllOf((Comparison("label", Op.EQ, label), *others)), is_counted)

    assert await ids(store, labelled("wrong", Comparison("comment", Op.ICONTAINS, "city is"))) == ["r1"]
    assert await ids(store, labelled("rude", Comparison("comment", Op.ICONTAINS, "city"))) == []
    assert await ids(store, labelled("wrong", Comparison("metadata.p", Op.EQ, 1))) == ["r1"]
    assert await ids(store, labelled("slow")) == ["r1", "r2"]
    assert await ids(store, labelled("slow", is_counted=True)) == ["r2"]
    assert await ids(store, labelled("lost")) == ["r3"]
    assert await ids(store, labelled("gone")) == []
    assert await ids(store, Not(labelled("slow"))) == ["r3"]
    assert await ids(store, labelled("slow"), "north") == []


async def test_feedback_is_found_by_the_request_that_it_counts_for(store: Store) -> None:
    support = {"team": "support", "_user": "ann"}
    first, second = await store.append(
        [
            exchange("r1", "t1", metadata=support),
            exchange("r2", "t2", provider="local", metadata={"team": "sales"}),
        ]
    )
    await store.put_feedback(
        [feedback("a", "t1"), feedback("b", "r2", metadata={"team": "support"}), feedback("waits", "nowhere")]
    )

    assert await entries(store, FeedbackFilter(Comparison("metadata.team", Op.EQ, "support"))) == {"a"}
    assert await entries(store, Comparison("metadata.team", Op.EQ, "support")) == {"b"}
    assert await entries(store, FeedbackFilter(Comparison("provider", Op.EQ, "local"))) == {"b"}
    assert await entries(store, Not(FeedbackFilter(Comparison("user", Op.EQ, "ann")))) == {"b", "waits"}
    assert await entries(store, FeedbackFilter(NO_FILTER)) == {"a", "b"}
    counted = await store.counted_requests(["a", "b", "waits", "unheard-of"])
    assert {name: record.seq for name, record in counted.items()} == {"a": first, "b": second}


async def test_what_nothing_is_joined_to_is_refused(store: Store) -> None:
    with pytest.raises(BadInput, match="nothing is joined"):
        await store.find_audit(FeedbackFilter(NO_FILTER), Sort(), Page(), None)
    with pytest.raises(BadInput, match="no field 'colour'"):
        await requests_of(store, FeedbackFilter(Comparison("colour", Op.EQ, "red")))
