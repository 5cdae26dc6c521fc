"""Breakers open after failures, let one probe through after the cooldown, and close when it succeeds."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.models.route import ConditionContext, RouteTarget
from gateway.routing.breaker import PROBE_SECONDS, WINDOW_SECONDS, Breakers
from gateway.routing.portkey_config import parse_config
from gateway.routing.walk import AttemptOutcome, RouteWalk

FAILED, GOOD = frozenset({503}), frozenset({200})


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breakers(clock: Clock) -> Breakers:
    return Breakers(clock)


def target(**rule: Any) -> RouteTarget:
    (leaf,) = parse_config({"provider": "a", "cb_config": rule}).leaves
    return leaf


def test_failures_in_a_row_open_it_and_a_success_between_does_not(breakers: Breakers) -> None:
    one = target(failure_threshold=3)
    for statuses in (FAILED, FAILED, GOOD, FAILED, FAILED):
        breakers.record(one, statuses)
    assert breakers.lets_through(one)
    breakers.record(one, FAILED)
    assert not breakers.lets_through(one)


def test_a_share_of_failures_opens_it_once_there_are_enough_requests(
    breakers: Breakers, clock: Clock
) -> None:
    one = target(failure_threshold_percentage=50, minimum_requests=4)
    for statuses in (FAILED, FAILED, FAILED):
        breakers.record(one, statuses)
    assert breakers.lets_through(one)
    # What lies longer back is forgotten.
    clock.now += WINDOW_SECONDS + 1
    for statuses in (GOOD, GOOD, GOOD, FAILED):
        breakers.record(one, statuses)
    assert breakers.lets_through(one)
    breakers.record(one, FAILED)
    breakers.record(one, FAILED)
    assert not breakers.lets_through(one)


@pytest.mark.parametrize(("codes", "opens"), [([429], False), ([503, 429], True), (None, True)])
def test_only_listed_statuses_are_failures(breakers: Breakers, codes: list[int] | None, opens: bool) -> None:
    one = target(failure_threshold=1, failure_status_codes=codes)
    breakers.record(one, FAILED)
    assert breakers.lets_through(one) is not opens


def test_one_probe_goes_through_after_the_cooldown_and_decides(breakers: Breakers, clock: Clock) -> None:
    one = target(failure_threshold=1, cooldown_interval=30_000)
    breakers.record(one, FAILED)
    clock.now += 29.9
    assert not breakers.lets_through(one)
    clock.now += 0.2
    assert [breakers.lets_through(one) for _ in range(3)] == [True, False, False]
    breakers.record(one, FAILED)
    assert not breakers.lets_through(one)
    clock.now += 30.1
    assert breakers.lets_through(one)
    breakers.record(one, GOOD)
    assert [breakers.lets_through(one) for _ in range(3)] == [True, True, True]


def test_a_probe_that_nobody_reports_is_followed_by_another(breakers: Breakers, clock: Clock) -> None:
    one = target(failure_threshold=1)
    breakers.record(one, FAILED)
    clock.now += 31
    assert breakers.lets_through(one)
    clock.now += PROBE_SECONDS + 1
    assert breakers.lets_through(one)


def outcomes_of(walk: RouteWalk, breakers: Breakers, *statuses: int) -> list[str | None]:
    tried = [walk.first().target]
    for status in statuses:
        breakers.record(tried[-1], frozenset({status}))
        if (attempt := walk.following(AttemptOutcome(frozenset({status}), {}, "failed"))) is None:
            break
        tried.append(attempt.target)
    return [each.provider for each in tried]


def test_a_route_leaves_out_targets_whose_breaker_is_open_unless_all_are(breakers: Breakers) -> None:
    config = {
        "strategy": {"mode": "fallback", "cb_config": {"failure_threshold": 1}},
        "targets": [{"provider": "a"}, {"provider": "b"}],
    }
    route = parse_config(config)

    def walk() -> RouteWalk:
        return RouteWalk(route, ConditionContext(), lets_through=breakers.lets_through)

    assert outcomes_of(walk(), breakers, 503, 200) == ["a", "b"]
    assert outcomes_of(walk(), breakers, 503) == ["b"]
    assert outcomes_of(walk(), breakers, 503) == ["a"]


def test_a_loadbalance_draws_among_the_others(breakers: Breakers) -> None:
    config = {
        "strategy": {"mode": "loadbalance", "cb_config": {"failure_threshold": 1}},
        "targets": [{"provider": "a", "weight": 1000}, {"provider": "b", "weight": 0.001}],
    }
    route = parse_config(config)
    first, _ = route.leaves
    breakers.record(first, FAILED)
    walks = [RouteWalk(route, ConditionContext(), lets_through=breakers.lets_through) for _ in range(20)]
    assert {walk.first().target.provider for walk in walks} == {"b"}
