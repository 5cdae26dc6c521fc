"""Groups of requests side by side: what is claimed, what is not, and what is warned of."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gateway.models.feedback import Source, Target
from gateway.models.filters import NO_FILTER
from gateway.models.metrics import END_OF_TIME_US, FeedbackSums, MetricsQuery, PersonSums, UsageSums
from gateway.query.compare import Arm, CompareReader, arm_value, compare_arms
from gateway.store.base import Store
from tests.factories import MakeExchange, MakeFeedback


def said(positive: int, entries: int) -> PersonSums:
    return PersonSums(entries, positive, 0, float(entries), float(2 * positive - entries))


def arm(
    name: str, likes: int, dislikes: int, judged: int = 100, more: Mapping[str, PersonSums] | None = None
) -> Arm:
    """An arm of a thousand requests, and so many people who say one thing once."""
    people = {f"{name}-{n}": said(int(n < likes), 1) for n in range(likes + dislikes)}
    return Arm(
        name, UsageSums(requests=1000), FeedbackSums(judged_requests=judged), {}, {**people, **(more or {})}
    )


def test_a_difference_is_told_with_its_intervals() -> None:
    found = compare_arms([arm("v1", 60, 40), arm("v2", 85, 15)])
    assert found.summary == (
        "v2 is liked more than v1 (0.70 [0.54, 0.83] against 0.20 [0.00, 0.39], 100 and 100 people)."
    )
    [pair] = found.pairs
    assert (pair.arm.name, pair.is_different, pair.more_people_needed) == ("v2", True, None)
    assert found.warnings == ()


def test_where_nothing_can_be_told_apart_yet_it_says_how_many_people_are_needed() -> None:
    found = compare_arms([arm("v1", 60, 40), arm("v2", 66, 34)])
    [pair] = found.pairs
    assert not pair.is_different
    # 2 × 2.80² × (0.24 + 0.2244) / 0.06² are 2,026 people in all.
    assert pair.more_people_needed == pytest.approx(1830, rel=0.05)
    assert found.summary == (
        f"v2 and v1 cannot be told apart yet: about {pair.more_people_needed:,} more people are needed at this"
        " difference."
    )
    same = compare_arms([arm("v1", 60, 40), arm("v2", 60, 40)])
    assert same.pairs[0].more_people_needed is None
    assert "more than 100,000 more people" in same.summary


def test_of_several_arms_the_best_is_compared_with_each() -> None:
    found = compare_arms([arm("a", 30, 70), arm("b", 90, 10), arm("c", 88, 12), arm("d", 40, 60)])
    assert len(found.pairs) == 6
    assert found.summary.startswith("b is liked more than d and a (0.80 [")
    assert ", 100, 100 and 100 people). b and c cannot be told apart yet: about " in found.summary


def test_whoever_says_much_counts_as_one() -> None:
    quiet, loud = arm("v1", 50, 50), arm("v2", 50, 50, more={"fan": said(5000, 5000)})
    found = compare_arms([quiet, loud])
    assert not found.pairs[0].is_different
    assert found.arms[1].entries == 5100
    assert found.arms[1].mean_score is not None
    assert found.arms[1].mean_score.value == pytest.approx(1 / 101)


def test_of_few_people_nothing_is_claimed() -> None:
    found = compare_arms([arm("v1", 100, 0), arm("v2", 0, 9), arm("v3", 0, 1), arm("v4", 0, 0), Arm("v5")])
    assert found.pairs == ()
    assert found.summary == (
        "Nothing can be said yet: fewer than two arms have feedback of 10 people or more."
    )
    assert found.warnings == (
        "v2: scores of 9 people only; nothing is claimed of fewer than 10.",
        "v3: no interval, since all scores are of one person.",
        "v4: nobody gave a score.",
        "v5: no request of this time has this value.",
    )
    assert found.arms[2].mean_score is not None
    assert found.arms[2].mean_score.low is None


def test_feedback_that_may_be_missing_is_warned_of() -> None:
    often, seldom = arm("v1", 60, 40, judged=200), arm("v2", 60, 40, judged=50)
    assert compare_arms([often, seldom]).warnings == (
        "Coverage differs: 20 % of the requests of v1 have feedback, 5 % of those of v2."
        " Missing feedback may hide a difference, or make one.",
    )
    unsigned = {f"u{n}": PersonSums(1, 1, 1, 1.0, 1.0) for n in range(50)}
    [warning] = compare_arms([arm("v1", 60, 40), arm("v2", 60, 40, more=unsigned)]).warnings
    assert warning.startswith("v2: 33 % of the scores name no author")


def test_without_requests_there_is_nothing_to_compare() -> None:
    assert compare_arms([]).summary == "No request matches."
    assert compare_arms([arm("v1", 3, 4)]).summary == "Only v1 has requests: there is nothing to compare."


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("any_model", "7", "7"),
        ("status", "200", 200),
        ("is_stream", "true", True),
        ("metadata.team", "1", "1"),
    ],
)
def test_a_value_is_read_as_its_field_has_it(field: str, text: str, value: object) -> None:
    assert arm_value(field, text) == value


@pytest.mark.parametrize(("field", "text"), [("status", "ok"), ("is_stream", "1"), ("attempt", "٣")])
def test_a_value_that_its_field_cannot_have_is_refused(field: str, text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        arm_value(field, text)


async def test_arms_are_read_from_the_store(
    store: Store, make_exchange: MakeExchange, make_feedback: MakeFeedback
) -> None:
    def tags(number: int) -> Mapping[str, str]:
        return {
            "_prompt": "p",
            "_prompt_version": f"v{number % 2 + 1}",
            "team": "red" if number % 4 else "blue",
        }

    await store.append([make_exchange(f"r{n}", metadata=tags(n)) for n in range(80)])
    await store.put_feedback(
        [
            make_feedback(f"r{n}", target=Target.REQUEST, author=f"ann{n}", score=score, value=score)
            for n in range(80)
            for score in ([1.0, -1.0] if n % 2 == 0 else [1.0])
        ]
    )
    reader = CompareReader(store)
    by_version = MetricsQuery(0, END_OF_TIME_US, NO_FILTER, group_by="prompt_version")
    for is_rolled_up in (False, True):
        if is_rolled_up:
            await store.roll_up(END_OF_TIME_US)
        found = await reader.compare(by_version, ("v2", "v1"), Source.HUMAN)
        assert [(each.name, each.usage.requests, len(each.people), each.entries) for each in found.arms] == [
            ("v2", 40, 40, 40), ("v1", 40, 40, 40),
        ]  # fmt: skip
        assert found.summary.startswith("v2 is liked more than v1 (1.00 [")
        biggest = await reader.compare(
            MetricsQuery(0, END_OF_TIME_US, NO_FILTER, group_by="metadata.team"), (), Source.HUMAN
        )
        assert [(each.name, each.usage.requests) for each in biggest.arms] == [("red", 60), ("blue", 20)]
    unknown = MetricsQuery(0, END_OF_TIME_US, NO_FILTER, group_by="metadata.taem")
    assert (await reader.compare(unknown, ("a", "b"), Source.HUMAN)).unknown_keys == ("metadata.taem",)
