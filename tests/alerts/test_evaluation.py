"""Evaluation: each measure's value, and which looks make a state and an event."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gateway.alerts.definition import build_rule
from gateway.alerts.evaluation import Look, describe, judge, look_at, look_starts_us
from gateway.alerts.measures import Observed
from gateway.models.alerts import AlertRule, AlertState, AlertStatus, EventKind, NoDataMode
from gateway.models.metrics import FeedbackSums, PersonSums, UsageSums, latency_class
from gateway.query.statistics import Estimate

MINUTE_US = 60_000_000
OK, FIRING, NO_DATA = AlertStatus.OK, AlertStatus.FIRING, AlertStatus.NO_DATA


def rule_of(measure: str = "error_rate", **given: object) -> AlertRule:
    return build_rule({"name": "r", "measure": measure, **({"above": 0.05} | given)}, "a", None)


def person(positive: int, entries: int, score: float) -> PersonSums:
    return PersonSums(entries, positive, 0, float(entries), score * entries)


SEEN = Observed(
    UsageSums(
        requests=40, errors=10, prompt_tokens=1000, cached_tokens=250, tokens_counted=40,
        cost_nanousd=2_500_000_000,
        first_byte_us=8_000_000, answered=32,
    ),
    FeedbackSums(judged_requests=8),
    {latency_class(100): 36, latency_class(900): 4},
    {"ann": person(0, 4, -1.0), "ben": person(1, 2, 0.0), "cleo": person(3, 3, 1.0)},
    waiting=3,
)  # fmt: skip


@pytest.mark.parametrize(
    ("measure", "value", "sample"),
    [
        ("error_rate", 0.25, 40), ("coverage", 0.2, 40), ("cost", 2.5, 40), ("requests", 40, 40),
        ("cache_hit_share", 0.25, 40), ("first_byte", 250.0, 32), ("latency_p95", 899.5, 40),
        ("mean_score", 0.0, 3), ("negative_share", 0.5, 3), ("orphaned_feedback", 3, 40),
    ],
)  # fmt: skip
def test_the_value_of_each_measure(measure: str, value: float, sample: int) -> None:
    look = look_at(rule_of(measure), [SEEN], 1)
    assert look.estimate is not None
    assert look.estimate.value == pytest.approx(value)
    if measure != "orphaned_feedback":
        assert look.sample == sample


def test_people_count_once_however_much_they_give() -> None:
    # One who dislikes a thousand answers is one person.
    loud = Observed(people={"ann": person(0, 1000, -1.0), **{f"p{n}": person(1, 1, 1.0) for n in range(19)}})
    look = look_at(rule_of("negative_share", above=0.2), [loud, Observed()], 1)
    assert look.estimate is not None
    assert look.estimate.value == pytest.approx(0.05)
    assert not look.is_crossed
    twice = loud + loud
    assert len(twice.people) == 20
    assert twice.people["ann"].entries == 2000


def test_slow_requests_are_evidence_for_the_percentile() -> None:
    rule = rule_of("latency_p95", above=500)
    slow = Observed(latencies={latency_class(100): 800, latency_class(900): 200})
    assert look_at(rule, [slow, Observed()], 1).is_crossed
    # Above by chance alone: the value is, and the test waits.
    few = Observed(latencies={latency_class(100): 28, latency_class(900): 2})
    look = look_at(rule, [few, Observed()], 1)
    assert (look.is_bad, look.is_crossed, look.has_data) == (True, False, True)


def test_more_groups_need_more_evidence() -> None:
    seen = [Observed(UsageSums(requests=200, errors=30)), Observed()]
    alone, among_many = (look_at(rule_of(), seen, groups).evidence for groups in (1, 50))
    assert alone is not None
    assert among_many is not None
    assert alone > 1 > among_many


def look(*, crossed: bool = False, bad: bool | None = None, data: bool = True) -> Look:
    is_bad = crossed if bad is None else bad
    return Look(Estimate(0.5, 0.4, 0.6) if data else None, 30 if data else 0, 1.0, data, is_bad, crossed)


def story(rule: AlertRule, *looks: Look) -> list[tuple[AlertStatus, EventKind | None]]:
    state: AlertState | None = None
    told = []
    for minute, each in enumerate(looks):
        state, event = judge(rule, "", state, each, minute * MINUTE_US)
        told.append((state.status, None if event is None else event.kind))
    return told


def test_an_alert_fires_once_and_ends_when_the_value_is_good_again() -> None:
    crossed, doubtful, good = look(crossed=True), look(bad=True), look()
    assert story(rule_of(), good, doubtful, crossed, crossed, doubtful, good, doubtful) == [
        (OK, None), (OK, None), (FIRING, EventKind.FIRED), (FIRING, None), (FIRING, None),
        (OK, EventKind.RESOLVED), (OK, None),
    ]  # fmt: skip


def test_reminders_come_after_their_pause_only_while_it_fires() -> None:
    crossed = look(crossed=True)
    told = story(rule_of(renotify="2m"), crossed, crossed, crossed, crossed, crossed, look(), look())
    assert [kind for _, kind in told] == [
        EventKind.FIRED, None, EventKind.RENOTIFIED, None, EventKind.RENOTIFIED, EventKind.RESOLVED, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (NoDataMode.OK, [(NO_DATA, None), (FIRING, EventKind.FIRED), (NO_DATA, EventKind.RESOLVED)]),
        (NoDataMode.KEEP, [(NO_DATA, None), (FIRING, EventKind.FIRED), (FIRING, None)]),
        (NoDataMode.ALERT, [(FIRING, EventKind.FIRED), (FIRING, None), (FIRING, None)]),
    ],
)
def test_no_data(mode: NoDataMode, expected: list[tuple[AlertStatus, EventKind | None]]) -> None:
    assert story(rule_of(no_data=mode), look(data=False), look(crossed=True), look(data=False)) == expected


def test_a_state_keeps_since_when_it_is_so() -> None:
    state, _ = judge(rule_of(), "p", None, look(crossed=True), 5)
    later, _ = judge(rule_of(), "p", state, look(crossed=True), 9)
    assert (later.since_us, later.checked_at_us, later.notified_at_us) == (5, 9, 5)


def test_messages_have_value_window_and_threshold() -> None:
    rule = replace(rule_of(group_by="model"), group_by="any_model")
    state, event = judge(rule, "gpt-4o", None, look(crossed=True), 5)
    assert event is not None
    assert event.message == ("error rate of model 'gpt-4o' is 50 % over 1h (30 requests), above 5 %.")
    assert (
        describe(rule, replace(state, value=None))
        == "error rate of model 'gpt-4o': no data, 30 requests in 1h."
    )
    waiting = look_at(rule_of("orphaned_feedback", above=2), [SEEN], 1)
    _, event = judge(rule_of("orphaned_feedback", above=2), "", None, waiting, 5)
    assert event is not None
    assert event.message == "orphaned feedback is 3, above 2."


def test_a_plain_look_reads_the_window_and_a_sequential_one_its_halves() -> None:
    at_us = 1_000 * 60 * MINUTE_US + 7
    assert look_starts_us(rule_of(test="none"), at_us) == (at_us - 60 * MINUTE_US,)
    assert look_starts_us(rule_of(), at_us) == (at_us - 7 - 30 * MINUTE_US, at_us - 7)
